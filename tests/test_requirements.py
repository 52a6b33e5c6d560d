"""SLA_MONITOR_TEST_REQUIRE: a run without a required program does not start, and a skipped test that needs a required
program fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import IS_AVAILABLE, require, required

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest


@pytest.fixture
def browser_program():
    pytest.skip("no browser")


def test_page(browser_program): pass
def test_without_a_program(): pytest.skip("no reason")
@pytest.mark.xfail(reason="known")
def test_known(): raise AssertionError
@pytest.mark.parametrize("engine", ["timescaledb", "postgresql"])
def test_hypertables(engine): pytest.skip("needs the other engine")
"""


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_names_are_separated_by_commas() -> None:
    assert required({}) == required({"SLA_MONITOR_TEST_REQUIRE": " , "}) == frozenset()
    assert required({"SLA_MONITOR_TEST_REQUIRE": "node, chromium"}) == {"node", "chromium"}
    with pytest.raises(pytest.UsageError, match="unknown: firefox; known: cc, chromium, node, timescaledb"):
        required({"SLA_MONITOR_TEST_REQUIRE": "chromium,firefox"})


def test_the_error_names_the_missing_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(pytest.UsageError, match="not found here: cc, chromium, node, timescaledb"):
        require(IS_AVAILABLE, ["postgresql"])
    require(["timescaledb"], ["timescaledb", "postgresql"])
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    with pytest.raises(pytest.UsageError, match="not found here: chromium"):
        require(["chromium"], [])


def test_a_run_without_a_required_program_does_not_start() -> None:
    variables = {"SLA_MONITOR_TEST_REQUIRE": "timescaledb", "SLA_MONITOR_TEST_ENGINES": "embedded"}
    ended = run("-n", "2", "tests/api/test_colors.py", **variables)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: SLA_MONITOR_TEST_REQUIRE: not found here: timescaledb" in ended.stderr


def test_a_skipped_test_that_needs_a_required_program_fails(tmp_path: Path) -> None:
    (tmp_path / "test_made_up.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]")
    arguments = ("-p", "tests.requirements", "-c", str(tmp_path / "pytest.ini"), str(tmp_path))
    names = {"TEST_DATABASE_URL": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    assert "4 skipped, 1 xfailed" in run(*arguments, SLA_MONITOR_TEST_REQUIRE="", **names).stdout
    required = run(*arguments, SLA_MONITOR_TEST_REQUIRE="chromium,timescaledb", **names).stdout
    assert "names chromium, and this test was skipped: Skipped: no browser" in required
    assert "names timescaledb, and this test was skipped: Skipped: needs the other engine" in required
    assert "1 failed, 2 skipped, 1 xfailed, 1 error" in required
