"""The prober as a process: start, checks, outages of the database, and signals."""

import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import psycopg
import pytest

from prober.run import CHECKS_PATIENCE_S
from tests.database_proxy import DatabaseProxy
from tests.pauses import pauses
from tests.prober.metrics import TIMEOUT_S
from tests.prober.slots import missing_seconds, slots
from tests.prober.targets import Behaviour, good, hang, serving
from tests.processes import ServiceProcess, running_prober

SPOOL_ROWS = "sla_prober_spool_rows"
MISSED = "sla_prober_missed_slots_total"
GOOD = 'sla_prober_checks_total{severity="o"}'
OUTDATE_SCHEMA = "DELETE FROM schema_versions WHERE name = 'functions/events'"
SCHEMA_IS_CURRENT = "SELECT FROM schema_versions WHERE name = 'functions/events'"


@asynccontextmanager
async def watched(
    database_url: str, behaviour: Behaviour, service_id: str = "web", timeout_ms: int = 60_000
) -> AsyncIterator[None]:
    """Serves a target and creates a service for it, with a check every second."""
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


async def wait_until(condition: Callable[[], bool]) -> None:
    """Evaluates a condition on the database or on a log until it is true."""
    with anyio.fail_after(TIMEOUT_S):
        for pause_s in pauses():
            if await anyio.to_thread.run_sync(condition):
                return
            await anyio.sleep(pause_s)


def metric(text: str, series: str) -> float:
    """A sample in the response of /metrics; 0 if it does not exist yet."""
    values = (line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(series + " "))
    return float(next(values, "0"))


async def wait_for_metric(process: ServiceProcess, series: str, at_least: float) -> None:
    await process.wait_for("/metrics", lambda _, text: metric(text, series) >= at_least)


async def wait_for_empty_spool(process: ServiceProcess) -> None:
    await process.wait_for("/metrics", lambda _, text: f"{SPOOL_ROWS} 0.0" in text)


def schema_is_current(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        return connection.execute(SCHEMA_IS_CURRENT.encode()).fetchone() is not None


async def test_a_service_is_checked_every_second_and_its_state_recorded(database: str, tmp_path: Path) -> None:
    async with watched(database, good()):
        with running_prober(database, tmp_path) as running:
            await running.wait_until_ready()
            await wait_until(lambda: len(slots(database)) >= 3)
            assert running.get("/health") == (200, '{"status":"ok"}')
            status, text = running.get("/ready")
            assert (status, json.loads(text)) == (
                200,
                {"status": "ready", "servicesKnown": True, "databaseAnswers": True, "spoolWorks": True},
            )
            covered = slots(database)
            metrics = running.get("/metrics")[1]
            assert missing_seconds(covered) <= metric(metrics, MISSED)
            assert GOOD in metrics
            assert running.get("/elsewhere")[0] == 404
            assert await running.end() == 0
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT state FROM service_states").fetchone() == ("operational",)
        assert connection.execute("SELECT id FROM locations").fetchall() == [("local",)]


@pytest.mark.one_engine
async def test_changes_of_services_take_effect_while_it_runs(database: str, tmp_path: Path) -> None:
    with running_prober(database, tmp_path) as running:
        await running.wait_until_ready()
        async with watched(database, good(), "added-later"):
            await wait_until(lambda: len(slots(database, "added-later")) >= 1)
            execute(database, "UPDATE services SET enabled = false")
            await running.wait_for("/metrics", lambda _, text: "sla_prober_services 0.0" in text)


async def test_checks_during_an_outage_of_the_database_are_stored_later(database: str, tmp_path: Path) -> None:
    async with DatabaseProxy(database).serve() as proxy, watched(database, good()):
        with running_prober(proxy.url, tmp_path) as running:
            await wait_until(lambda: len(slots(database)) >= 1)
            proxy.disconnect()
            await wait_for_metric(running, SPOOL_ROWS, 2)
            assert running.get("/ready")[0] == 200
            proxy.restore()
            await wait_for_empty_spool(running)
            await wait_until(lambda: len(slots(database)) >= 4)
            covered = slots(database)
            missed = metric(running.get("/metrics")[1], MISSED)
            assert await running.end() == 0
    assert missing_seconds(covered) <= missed


async def test_sigkill_during_an_outage_of_the_database_loses_no_finished_check(database: str, tmp_path: Path) -> None:
    async with DatabaseProxy(database).serve() as proxy, watched(database, good()):
        with running_prober(proxy.url, tmp_path) as running:
            await wait_until(lambda: len(slots(database)) >= 1)
            proxy.disconnect()
            await wait_for_metric(running, SPOOL_ROWS, 3)
            missed = metric(running.get("/metrics")[1], MISSED)
            await running.end(signal.SIGKILL)
        killed = len(slots(database))
        with running_prober(proxy.url, tmp_path) as running:  # the database is still unavailable
            await running.wait_until_ready()
            await wait_for_metric(running, GOOD, 1)
            assert "from the list saved in" in running.log()
            proxy.restore()
            await wait_for_empty_spool(running)
            assert await running.end() == 0
    covered = slots(database)
    assert len(covered) >= killed + 3
    assert missing_seconds(covered[: killed + 3]) <= missed


@pytest.mark.one_engine
async def test_without_a_database_at_the_first_start_it_waits_and_is_not_ready(database: str, tmp_path: Path) -> None:
    async with DatabaseProxy(database).serve() as proxy, watched(database, good()):
        proxy.disconnect()
        with running_prober(proxy.url, tmp_path) as running:
            await running.wait_for("/health", lambda status, _: status == 200)
            assert running.get("/ready")[0] == 503
            proxy.restore()
            await running.wait_until_ready()
            await wait_until(lambda: len(slots(database)) >= 1)


async def test_checks_go_on_while_the_database_is_read_only_and_it_is_migrated_afterwards(
    database: str, tmp_path: Path
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    read_only = f'ALTER DATABASE "{name}" SET default_transaction_read_only = '
    async with watched(database, good()):
        execute(database, OUTDATE_SCHEMA)
        execute(database, read_only + "on")
        with running_prober(database, tmp_path) as running:
            await wait_for_metric(running, SPOOL_ROWS, 2)
            assert running.get("/ready")[0] == 200
            assert "its schema is not up to date; the prober continues with the services" in running.log()
            assert slots(database) == []
            assert not schema_is_current(database)
            writable = f"{database}{'&' if '?' in database else '?'}options=-c%20default_transaction_read_only%3Doff"
            execute(writable, read_only + "off")
            await wait_for_empty_spool(running)
            await wait_until(lambda: schema_is_current(database))
            assert len(slots(database)) >= 2
            assert await running.end() == 0
            assert "Traceback" not in running.log()


@pytest.mark.one_engine
@pytest.mark.parametrize("trouble", ["blackhole", "lock"])
async def test_checks_do_not_wait_for_a_migration_that_is_blocked(database: str, tmp_path: Path, trouble: str) -> None:
    async with DatabaseProxy(database).serve() as proxy, watched(database, good()):
        with running_prober(proxy.url, tmp_path) as running:
            await wait_until(lambda: len(slots(database)) >= 1)
            assert await running.end() == 0
        execute(database, OUTDATE_SCHEMA)
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("SELECT pg_advisory_lock(hashtextextended('sla-monitor migrate', 0))")
            if trouble == "blackhole":
                proxy.blackhole()
            with running_prober(proxy.url, tmp_path) as running:
                await running.wait_for("/health", lambda status, _: status == 200)
                await wait_for_metric(running, GOOD, 2)
                assert not schema_is_current(database)
                if trouble == "blackhole":
                    assert "from the list saved in" in running.log()
                    assert await running.end() == 0
                    return
                other.execute("SELECT pg_advisory_unlock_all()")
                await wait_until(lambda: schema_is_current(database))
                assert await running.end() == 0


@pytest.mark.one_engine
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_within_ten_seconds_while_target_and_database_do_not_respond(
    database: str, tmp_path: Path, number: signal.Signals
) -> None:
    async with DatabaseProxy(database).serve() as proxy, watched(database, hang), watched(database, good(), "good"):
        with running_prober(proxy.url, tmp_path) as running:
            await wait_until(lambda: len(slots(database, "good")) >= 1)
            proxy.blackhole()
            began = time.monotonic()
            assert await running.end(number) == 0
            assert time.monotonic() - began < 10
            assert "Traceback" not in running.log()


@pytest.mark.one_engine
async def test_a_second_signal_ends_it_at_once(database: str, tmp_path: Path) -> None:
    async with watched(database, hang):
        with running_prober(database, tmp_path) as running:
            await running.wait_for("/metrics", lambda _, text: "sla_prober_checks_running 1.0" in text)
            running.process.send_signal(signal.SIGTERM)
            await wait_until(lambda: "a second signal ends at once" in running.log())
            began = time.monotonic()
            assert await running.end() == -signal.SIGTERM
            assert time.monotonic() - began < CHECKS_PATIENCE_S - 1


async def test_a_port_in_use_is_an_error_on_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running_prober("postgresql:///unused", tmp_path, WATCH_SERVER_PORT=str(port)) as running:
            assert await running.exit_code() == 1
            lines = running.log().splitlines()
    assert lines == [
        f"sla-monitor: WATCH_SERVER_PORT={port} on 127.0.0.1 is in use: set WATCH_SERVER_PORT to a free port"
    ]


@pytest.mark.one_engine
async def test_a_second_prober_on_the_same_home_is_an_error(database: str, tmp_path: Path) -> None:
    with running_prober(database, tmp_path) as first:
        await first.wait_until_ready()
        with running_prober(database, tmp_path) as second:
            assert await second.exit_code() == 1
            assert "another prober uses the spool" in second.log()
        with running_prober(database, tmp_path, PROBE_LOCATION="elsewhere") as third:
            await third.wait_until_ready()
