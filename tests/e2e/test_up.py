"""`sla-monitor up` in an empty folder: it starts PostgreSQL, stores checks within seconds, stops cleanly and keeps the
data."""

import os
import re
import signal
import socket
import time
from pathlib import Path

import anyio.to_thread
import psycopg
import pytest

from sla_monitor.local_postgresql.server import running_url
from tests.e2e.program import PATIENCE_S, STOP_PATIENCE_S, Program, command, left_running, running
from tests.ports import free_port, free_ports
from worker.duties import DUTIES

EACH_SECOND = {"HEALTH_CHECK_INTERVAL": "1s"}
Row = tuple[object, ...]


def database_of(home: Path) -> str:
    """Returns the URL of the database of the `up` that runs in this folder."""
    url = running_url(home / "postgresql")
    assert url is not None
    return url


async def fetch(home: Path, statement: str) -> list[Row]:
    async with await psycopg.AsyncConnection.connect(database_of(home)) as connection:
        return await (await connection.execute(statement.encode())).fetchall()


async def checks(home: Path) -> int:
    """Returns the number of stored checks."""
    [(count,)] = await fetch(home, "SELECT count(*) FROM watch_server_logs")
    assert isinstance(count, int)
    return count


async def assert_ends(program: Program, number: signal.Signals) -> None:
    """Sends the signal. Asserts that the program ends within STOP_PATIENCE_S with exit code 0, and that its output has
    no errors."""
    began = time.monotonic()
    assert await program.end(number) == 0, program.output
    assert time.monotonic() - began < STOP_PATIENCE_S
    assert "Stopping …" in program.output
    assert "Traceback" not in program.output
    assert " ERROR " not in program.output


async def test_a_first_start_stores_checks_within_seconds_and_stops_cleanly(home: Path) -> None:
    ports = free_ports()
    async with running("up", home, ports, **EACH_SECOND) as program:
        await program.wait_for_output("The first check is stored")
        waited = re.search(r"stored, (\d+\.\d) s after the start", program.output)
        assert waited is not None
        assert float(waited[1]) < 60  # five seconds on an idle machine
        for expected in (
            f"PostgreSQL, embedded, in {home}",
            f"http://127.0.0.1:{ports[0]}/api/system-status",
            f"http://127.0.0.1:{ports[0]}/docs",
            f"http://127.0.0.1:{ports[1]}/metrics",
            f"{program.worker.base_url}/metrics",
            "Press Ctrl-C to stop.",
        ):
            assert expected in program.output
        await program.ready()
        await program.until(lambda: _has_every_duty(program))
        assert (await program.states())["sla-monitor"] == "operational"
        assert (await program.get("/api/system-status"))["overallStatus"] == "operational"
        assert await fetch(home, "SELECT id, enabled FROM services ORDER BY 1") == [
            ("curp-verifier", False),
            ("face-compare", False),
            ("face-liveness", False),
            ("id-liveness", False),
            ("id-recognition", False),
            ("sla-monitor", True),
        ]
        assert await fetch(home, "SELECT DISTINCT is_success, status_code FROM watch_server_logs") == [(True, 200)]
        await assert_ends(program, signal.SIGINT)
    assert left_running(home) == {}


async def _has_every_duty(program: Program) -> bool:
    ready = await program.worker.get("/ready")
    return ready.status_code == 200 and len(ready.json()["duties"]) == len(DUTIES)


async def test_a_second_start_keeps_the_data_and_uses_new_settings(home: Path) -> None:
    async with running("up", home, **EACH_SECOND) as program:
        await program.wait_for_output("The first check is stored")
        before = await checks(home)
        await assert_ends(program, signal.SIGTERM)
    api, prober = free_ports()
    url = f"http://127.0.0.1:{api}/ready"
    async with running("up", home, (api, prober), **EACH_SECOND, FACE_COMPARE_ENDPOINT=url) as program:
        await program.wait_for_output("The first check is stored")
        await program.until(lambda: _is_operational(program, "face-compare"))
        await program.until(lambda: _is_operational(program, "sla-monitor"))
        assert await checks(home) > before
        # Neither the stop, nor the start, nor the new port is recorded as an outage of the API.
        assert await fetch(home, "SELECT * FROM outages") == []
        await assert_ends(program, signal.SIGTERM)
    assert left_running(home) == {}


async def _is_operational(program: Program, service_id: str) -> bool:
    return (await program.states())[service_id] == "operational"


# Whether a session waits for an advisory lock of this database.
WAITING = """
SELECT count(*) > 0 FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.mark.parametrize("part", [0, 1], ids=["api", "prober"])
async def test_a_port_taken_during_the_start_is_an_error_before_the_start_message(
    any_database: str, home: Path, part: int
) -> None:
    ports = free_ports()
    async with await psycopg.AsyncConnection.connect(any_database, autocommit=True) as db:
        await db.execute("SELECT pg_advisory_lock(hashtextextended('sla-monitor migrate', 0))")
        async with running("up", home, ports, DATABASE_URL=any_database) as program:

            async def waits() -> bool:
                return await (await db.execute(WAITING)).fetchone() == (True,)

            await program.until(waits)
            with socket.create_server(("127.0.0.1", ports[part])):
                await db.execute("SELECT pg_advisory_unlock(hashtextextended('sla-monitor migrate', 0))")
                assert await anyio.to_thread.run_sync(lambda: program.process.wait(PATIENCE_S)) == 1, program.output
            assert str(ports[part]) in program.output
            assert "Ctrl-C" not in program.output
            assert "Traceback" not in program.output


def test_one_port_for_two_parts_is_refused(any_database: str, home: Path) -> None:
    port = str(free_port())
    variables = {"DATABASE_URL": any_database, "PORT": port, "WATCH_SERVER_PORT": port}
    ended = command("up", SLA_MONITOR_HOME=str(home), **variables)
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert f"WATCH_SERVER_PORT={port}" in line


async def test_up_works_on_a_terminal_that_is_not_utf_8(any_database: str, home: Path) -> None:
    variables = {"DATABASE_URL": any_database, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    async with running("up", home, **variables) as program:
        await program.wait_for_output(r"Press Ctrl-C to stop\.")
        assert await program.end(signal.SIGINT) == 0, program.output
        assert "Stopping \\u2026" in program.output
        assert "Traceback" not in program.output


async def test_a_second_up_on_the_same_folder_is_an_error(shared_home: Path) -> None:
    async with running("up", shared_home, **EACH_SECOND) as program:
        await program.wait_for_output("The first check is stored")
        api, prober = free_ports()
        second = await anyio.to_thread.run_sync(
            lambda: command("up", SLA_MONITOR_HOME=str(shared_home), PORT=str(api), WATCH_SERVER_PORT=str(prober))
        )
        assert (second.returncode, second.stdout) == (1, "")
        [line] = second.stderr.splitlines()
        assert re.fullmatch(
            rf"sla-monitor: already running on {shared_home}/postgresql \(process {program.process.pid}\)", line
        )
        # Other commands use the database of the running program without DATABASE_URL.
        listed = await anyio.to_thread.run_sync(lambda: command("services", "list", SLA_MONITOR_HOME=str(shared_home)))
        assert re.search(r"^sla-monitor +SLA Monitor API +http://\S+/health +yes$", listed.stdout, re.MULTILINE)
        before = await checks(shared_home)
        await program.until(lambda: _more_checks(shared_home, before))
        await assert_ends(program, signal.SIGINT)


async def _more_checks(home: Path, before: int) -> bool:
    return await checks(home) > before


async def test_killed_parts_are_restarted(shared_home: Path) -> None:
    async with running("up", shared_home, **EACH_SECOND) as program:
        await program.wait_for_output("The first check is stored")
        for part in ("api", "prober", "worker"):
            [victim] = [
                process_id for process_id, line in left_running(shared_home).items() if line.endswith(f" {part} ")
            ]
            os.kill(victim, signal.SIGKILL)
        for part in ("api", "prober", "worker"):
            await program.wait_for_output(rf"the {part} ended with code -9 .*; it is restarted")
        before = await checks(shared_home)
        await program.ready()
        await program.until(lambda: _more_checks(shared_home, before))
        await program.until(lambda: _has_every_duty(program))
        assert await program.end() == 0


async def test_a_killed_up_leaves_no_process_and_can_be_restarted(shared_home: Path) -> None:
    ports = free_ports()
    async with running("up", shared_home, ports, **EACH_SECOND) as program:
        await program.wait_for_output("The first check is stored")
        before = await checks(shared_home)
        await program.end(signal.SIGKILL)
    async with running("up", shared_home, ports, **EACH_SECOND) as program:
        await program.wait_for_output("The first check is stored")
        await program.ready()
        assert await checks(shared_home) > before
        await assert_ends(program, signal.SIGTERM)
    assert left_running(shared_home) == {}
