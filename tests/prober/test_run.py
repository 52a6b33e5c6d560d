"""The prober as a process: it starts, works, survives and ends as it says."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path

import anyio
import anyio.to_thread
import psycopg
import pytest

from prober.run import CHECKS_PATIENCE_S
from tests.prober.outages import Line, missing_seconds
from tests.prober.targets import Behaviour, good, hang, serving

PATIENCE_S = 120.0
PROBER = """
import anyio, logging, sys
from prober.run import run
from sla_monitor.settings import StartError, load
logging.basicConfig(level="INFO", stream=sys.stderr)
try:
    anyio.run(run, load(), sys.argv[1], backend_options={"use_uvloop": True})
except StartError as error:
    sys.exit(str(error))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Prober:
    """A prober process on a home folder, and what it answers."""

    def __init__(self, database_url: str, home: Path, **environment: str) -> None:
        self.port = free_port()
        self._log = (home / "prober.log").open("ab+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROBER, database_url],
            stderr=self._log,
            env={**os.environ, "SLA_MONITOR_HOME": str(home), "WATCH_SERVER_PORT": str(self.port), **environment},
        )

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    async def answers(self, path: str, condition: Callable[[int, str], bool]) -> None:
        with anyio.fail_after(PATIENCE_S):
            while not condition(*await anyio.to_thread.run_sync(self.get, path)):
                assert self.process.poll() is None, self.log()
                await anyio.sleep(0.05)

    async def is_ready(self) -> None:
        await self.answers("/ready", lambda status, _: status == 200)

    async def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await anyio.to_thread.run_sync(lambda: self.process.wait(PATIENCE_S))

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()


@contextmanager
def prober(database_url: str, home: Path, **environment: str) -> Iterator[Prober]:
    running = Prober(database_url, home, **environment)
    try:
        yield running
    finally:
        running.close()


@asynccontextmanager
async def watched(
    database_url: str, behaviour: Behaviour, service_id: str = "web", timeout_ms: int = 60_000
) -> AsyncIterator[None]:
    """A target, and a service that is to be checked each second."""
    async with serving(behaviour) as port:
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "INSERT INTO services (id, name, endpoint_url, interval_seconds, timeout_ms) "
                "VALUES (%(id)s, %(id)s, %(url)s, 1, %(timeout)s)",
                {"id": service_id, "url": f"http://127.0.0.1:{port}/", "timeout": timeout_ms},
            )
        yield


def execute(database_url: str, statement: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(statement.encode())


def slots(database_url: str, service_id: str = "web") -> list[datetime]:
    """The seconds that checks stand for: more than one where a check has taken longer than its second."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT scheduled_at + number * interval '1 second' FROM checks "
            "CROSS JOIN generate_series(0, interval_seconds - 1) AS number WHERE service_id = %s ORDER BY 1",
            (service_id,),
        ).fetchall()
    return [at for (at,) in rows]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not await anyio.to_thread.run_sync(condition):  # noqa: ASYNC110  # the condition lies in the database
            await anyio.sleep(0.05)


MISSED = "sla_prober_missed_slots_total"


async def test_checks_each_service_on_its_grid_and_says_how_it_is(database: str, tmp_path: Path) -> None:
    async with watched(database, good()):
        with prober(database, tmp_path) as running:
            await running.is_ready()
            await until(lambda: len(slots(database)) >= 3)
            assert running.get("/health") == (200, '{"status":"ok"}')
            status, text = running.get("/ready")
            assert (status, json.loads(text)) == (
                200,
                {"status": "ready", "servicesKnown": True, "databaseAnswers": True, "spoolWorks": True},
            )
            found = slots(database)
            figures = running.get("/metrics")[1]
            assert missing_seconds(found) <= metric(figures, MISSED)
            assert 'sla_prober_checks_total{severity="o"}' in figures
            assert running.get("/elsewhere")[0] == 404
            assert await running.end() == 0
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT state FROM service_states").fetchone() == ("operational",)
        assert connection.execute("SELECT id FROM locations").fetchall() == [("local",)]


@pytest.mark.one_engine
async def test_hears_of_new_changed_and_paused_services(database: str, tmp_path: Path) -> None:
    with prober(database, tmp_path) as running:
        await running.is_ready()
        async with watched(database, good(), "late-comer"):
            await until(lambda: len(slots(database, "late-comer")) >= 1)
            execute(database, "UPDATE services SET enabled = false")
            await running.answers("/metrics", lambda _, text: "sla_prober_services 0.0" in text)


async def test_an_outage_of_the_database_leaves_no_gap(database: str, tmp_path: Path) -> None:
    async with Line(database).serve() as line, watched(database, good()):
        with prober(line.url, tmp_path) as running:
            await until(lambda: len(slots(database)) >= 1)
            line.cut()
            await running.answers("/metrics", lambda _, text: metric(text, "sla_prober_spool_rows") >= 2)
            assert running.get("/ready")[0] == 200
            line.mend()
            await running.answers("/metrics", lambda _, text: "sla_prober_spool_rows 0.0" in text)
            await until(lambda: len(slots(database)) >= 4)
            found = slots(database)
            missed = metric(running.get("/metrics")[1], MISSED)
            assert await running.end() == 0
    assert missing_seconds(found) <= missed


def metric(text: str, series: str) -> float:
    """What /metrics says of one series; 0 where it says nothing yet."""
    values = (line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(series + " "))
    return float(next(values, "0"))


async def test_kill_9_in_an_outage_loses_no_check_that_was_finished(database: str, tmp_path: Path) -> None:
    async with Line(database).serve() as line, watched(database, good()):
        with prober(line.url, tmp_path) as running:
            await until(lambda: len(slots(database)) >= 1)
            line.cut()
            await running.answers("/metrics", lambda _, text: metric(text, "sla_prober_spool_rows") >= 3)
            missed = metric(running.get("/metrics")[1], MISSED)
            await running.end(signal.SIGKILL)
        killed = len(slots(database))
        with prober(line.url, tmp_path) as running:  # the database is still away
            await running.is_ready()
            await running.answers(
                "/metrics", lambda _, text: metric(text, 'sla_prober_checks_total{severity="o"}') >= 1
            )
            assert "from the list kept in" in running.log()
            line.mend()
            await running.answers("/metrics", lambda _, text: "sla_prober_spool_rows 0.0" in text)
            assert await running.end() == 0
    found = slots(database)
    assert len(found) >= killed + 3
    assert missing_seconds(found[: killed + 3]) <= missed


@pytest.mark.one_engine
async def test_without_a_database_it_waits_and_is_not_ready(database: str, tmp_path: Path) -> None:
    async with Line(database).serve() as line, watched(database, good()):
        line.cut()
        with prober(line.url, tmp_path) as running:
            await running.answers("/health", lambda status, _: status == 200)
            assert running.get("/ready")[0] == 503
            line.mend()
            await running.is_ready()
            await until(lambda: len(slots(database)) >= 1)


OUTDATED = "DELETE FROM schema_versions WHERE name = 'functions/events'"
CURRENT = "SELECT FROM schema_versions WHERE name = 'functions/events'"
GOOD = 'sla_prober_checks_total{severity="o"}'


def is_current(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        return connection.execute(CURRENT.encode()).fetchone() is not None


async def test_a_database_that_can_only_be_read_stops_no_check_and_is_migrated_afterwards(
    database: str, tmp_path: Path
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    read_only = f'ALTER DATABASE "{name}" SET default_transaction_read_only = '
    async with watched(database, good()):
        execute(database, OUTDATED)
        execute(database, read_only + "on")
        with prober(database, tmp_path) as running:
            await running.answers("/metrics", lambda _, text: metric(text, "sla_prober_spool_rows") >= 2)
            assert running.get("/ready")[0] == 200
            assert "its schema is not up to date; going on with the services" in running.log()
            assert slots(database) == []
            assert not is_current(database)
            writable = f"{database}{'&' if '?' in database else '?'}options=-c%20default_transaction_read_only%3Doff"
            execute(writable, read_only + "off")
            await running.answers("/metrics", lambda _, text: "sla_prober_spool_rows 0.0" in text)
            await until(lambda: is_current(database))
            assert len(slots(database)) >= 2
            assert await running.end() == 0
            assert "Traceback" not in running.log()


@pytest.mark.one_engine
@pytest.mark.parametrize("trouble", ["blackhole", "lock"])
async def test_checks_do_not_wait_for_a_migration_that_stalls(database: str, tmp_path: Path, trouble: str) -> None:
    async with Line(database).serve() as line, watched(database, good()):
        with prober(line.url, tmp_path) as running:
            await until(lambda: len(slots(database)) >= 1)
            assert await running.end() == 0
        execute(database, OUTDATED)
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("SELECT pg_advisory_lock(hashtextextended('sla-monitor migrate', 0))")
            if trouble == "blackhole":
                line.blackhole()
            with prober(line.url, tmp_path) as running:
                await running.answers("/health", lambda status, _: status == 200)
                await running.answers("/metrics", lambda _, text: metric(text, GOOD) >= 2)
                assert not is_current(database)
                if trouble == "blackhole":
                    assert "from the list kept in" in running.log()
                    assert await running.end() == 0
                    return
                other.execute("SELECT pg_advisory_unlock_all()")
                await until(lambda: is_current(database))
                assert await running.end() == 0


@pytest.mark.one_engine
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_within_ten_seconds_whatever_hangs(
    database: str, tmp_path: Path, number: signal.Signals
) -> None:
    async with Line(database).serve() as line, watched(database, hang), watched(database, good(), "good"):
        with prober(line.url, tmp_path) as running:
            await until(lambda: len(slots(database, "good")) >= 1)
            line.blackhole()
            began = time.monotonic()
            assert await running.end(number) == 0
            assert time.monotonic() - began < 10
            assert "Traceback" not in running.log()


@pytest.mark.one_engine
async def test_a_second_signal_ends_it_at_once(database: str, tmp_path: Path) -> None:
    async with watched(database, hang):
        with prober(database, tmp_path) as running:
            await running.answers("/metrics", lambda _, text: "sla_prober_checks_running 1.0" in text)
            running.process.send_signal(signal.SIGTERM)
            await until(lambda: "a second signal ends at once" in running.log())
            began = time.monotonic()
            assert await running.end() == -signal.SIGTERM
            assert time.monotonic() - began < CHECKS_PATIENCE_S - 1


async def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with prober("postgresql:///unused", tmp_path, WATCH_SERVER_PORT=str(port)) as running:
            assert await anyio.to_thread.run_sync(lambda: running.process.wait(PATIENCE_S)) == 1
            lines = running.log().splitlines()
    assert lines == [f"WATCH_SERVER_PORT={port} on 127.0.0.1 is in use: set WATCH_SERVER_PORT to a free port"]


@pytest.mark.one_engine
async def test_a_second_prober_on_the_same_home_says_so(database: str, tmp_path: Path) -> None:
    with prober(database, tmp_path) as first:
        await first.is_ready()
        with prober(database, tmp_path) as second:
            assert await anyio.to_thread.run_sync(lambda: second.process.wait(PATIENCE_S)) == 1
            assert "another prober uses the spool" in second.log()
        with prober(database, tmp_path, PROBE_LOCATION="elsewhere") as third:
            await third.is_ready()
