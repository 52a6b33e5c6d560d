"""The benchmark works: one tiny case runs on a real database, and a table comes out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.report import absolute, compared, least, most, not_measured, table

ROOT = Path(__file__).parents[1]
PATIENCE_S = 120


def test_ingest_at_tiny_size_prints_a_table() -> None:
    command = [sys.executable, "-m", "bench", "--tiny", "ingest"]
    environment = {**os.environ, "SLA_MONITOR_TEST_ENGINES": "postgresql"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stderr
    headings, rule, *rows = run.stdout.splitlines()
    assert headings.split() == ["ours", "peer", "ratio", "(spread)", "target", "verdict"]
    assert set(rule) <= {"-", " "}
    assert any(row.startswith("Ingest, 20 rows, postgresql: against COPY") for row in rows)
    assert all(word in run.stdout for word in ("rows/s", ">= 0.3x", "fsync on"))


def test_an_unknown_group_is_refused() -> None:
    run = subprocess.run([sys.executable, "-m", "bench", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert "there is no group nothing" in run.stderr


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [([30.0, 10.0, 40.0], "met"), ([10.0, 29.0, 31.0], "missed")],
)
def test_the_verdict_is_on_the_median_of_the_rounds(ours: list[float], verdict: str) -> None:
    line = compared("a line", ours, [10.0] * 3, "rows/s", least(3))
    assert line.verdict == verdict
    assert line.target == ">= 3x"


def test_each_round_is_compared_with_its_own_peer() -> None:
    line = compared("a line", [10.0, 200.0], [5.0, 100.0], "rows/s")
    assert line.ratio == "2 (2-2)"


def test_faster_by_a_factor_turns_the_ratio_round() -> None:
    assert compared("a line", [2.0], [400.0], "ms", least(100), inverse=True).verdict == "met"


def test_a_limit_that_is_reached_is_met() -> None:
    assert absolute("a line", [50.0], "ms", most(50, "ms")).verdict == "met"
    assert absolute("a line", [0.0], "", most(0, "")).verdict == "met"


def test_what_could_not_be_measured_says_so() -> None:
    assert "not measured" in table([not_measured("a line", "no peer here")])
    assert "    no peer here" in table([not_measured("a line", "no peer here")])
