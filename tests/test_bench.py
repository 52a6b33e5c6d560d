"""The benchmark: every group runs at its smallest size on a real database and prints a table."""

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
from bench.exposition import grown, total
from bench.recording import recorder, shift_clock
from bench.report import FAILED, NOT_MEASURED, about, absolute, compared, least, most, not_measured, table
from tests.conftest import SERVERS

ROOT = Path(__file__).parents[1]
PATIENCE_S = 600
"""The slowest case takes half a minute on an idle machine."""
CASES = [
    ("ingest aggregates storage reads pipeline", "postgresql"),
    ("prober punctuality sustained", "postgresql"),
    ("api feed", "postgresql"),
    ("pages start", "postgresql"),
    ("aggregates storage", "timescaledb"),  # these groups have lines about TimescaleDB
]
"""The groups of one process and server, and its engine."""
CLOCK = """
CREATE OR REPLACE FUNCTION present() RETURNS timestamptz LANGUAGE sql STABLE RETURN now();
CREATE OR REPLACE FUNCTION present_clock() RETURNS timestamptz LANGUAGE sql VOLATILE RETURN clock_timestamp()
"""


def test_the_cases_cover_every_group() -> None:
    assert sorted(" ".join(groups for groups, engine in CASES if engine == "postgresql").split()) == sorted(GROUPS)


@pytest.mark.parametrize(("groups", "engine_name"), CASES)
def test_every_group_runs_at_its_smallest_size(groups: str, engine_name: str, pytestconfig: pytest.Config) -> None:
    """A missed target means nothing at this size. A line that was not measured skips the test, so that it is
    reported."""
    if engine_name not in pytestconfig.stash[SERVERS].engines:
        pytest.skip(f"{engine_name}: none found, or left out by SLA_MONITOR_TEST_ENGINES")
    command = [sys.executable, "-m", "bench", "--tiny", *groups.split()]
    environment = {**os.environ, "SLA_MONITOR_TEST_ENGINES": engine_name}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stderr
    headings, rule, *rows = run.stdout.splitlines()
    assert headings.split() == ["ours", "peer", "ratio", "(spread)", "target", "verdict"]
    assert set(rule) <= {"-", " "}
    lines = [row for row in rows[: rows.index("")] if not row.startswith(" ")]
    assert len(lines) >= len(groups.split())
    assert not [row for row in lines if row.endswith(FAILED)]
    elsewhere = "timescaledb" if engine_name == "postgresql" else None  # excluded by SLA_MONITOR_TEST_ENGINES above
    missing = [row for row in lines if row.endswith(NOT_MEASURED) and not (elsewhere and elsewhere in row)]
    if missing:
        pytest.skip("ran, but " + "; ".join(" ".join(row.split()) for row in missing))


def test_an_unknown_group_is_an_error() -> None:
    run = subprocess.run([sys.executable, "-m", "bench", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert "there is no group nothing" in run.stderr


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [([30.0, 10.0, 40.0], "met"), ([10.0, 29.0, 31.0], "missed")],
)
def test_the_median_of_the_rounds_decides_the_verdict(ours: list[float], verdict: str) -> None:
    line = compared("a line", ours, [10.0] * 3, "rows/s", least(3))
    assert line.verdict == verdict
    assert line.target == ">= 3x"


def test_each_round_is_divided_by_the_peer_of_the_same_round() -> None:
    line = compared("a line", [10.0, 200.0], [5.0, 100.0], "rows/s")
    assert line.ratio == "2 (2-2)"


def test_inverse_divides_the_peer_by_ours() -> None:
    assert compared("a line", [2.0], [400.0], "ms", least(100), inverse=True).verdict == "met"


def test_a_value_equal_to_its_limit_meets_it() -> None:
    assert absolute("a line", [50.0], "ms", most(50, "ms")).verdict == "met"
    assert absolute("a line", [0.0], "", most(0, "")).verdict == "met"


def test_a_tolerance_applies_above_and_below() -> None:
    verdicts = [compared("a line", [own], [10.0], "ms", about(1, 0.2)).verdict for own in (7.9, 8.1, 11.9, 12.1)]
    assert verdicts == ["missed", "met", "met", "missed"]
    assert str(about(1, 0.2)) == "1x +- 0.2x"


def test_a_missing_metric_is_an_error_and_not_zero() -> None:
    samples = {'sockets{transport="ws"}': 2.0, 'sockets{door="socketio"}': 1.0, "sockets_refused": 9.0}
    assert total(samples, "sockets") == 3
    assert total(samples, 'sockets{transport="ws"}') == 2
    assert grown({"sockets": 1.0}, {"sockets": 4.0}, "sockets") == 3
    with pytest.raises(LookupError):
        total(samples, "socket")


def test_every_metric_that_the_benchmark_reads_exists() -> None:
    registries = (api.metrics.Metrics().registry, prober.metrics.Metrics().registry)
    exposed = "".join(generate_latest(registry).decode() for registry in registries)
    known = set(re.findall(r"^# TYPE (\S+)", exposed, re.MULTILINE))
    texts = [path.read_text() for path in (ROOT / "bench").glob("**/*.py")]
    read = {name for text in texts for name in re.findall(r"\bsla_(?:monitor|prober)_\w+", text)}
    assert len(read) >= 5
    assert read <= known


async def test_the_clock_of_one_session_can_be_set_and_of_all_be_shifted(any_database: str) -> None:
    """In a schema with present(), whose definition the benchmark replaces."""
    moment = datetime(2026, 10, 25, 0, 16, tzinfo=UTC)
    statement = "SELECT present(), present_clock()"
    async with (
        await sql.connect(any_database, application="test") as connection,
        await sql.connect(any_database, application="test") as other,
    ):
        await connection.execute(CLOCK)
        recording = await recorder(connection)
        await recording.set_clock(moment)
        assert await (await connection.execute(statement)).fetchone() == (moment, moment)
        row = await (await other.execute(statement)).fetchone()
        assert row is not None
        assert all(abs(time - datetime.now(UTC)) < timedelta(minutes=1) for time in row)
        assert await shift_clock(connection, timedelta(hours=-2))
        row = await (await other.execute("SELECT now() - present(), clock_timestamp() - present_clock()")).fetchone()
        assert row is not None
        assert all(abs(ahead - timedelta(hours=2)) < timedelta(seconds=1) for ahead in row)


def test_the_document_keeps_text_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.md"
    lines = [
        absolute("A | line", [60.0], "ms", most(50, "ms"), note="in two\nlines"),
        not_measured("Another", "no peer"),
    ]
    assert document.write(path, lines, {"Date": "2026-01-01"}, "Medians.") == ["A | line"]
    path.write_text(path.read_text().replace("60 ms", "stale") + "\nA | line: the disk.\n")
    assert document.write(path, lines, {"Date": "2026-01-02"}, "Medians.") == []
    text = path.read_text()
    assert "- Date: 2026-01-02" in text
    assert "| A \\| line | 60 ms |  |  | <= 50 ms | missed |" in text
    assert "- **A | line**: in two lines" in text
    assert text.count(document.KEPT) == 1
    assert text.endswith("\nA | line: the disk.\n")


def test_the_document_names_the_machine_and_the_versions() -> None:
    facts = document.facts({"postgresql": "PostgreSQL 18.6"})
    assert {"Date", "Machine", "System", "Engine postgresql", "blackbox_exporter", "Chromium"} <= facts.keys()
    assert all(facts.values())


def test_a_line_without_a_measurement_shows_its_reason() -> None:
    assert "not measured" in table([not_measured("a line", "no peer here")])
    assert "    no peer here" in table([not_measured("a line", "no peer here")])
