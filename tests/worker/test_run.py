"""The process: several of them, their ends, and what they report."""

import json
import signal
import socket
import time
from pathlib import Path

import anyio
import pytest

from tests.prober.outages import Line
from tests.sql.batches import connected, until_true, value
from tests.worker.processes import PATIENCE_S, Worker, worker
from worker.duties import DUTIES

TAKEN_OVER_WITHIN_S = 15.0
ALL = sorted(duty.name for duty in DUTIES)
HELD = f"""
SELECT count(*) = {len(ALL)}
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND application_name = 'sla-monitor worker locks'
  AND datname = current_database()
"""
WAITING = """
FROM pg_stat_activity
WHERE application_name = 'sla-monitor worker duty' AND datname = current_database() AND wait_event_type = 'Lock'
"""


async def has_all(one: Worker, patience_s: float = PATIENCE_S) -> None:
    """Returns when every duty is this worker's."""
    await one.answers("/ready", lambda status, text: status == 200 and json.loads(text)["duties"] == ALL, patience_s)


async def test_it_reports_and_ends_in_time(database: str, tmp_path: Path) -> None:
    with worker(database, tmp_path) as one:
        await has_all(one)
        assert one.get("/health") == (200, '{"status":"ok"}')
        assert one.get("/nothing")[0] == 404
        done = 'sla_worker_duty_rounds_total{duty="%s",result="done"}'
        for name in ALL:
            await one.answers("/metrics", lambda _, text, name=name: done % name in text)  # type: ignore[misc]
        began = time.monotonic()
        assert await one.end() == 0
        assert time.monotonic() - began < 10
        assert "Traceback" not in one.log()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], ids=["kill", "stop", "hang"])
async def test_each_duty_is_done_by_one_and_another_takes_over(
    database: str, tmp_path: Path, how: signal.Signals
) -> None:
    """A worker that hangs keeps its connections, and loses its duties all the same."""
    async with connected(database) as db:
        with worker(database, tmp_path, "first") as first, worker(database, tmp_path, "second") as second:
            for one in (first, second):
                await one.answers("/ready", lambda status, _: status == 200)
            await until_true(db, HELD)
            held = {one: json.loads(one.get("/ready")[1])["duties"] for one in (first, second)}
            assert sorted(held[first] + held[second]) == ALL
            busy, idle = (first, second) if held[first] else (second, first)
            began = time.monotonic()
            busy.process.send_signal(how)
            await has_all(idle, TAKEN_OVER_WITHIN_S)
            assert time.monotonic() - began < TAKEN_OVER_WITHIN_S
            assert await value(db, HELD)
            for name in ("expiry", "maintenance", "presence", "aggregates"):
                done = f'sla_worker_duty_rounds_total{{duty="{name}",result="done"}}'
                await idle.answers("/metrics", lambda _, text, done=done: done in text)  # type: ignore[misc]


async def test_what_a_killed_worker_had_begun_ends_with_it(database: str, tmp_path: Path) -> None:
    """Its statement waits in the database for a lock that is not given; the next worker's must not wait for that."""
    async with connected(database) as db, connected(database) as other, other.transaction():
        await other.execute("LOCK TABLE audit_entries IN ACCESS EXCLUSIVE MODE")
        with worker(database, tmp_path) as one:
            await until_true(db, f"SELECT count(*) = 1 {WAITING}")
            await one.end(signal.SIGKILL)
        with anyio.fail_after(TAKEN_OVER_WITHIN_S):
            await until_true(db, f"SELECT count(*) = 0 {WAITING}")


async def test_it_ends_in_time_though_the_database_is_silent(database: str, tmp_path: Path) -> None:
    async with Line(database).serve() as line:
        with worker(line.url, tmp_path) as one:
            await has_all(one)
            line.blackhole()
            await one.answers("/ready", lambda status, _: status == 503)
            began = time.monotonic()
            assert await one.end() == 0
            assert time.monotonic() - began < 10
            line.break_connections()


async def test_a_second_signal_ends_it_at_once(database: str, tmp_path: Path) -> None:
    async with Line(database).serve() as line:
        with worker(line.url, tmp_path) as one:
            await has_all(one)
            line.blackhole()
            await one.answers("/ready", lambda status, _: status == 503)
            async with await anyio.connect_tcp("127.0.0.1", one.port) as stream:
                one.process.send_signal(signal.SIGTERM)
                with anyio.fail_after(PATIENCE_S), pytest.raises(anyio.EndOfStream):
                    await stream.receive()  # the first signal is handled
            assert await one.end() == -signal.SIGTERM
            line.break_connections()


async def test_it_starts_before_the_database(database: str, tmp_path: Path) -> None:
    async with Line(database).serve() as line:
        line.cut()
        with worker(line.url, tmp_path) as one:
            await one.answers("/health", lambda status, _: status == 200)
            assert one.get("/ready")[0] == 503
            line.mend()
            await has_all(one)


async def test_it_brings_the_schema_up_to_date_first(empty_database: str, tmp_path: Path) -> None:
    with worker(empty_database, tmp_path) as one:
        await has_all(one)
        assert one.get("/metrics")[1].count('result="failed"') == 0


async def test_a_port_that_is_taken_is_one_line(database: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with worker(database, tmp_path, WORKER_PORT=str(port)) as one:
            assert await anyio.to_thread.run_sync(lambda: one.process.wait(PATIENCE_S)) == 1
            line = one.log().splitlines()
    assert line == [f"sla-monitor: WORKER_PORT={port} on 127.0.0.1 is taken: set WORKER_PORT to a free port"]
