"""No check that was made is lost: batches, outages, lost acknowledgements, refusals, full disks, crashes."""

import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec
import psycopg
import pytest

from prober import recorder as module
from prober.metrics import Metrics
from prober.recorder import Recorder
from prober.spool import Spool
from prober.store import Check, Store
from tests.pauses import pauses
from tests.prober.outages import Line

PATIENCE_S = 120.0
SPOOL_BYTES = 16 * 1024 * 1024


class Bench:
    """A running recorder on a database behind a line that can fail."""

    def __init__(self, line: Line, database_url: str, home: Path) -> None:
        self.line = line
        self.database_url = database_url
        self.metrics = Metrics()
        self.refused = home / "refused.jsonl"
        self.spool = Spool(home, SPOOL_BYTES)
        self.recorder = Recorder(Store(line.url, "local", self.metrics), self.spool, self.refused, self.metrics)
        self.now = datetime.now(UTC).replace(microsecond=0)

    def check(self, number: int, **changes: Any) -> Check:
        """The service's check of `number` seconds ago, as its rows are numbered in the database."""
        scheduled_at = self.now - timedelta(seconds=number)
        check = Check(
            service_id="web",
            location="local",
            scheduled_at=scheduled_at,
            finished_at=scheduled_at + timedelta(milliseconds=80),
            interval_seconds=60,
            status_code=200,
            success=True,
            severity="o",
            total_ms=80.5,
            dns_ms=None,
            connect_ms=0.5,
            tls_ms=None,
            first_byte_ms=70.0,
            attempts=1,
            error_type=None,
            error_message=None,
        )
        return msgspec.structs.replace(check, **changes)

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.recorder.put(self.check(number))

    def rows(self) -> list[int]:
        with psycopg.connect(self.database_url) as connection:
            found = connection.execute("SELECT scheduled_at FROM checks").fetchall()
        return sorted(round((self.now - at).total_seconds()) for (at,) in found)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"sla_prober_{name}", labels) or 0.0

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(PATIENCE_S):
            for pause_s in pauses():
                if condition():
                    return
                await anyio.sleep(pause_s)


@asynccontextmanager
async def running(database_url: str, home: Path) -> AsyncIterator[Bench]:
    """Ends like the process does: everything flushed."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO services (id, name, endpoint_url) VALUES ('web', 'Web', 'http://127.0.0.1/') "
            "ON CONFLICT DO NOTHING"
        )
    async with Line(database_url).serve() as line:
        bench = Bench(line, database_url, home)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(bench.recorder.run)
                yield bench
                bench.recorder.close()
        finally:
            bench.spool.close()


async def test_checks_become_rows(database: str, tmp_path: Path) -> None:
    async with running(database, tmp_path) as bench:
        failed = bench.check(
            1,
            success=False,
            severity="mo",
            status_code=None,
            total_ms=None,
            error_type="timeout",
            error_message="slow ✗",
        )
        bench.recorder.put(bench.check(2))
        bench.recorder.put(failed)

    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT * FROM checks ORDER BY scheduled_at").fetchall()
    good = msgspec.structs.astuple(bench.check(2))[: len(rows[0])]  # a certificate is no part of a row
    assert [row[:3] for row in rows] == [good[:3], msgspec.structs.astuple(failed)[:3]]
    assert {row[3] - row[2] for row in rows} == {timedelta(milliseconds=250)}  # over after 80: in that quarter second
    assert rows[0][5:] == good[5:]
    assert rows[1][5:] == (None, False, "mo", None, None, 0.5, None, 70.0, 1, "timeout", "slow ✗")
    assert bench.value("rows_total", result="stored") == 2
    assert bench.recorder.ready


async def test_a_single_check_is_stored_at_once_and_a_crowd_in_batches(database: str, tmp_path: Path) -> None:
    async with running(database, tmp_path) as bench:
        bench.put(0)
        await bench.until(lambda: bench.value("rows_total", result="stored") == 1)
        bench.put(*range(1, 2501))
        await bench.until(lambda: bench.value("rows_total", result="stored") == 2501)

        assert 4 <= bench.value("batch_rows_count") <= 6
        assert bench.value("batch_rows_bucket", le="1000.0") == bench.value("batch_rows_count")
    assert bench.rows() == list(range(2501))


async def test_an_outage_of_the_database_loses_nothing(database: str, tmp_path: Path) -> None:
    async with running(database, tmp_path) as bench:
        bench.put(9)
        await bench.until(lambda: bench.value("rows_total", result="stored") == 1)  # acknowledged, not only there
        bench.line.cut()
        bench.put(8, 7)
        await bench.until(lambda: bench.spool.records == 2)
        bench.put(6)
        await bench.until(lambda: bench.spool.records == 3)
        assert bench.recorder.ready
        assert not bench.recorder.database_answers

        bench.line.mend()
        await bench.until(lambda: bench.spool.records == 0)
        bench.put(5)

    assert bench.rows() == [5, 6, 7, 8, 9]
    assert bench.value("rows_total", result="duplicate") == 0


async def test_a_spool_of_a_version_before_certificates_is_replayed(database: str, tmp_path: Path) -> None:
    """Its records end with the error."""
    async with running(database, tmp_path) as bench:
        bench.line.cut()
        fields = list(msgspec.structs.astuple(bench.check(3)))
        bench.spool.append([msgspec.msgpack.encode(fields[: Check.__struct_fields__.index("error_message") + 1])])
        bench.put(2)
        await bench.until(lambda: bench.spool.records == 2)
        bench.line.mend()
        await bench.until(lambda: bench.spool.records == 0)

    assert bench.rows() == [2, 3]
    assert not bench.refused.exists()


async def test_a_certificate_goes_through_the_spool(database: str, tmp_path: Path) -> None:
    async with running(database, tmp_path) as bench:
        expires_at = bench.now + timedelta(days=30)
        bench.line.cut()
        bench.recorder.put(bench.check(2, certificate_expires_at=expires_at, certificate_issuer="Acme"))
        bench.put(1)
        await bench.until(lambda: bench.spool.records == 2)
        bench.line.mend()
        await bench.until(lambda: bench.spool.records == 0)

    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT certificate_expires_at, certificate_issuer FROM service_status").fetchall()
    assert found == [(expires_at, "Acme")]


async def test_rows_are_replayed_before_newer_ones(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 10)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE arrivals (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz)")
        connection.execute(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN INSERT INTO arrivals (at) VALUES (NEW.scheduled_at); RETURN NULL; END'"
        )
        connection.execute("CREATE TRIGGER note AFTER INSERT ON checks FOR EACH ROW EXECUTE FUNCTION note()")
    async with running(database, tmp_path) as bench:
        bench.line.cut()
        bench.put(*range(300, 100, -1))
        await bench.until(lambda: bench.spool.records == 200)
        bench.line.mend()
        for number in range(100, 0, -1):
            bench.put(number)
            await anyio.lowlevel.checkpoint()
        await bench.until(lambda: len(bench.rows()) == 300)

    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT at FROM arrivals ORDER BY id").fetchall()
    assert [at for (at,) in found] == sorted(at for (at,) in found)


async def test_a_lost_acknowledgement_of_commit_stores_nothing_twice(database: str, tmp_path: Path) -> None:
    async with running(database, tmp_path) as bench:
        bench.line.lose_next_commit = True
        bench.put(1, 2, 3)
        await bench.until(lambda: bench.line.commits_lost == 1 and bench.value("rows_total", result="duplicate") == 3)

    assert bench.rows() == [1, 2, 3]
    assert bench.spool.records == 0


async def test_a_silent_network_is_an_outage_too(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DIRECT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(module, "REPLAY_TIMEOUT_S", 4.0)  # on a busy machine a batch takes longer than a moment
    async with running(database, tmp_path) as bench:
        bench.put(3)
        await bench.until(lambda: bench.value("rows_total", result="stored") == 1)
        bench.line.blackhole()
        bench.put(2)
        await bench.until(lambda: bench.spool.records == 1)
        bench.put(1)
        await bench.until(lambda: bench.spool.records == 2)

        bench.line.mend()
        await bench.until(lambda: bench.rows() == [1, 2, 3])
        await bench.until(lambda: bench.spool.records == 0)


async def test_killed_backends_cost_nothing(database: str, tmp_path: Path) -> None:
    async with running(database, tmp_path) as bench:
        for number in range(10):
            bench.put(number)
            await bench.until(lambda number=number: number in bench.rows())  # type: ignore[misc]
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'sla-monitor prober local'"
                )
    assert bench.rows() == list(range(10))


async def test_a_database_without_the_schema_is_waited_for(empty_database: str, tmp_path: Path) -> None:
    async with Line(empty_database).serve() as line:
        bench = Bench(line, empty_database, tmp_path)
        async with anyio.create_task_group() as group:
            group.start_soon(bench.recorder.run)
            bench.put(1)
            await bench.until(lambda: bench.value("database_failures_total") >= 2)
            bench.recorder.close()
        assert bench.spool.records == 1
        assert not bench.refused.exists()
        bench.spool.close()


async def test_one_bad_row_is_set_aside_and_the_rest_stored(database: str, tmp_path: Path) -> None:
    async with running(database, tmp_path) as bench:
        bench.put(*range(20))
        bench.recorder.put(bench.check(20, error_message="NUL \0 is no text to PostgreSQL"))
        bench.recorder.put(bench.check(21, error_message="a lone \ud800 surrogate"))
        bench.put(*range(22, 40))
        await bench.until(lambda: bench.value("rows_total", result="stored") == 38)

    assert bench.rows() == [*range(20), *range(22, 40)]
    assert bench.value("rows_total", result="refused") == 2
    lines = [msgspec.json.decode(line) for line in bench.refused.read_bytes().splitlines()]
    assert len(lines) == 2
    assert "0x00" in lines[0]["reason"]
    assert "scheduled_at=" in lines[0]["check"]


async def test_a_bad_row_in_the_spool_does_not_block_it(database: str, tmp_path: Path) -> None:
    async with running(database, tmp_path) as bench:
        bench.line.cut()
        bench.recorder.put(bench.check(1, error_message="\0"))
        bench.recorder.put(bench.check(2, error_message="a lone \ud800 surrogate"))
        bench.put(3)
        await bench.until(lambda: bench.spool.records > 0)
        bench.spool.append([b"written by another version"])
        bench.line.mend()
        await bench.until(lambda: bench.spool.records == 0)

    assert bench.rows() == [3]
    assert bench.value("rows_total", result="refused") == 3


async def test_what_record_checks_parks_is_counted(database: str, tmp_path: Path) -> None:
    async with running(database, tmp_path) as bench:
        bench.recorder.put(bench.check(1, service_id="deleted-meanwhile"))
        bench.put(2)

    assert bench.rows() == [2]
    assert bench.value("rows_total", result="parked") == 1


async def test_a_full_disk_keeps_the_newest_in_memory(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "QUEUE_ROWS", 5)
    monkeypatch.setattr(module, "DISK_RETRY_S", 0.02)
    home = tmp_path / "home"
    async with running(database, home) as bench:
        bench.line.cut()
        shutil.rmtree(home)  # like a full disk, it cannot be written to
        for number in range(9, 0, -1):
            bench.put(number)
            await bench.until(lambda: bench.value("spool_failures_total") > 0)
            await anyio.sleep(0.005)
        assert bench.value("queue_rows") <= 6
        assert bench.value("queue_dropped_rows_total") >= 3
        assert (bench.recorder.database_answers, bench.recorder.spool_works) == (False, False)
        assert "the spool cannot be written" in caplog.text

        bench.line.mend()
        await bench.until(lambda: bench.recorder.ready and bench.value("queue_rows") == 0)
    assert bench.rows()[:5] == [1, 2, 3, 4, 5]


async def test_a_cancelled_recorder_keeps_what_is_in_memory(database: str, tmp_path: Path) -> None:
    async with Line(database).serve() as line:
        bench = Bench(line, database, tmp_path)
        line.blackhole()
        async with anyio.create_task_group() as group:
            group.start_soon(bench.recorder.run)
            bench.put(*range(10))
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        assert bench.spool.records == 10
        bench.spool.close()
    assert bench.rows() == []


async def test_the_next_process_replays_what_the_last_one_left(database: str, tmp_path: Path) -> None:
    async with running(database, tmp_path) as bench:
        bench.line.cut()
        bench.put(1, 2)
    assert bench.spool.records == 2

    async with running(database, tmp_path) as successor:
        await successor.until(lambda: successor.spool.records == 0)
        successor.now = bench.now
        assert successor.rows() == [1, 2]


async def test_an_outage_is_two_lines_in_the_log(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="prober")
    async with running(database, tmp_path) as bench:
        bench.line.cut()
        for number in range(5):
            bench.put(number)
            await bench.until(lambda number=number: bench.spool.records == number + 1)  # type: ignore[misc]
        bench.line.mend()
        await bench.until(lambda: "the spool is empty again" in caplog.text)

    messages = [record.getMessage() for record in caplog.records if record.name.startswith("prober")]
    assert len(messages) <= 3
    assert messages[-1] == "the spool is empty again: 5 checks replayed"
    assert not any("\n" in message for message in messages)
