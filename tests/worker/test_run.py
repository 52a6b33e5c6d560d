"""The worker as a process: several of them, start and end, /ready and metrics."""

import json
import signal
import socket
import time
from pathlib import Path

import anyio
import pytest

from tests.database_proxy import DatabaseProxy
from tests.processes import TIMEOUT_S, ServiceProcess, running_worker
from tests.sql.batches import connected, until_true, value
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
WHERE application_name = 'sla-monitor worker' AND datname = current_database() AND wait_event_type = 'Lock'
"""


async def wait_until_all_held(one: ServiceProcess, timeout_s: float = TIMEOUT_S) -> None:
    """Waits until this worker holds every duty."""
    await one.wait_for("/ready", lambda status, text: status == 200 and json.loads(text)["duties"] == ALL, timeout_s)


async def test_it_has_metrics_and_ends_in_time(database: str, tmp_path: Path) -> None:
    with running_worker(database, tmp_path) as one:
        await wait_until_all_held(one)
        assert one.get("/health") == (200, '{"status":"ok"}')
        assert one.get("/nothing")[0] == 404
        done = 'sla_worker_duty_rounds_total{duty="%s",result="done"}'
        for name in ALL:
            await one.wait_for("/metrics", lambda _, text, name=name: done % name in text)  # type: ignore[misc]
        began = time.monotonic()
        assert await one.end() == 0
        assert time.monotonic() - began < 10
        assert "Traceback" not in one.log()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], ids=["kill", "stop", "hang"])
async def test_each_duty_has_one_worker_and_another_takes_over(
    database: str, tmp_path: Path, how: signal.Signals
) -> None:
    """A worker that hangs loses its duties although its connections stay open."""
    async with connected(database) as db:
        with (
            running_worker(database, tmp_path, "first") as first,
            running_worker(database, tmp_path, "second") as second,
        ):
            for one in (first, second):
                await one.wait_for("/ready", lambda status, _: status == 200)
            await until_true(db, HELD)
            held = {one: json.loads(one.get("/ready")[1])["duties"] for one in (first, second)}
            assert sorted(held[first] + held[second]) == ALL
            busy, idle = (first, second) if held[first] else (second, first)
            began = time.monotonic()
            busy.process.send_signal(how)
            await wait_until_all_held(idle, TAKEN_OVER_WITHIN_S)
            assert time.monotonic() - began < TAKEN_OVER_WITHIN_S
            assert await value(db, HELD)
            for name in ("expiry", "maintenance", "presence", "aggregates"):
                done = f'sla_worker_duty_rounds_total{{duty="{name}",result="done"}}'
                await idle.wait_for("/metrics", lambda _, text, done=done: done in text)  # type: ignore[misc]


async def test_a_statement_of_a_killed_worker_is_cancelled(database: str, tmp_path: Path) -> None:
    """The statement waits for a lock. It must not block the same statement of the next worker."""
    async with connected(database) as db, connected(database) as other, other.transaction():
        await other.execute("LOCK TABLE audit_entries IN ACCESS EXCLUSIVE MODE")
        with running_worker(database, tmp_path) as one:
            await until_true(db, f"SELECT count(*) = 1 {WAITING}")
            await one.end(signal.SIGKILL)
        with anyio.fail_after(TAKEN_OVER_WITHIN_S):
            await until_true(db, f"SELECT count(*) = 0 {WAITING}")


async def test_it_ends_in_time_if_the_database_does_not_respond(database: str, tmp_path: Path) -> None:
    async with DatabaseProxy(database).serve() as proxy:
        with running_worker(proxy.url, tmp_path) as one:
            await wait_until_all_held(one)
            proxy.blackhole()
            await one.wait_for("/ready", lambda status, _: status == 503)
            began = time.monotonic()
            assert await one.end() == 0
            assert time.monotonic() - began < 10
            proxy.break_connections()


async def test_a_second_signal_ends_it_at_once(database: str, tmp_path: Path) -> None:
    async with DatabaseProxy(database).serve() as proxy:
        with running_worker(proxy.url, tmp_path) as one:
            await wait_until_all_held(one)
            proxy.blackhole()
            await one.wait_for("/ready", lambda status, _: status == 503)
            async with await anyio.connect_tcp("127.0.0.1", one.port) as stream:
                one.process.send_signal(signal.SIGTERM)
                with anyio.fail_after(TIMEOUT_S), pytest.raises(anyio.EndOfStream):
                    await stream.receive()  # ends when the first signal has been handled
            assert await one.end() == -signal.SIGTERM
            proxy.break_connections()


async def test_it_starts_before_the_database(database: str, tmp_path: Path) -> None:
    async with DatabaseProxy(database).serve() as proxy:
        proxy.disconnect()
        with running_worker(proxy.url, tmp_path) as one:
            await one.wait_for("/health", lambda status, _: status == 200)
            assert one.get("/ready")[0] == 503
            proxy.restore()
            await wait_until_all_held(one)


async def test_it_migrates_the_schema_first(empty_database: str, tmp_path: Path) -> None:
    with running_worker(empty_database, tmp_path) as one:
        await wait_until_all_held(one)
        assert one.get("/metrics")[1].count('result="failed"') == 0


async def test_a_port_in_use_gives_an_error_of_one_line(database: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with running_worker(database, tmp_path, WORKER_PORT=str(port)) as one:
            assert await anyio.to_thread.run_sync(lambda: one.process.wait(TIMEOUT_S)) == 1
            line = one.log().splitlines()
    assert line == [f"sla-monitor: WORKER_PORT={port} on 127.0.0.1 is in use: set WORKER_PORT to a free port"]
