"""SLA_MONITOR_TEST_REQUIRE: the programs that a test run must have. Names, separated by commas:

    timescaledb   a database engine with TimescaleDB Community (see engines.py)
    chromium      a browser for the tests of pages (see browsers.py)
    node          Node and npm, for the front end of tests/e2e/test_front_end.py
    cc            a C compiler, for tests under another date (see faked_clock.py)

A missing program and an unknown name are errors at the start of the run. A test that needs a required program fails if
it is skipped.
"""

import os
import shutil
from collections.abc import Callable, Collection, Generator, Mapping

import pytest

from tests.browsers import find_browser

VARIABLE = "SLA_MONITOR_TEST_REQUIRE"
REQUIRED = pytest.StashKey[frozenset[str]]()
# The fixture of each program. A test that uses the fixture needs the program.
FIXTURES = {"chromium": "browser_program", "node": "node_modules", "cc": "faked_library"}


def required(environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Returns the names in SLA_MONITOR_TEST_REQUIRE. Raises pytest.UsageError for an unknown name."""
    names = frozenset(name.strip() for name in environ.get(VARIABLE, "").split(",")) - {""}
    if unknown := sorted(names - IS_AVAILABLE.keys()):
        raise pytest.UsageError(f"{VARIABLE}: unknown: {', '.join(unknown)}; known: {', '.join(sorted(IS_AVAILABLE))}")
    return names


def require(names: Collection[str], engines: Collection[str]) -> None:
    """Raises pytest.UsageError if this machine does not have all of these programs; the message names the missing
    ones."""
    if missing := sorted(name for name in names if not IS_AVAILABLE[name](engines)):
        raise pytest.UsageError(f"{VARIABLE}: not found here: {', '.join(missing)}")


def _chromium(_: Collection[str]) -> bool:
    browser = find_browser()
    return browser is not None and os.access(browser, os.X_OK)


IS_AVAILABLE: dict[str, Callable[[Collection[str]], bool]] = {
    "timescaledb": lambda engines: "timescaledb" in engines,
    "chromium": _chromium,
    "node": lambda _: shutil.which("node") is not None and shutil.which("npm") is not None,
    "cc": lambda _: shutil.which("cc") is not None,
}
"""For each name, a function that returns whether this machine has the program. Its argument is the names of the engines
that engines.py has found."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REQUIRED] = required()


def pytest_report_header(config: pytest.Config) -> str:
    names = config.stash[REQUIRED]
    return f"required: {', '.join(sorted(names)) or f'nothing ({VARIABLE})'}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skipped test that needs a required program into a failed one."""
    report = yield
    required_here = item.config.stash[REQUIRED]
    names = sorted(required_here & _needed_by(item))
    if names and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{VARIABLE} names {', '.join(names)}, and this test was skipped: {reason}"
    return report


def _needed_by(item: pytest.Item) -> set[str]:
    fixtures: Collection[str] = getattr(item, "fixturenames", ())
    names = {name for name, fixture in FIXTURES.items() if fixture in fixtures}
    # A test that compares engines uses all of them, and any other test of the database runs once on each. Some tests
    # are skipped on the server of TEST_DATABASE_URL, because they would affect its other users; these may be skipped.
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    on_timescaledb = parameters.get("engine") == "timescaledb" or "databases" in fixtures
    return names | ({"timescaledb"} if on_timescaledb and not os.environ.get("TEST_DATABASE_URL") else set())
