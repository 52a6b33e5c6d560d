"""The benchmark: every group runs on a real database at its smallest size, and the results are formatted correctly."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

import api.metrics
import prober.metrics
import sql
from bench import document
from bench.__main__ import GROUPS
from bench.metrics import increase, total
from bench.recording import recorder, shift_clock
from bench.report import (
    FAILED,
    NOT_MEASURED,
    at_least,
    at_most,
    comparison,
    figure,
    not_measured,
    table,
    within,
)
from tests.conftest import SERVERS

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "benchmark.md"
TIMEOUT_S = 600
"""On an idle machine the slowest case takes half a minute."""
CASES = [
    ("ingest aggregates storage reads sla pipeline", "postgresql"),
    ("prober punctuality sustained", "postgresql"),
    ("api feed", "postgresql"),
    ("pages start", "postgresql"),
    ("aggregates storage", "timescaledb"),  # these groups also measure the work of TimescaleDB's policies
]
"""The groups that one process runs on one server, and the engine of the server."""
SIZE_OR_ENGINE = re.compile(r"\b(?:\d+(?:,\d{3})*|timescaledb|postgresql)\b")


def titles(rows: list[str]) -> set[str]:
    """Returns the first cell of each row, with * for sizes and engines, which depend on the run."""
    return {SIZE_OR_ENGINE.sub("*", re.split(r"  | \| ", row.removeprefix("| "))[0]) for row in rows}


def test_the_cases_include_every_group() -> None:
    assert sorted(" ".join(groups for groups, engine in CASES if engine == "postgresql").split()) == sorted(GROUPS)


@pytest.mark.parametrize(("groups", "engine_name"), CASES)
def test_groups_run_at_the_smallest_size(groups: str, engine_name: str, pytestconfig: pytest.Config) -> None:
    """Verdicts are ignored, because they mean nothing at this size. If references are not installed, the test is
    skipped at its end, and the reason names them."""
    if engine_name not in pytestconfig.stash[SERVERS].engines:
        pytest.skip(f"{engine_name}: not found, or excluded by SLA_MONITOR_TEST_ENGINES")
    command = [sys.executable, "-m", "bench", "--tiny", *groups.split()]
    environment = {**os.environ, "SLA_MONITOR_TEST_ENGINES": engine_name}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert run.returncode == 0, run.stderr
    headings, rule, *rows = run.stdout.splitlines()
    assert headings.split() == ["metric", "measured", "reference", "ratio", "(range)", "target", "verdict"]
    assert set(rule) <= {"-", " "}
    results = [row for row in rows[: rows.index("")] if not row.startswith(" ")]
    assert len(results) >= len(groups.split())
    assert not [row for row in results if row.endswith(FAILED)]
    measured = [row for row in results if not row.endswith(NOT_MEASURED)]
    assert titles(measured) <= titles([row for row in DOCUMENT.read_text("utf-8").splitlines() if row.startswith("| ")])
    excluded = "timescaledb" if engine_name == "postgresql" else None  # by SLA_MONITOR_TEST_ENGINES
    missing = [row for row in results if row.endswith(NOT_MEASURED) and not (excluded and excluded in row)]
    if missing:
        pytest.skip("passed, but " + "; ".join(" ".join(row.split()) for row in missing))


def test_an_unknown_group_is_refused() -> None:
    run = subprocess.run([sys.executable, "-m", "bench", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert "there is no group nothing" in run.stderr


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [([30.0, 10.0, 40.0], "met"), ([10.0, 29.0, 31.0], "missed")],
)
def test_the_verdict_is_for_the_median_of_the_rounds(measured: list[float], verdict: str) -> None:
    result = comparison("a title", measured, [10.0] * 3, "rows/s", at_least(3))
    assert result.verdict == verdict
    assert result.target == ">= 3x"


def test_the_ratio_is_computed_within_each_round() -> None:
    result = comparison("a title", [10.0, 200.0], [5.0, 100.0], "rows/s")
    assert result.ratio == "2 (2-2)"


def test_a_speedup_is_the_inverse_ratio() -> None:
    assert comparison("a title", [2.0], [400.0], "ms", at_least(100), speedup=True).verdict == "met"


def test_a_figure_equal_to_its_limit_meets_the_target() -> None:
    assert figure("a title", [50.0], "ms", at_most(50, "ms")).verdict == "met"
    assert figure("a title", [0.0], "", at_most(0, "")).verdict == "met"


def test_a_figure_has_the_unit_once_and_its_range() -> None:
    assert figure("a title", [1234.5, 1000.0, 2000.0], "ms").measured == "1,234 ms (1,000-2,000)"


def test_a_tolerance_applies_above_and_below_the_limit() -> None:
    verdicts = [comparison("a title", [own], [10.0], "ms", within(1, 0.2)).verdict for own in (7.9, 8.1, 11.9, 12.1)]
    assert verdicts == ["missed", "met", "met", "missed"]
    assert str(within(1, 0.2)) == "1x +- 0.2x"


def test_a_metric_that_does_not_exist_is_an_error() -> None:
    samples = {'sockets{transport="ws"}': 2.0, 'sockets{transport="socketio"}': 1.0, "sockets_refused": 9.0}
    assert total(samples, "sockets") == 3
    assert total(samples, 'sockets{transport="ws"}') == 2
    assert increase({"sockets": 1.0}, {"sockets": 4.0}, "sockets") == 3
    with pytest.raises(LookupError):
        total(samples, "socket")


def test_the_metrics_that_the_benchmark_reads_exist() -> None:
    registries = (api.metrics.Metrics().registry, prober.metrics.Metrics().registry)
    exposed = "".join(generate_latest(registry).decode() for registry in registries)
    known = set(re.findall(r"^# TYPE (\S+)", exposed, re.MULTILINE))
    texts = [path.read_text() for path in (ROOT / "bench").glob("**/*.py")]
    read = {name for text in texts for name in re.findall(r"\bsla_(?:monitor|prober)_\w+", text)}
    assert len(read) >= 5
    assert read <= known


async def test_the_clock_can_be_set_for_a_session_and_shifted_for_all(any_database: str) -> None:
    moment = datetime(2026, 10, 25, 0, 16, tzinfo=UTC)
    read_clock = "SELECT present(), present_clock()"
    read_offset = "SELECT now() - present(), clock_timestamp() - present_clock()"
    async with (
        await sql.connect(any_database, application="test") as connection,
        await sql.connect(any_database, application="test") as other,
    ):
        recording = await recorder(connection)
        await recording.set_clock(moment)
        assert await (await connection.execute(read_clock)).fetchone() == (moment, moment)
        row = await (await other.execute(read_clock)).fetchone()
        assert row is not None
        assert all(abs(time - datetime.now(UTC)) < timedelta(minutes=1) for time in row)
        await shift_clock(connection, timedelta(hours=-2))
        for session in (connection, other):
            row = await (await session.execute(read_offset)).fetchone()
            assert row is not None
            assert all(abs(behind - timedelta(hours=2)) < timedelta(seconds=1) for behind in row)


def test_the_document_keeps_the_part_that_is_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.md"
    results = [
        figure("A | title", [60.0], "ms", at_most(50, "ms"), note="in two\nlines"),
        not_measured("Another", "not installed"),
    ]
    assert document.write(path, results, {"Date": "2026-01-01"}, "Medians.") == ["A | title"]
    path.write_text(path.read_text().replace("60 ms", "old figure") + "\nA | title: the disk.\n")
    assert document.write(path, results, {"Date": "2026-01-02"}, "Medians.") == []
    text = path.read_text()
    assert "- Date: 2026-01-02" in text
    assert "| A \\| title | 60 ms |  |  | <= 50 ms | missed |" in text
    assert "- **A | title**: in two lines" in text
    assert text.count(document.WRITTEN_BY_HAND) == 1
    assert text.endswith("\nA | title: the disk.\n")


def test_the_document_has_the_machine_and_all_versions() -> None:
    facts = document.facts({"postgresql": "PostgreSQL 18.6"})
    assert {"Date", "Machine", "System", "Engine postgresql", "blackbox_exporter", "Chromium"} <= facts.keys()
    assert all(facts.values())


def test_the_table_has_the_reason_for_a_result_that_is_not_measured() -> None:
    assert "not measured" in table([not_measured("a title", "not installed")])
    assert "    not installed" in table([not_measured("a title", "not installed")])
