"""Failures of the database, a prober or an API at run time. Each test has its own PostgreSQL."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio.to_thread
import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from prober.schedule import phase_ms
from sla_monitor.local_postgresql.running import LocalPostgres
from sla_monitor.local_postgresql.server import local_postgresql
from tests.e2e.feed import listening
from tests.e2e.program import Program, command, responds, running, until
from tests.e2e.watched import service
from tests.engines import EPHEMERAL
from tests.prober.slots import missing_seconds
from tests.prober.targets import good, serving

SECOND = timedelta(seconds=1)
IN_MEMORY = timedelta(seconds=2.5)
"""The longest time that a prober keeps checks in memory only: FLUSH_SECONDS + DIRECT_TIMEOUT_S of the recorder, plus
0.25 s."""
SPOOLED = "sla_prober_spool_rows"
NOT_STARTED = (
    "sla_prober_missed_slots_total",
    'sla_prober_skipped_slots_total{reason="overlap"}',
    'sla_prober_skipped_slots_total{reason="full"}',
    "sla_prober_trouble_total",
)
"""The metrics of slots for which the prober recorded no check."""


class Database:
    """A PostgreSQL server that can be killed and started again, always at the same URL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = AsyncExitStack()
        self.migrate_output = ""
        """The output of `sla-monitor migrate`, with the password of the first admin."""
        self._server: LocalPostgres | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return self._server.database_url

    async def start(self) -> None:
        self._server = await self._stack.enter_async_context(local_postgresql(self.folder, extra_settings=EPHEMERAL))

    async def kill(self) -> None:
        """Ends the server with SIGKILL. Its child processes end too."""
        assert self._server is not None
        self._server.process.kill()
        await self._stack.aclose()

    async def stop(self) -> None:
        await self._stack.aclose()

    async def slots(self, service_id: str, location: str) -> list[datetime]:
        """Returns the scheduled times of the stored checks, in order."""
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            statement = "SELECT scheduled_at FROM checks WHERE service_id = %s AND location = %s ORDER BY 1"
            return [at for (at,) in await (await connection.execute(statement, (service_id, location))).fetchall()]

    async def has_slots(self, service_id: str, *locations: str) -> bool:
        """Whether each location has at least two checks of the service."""
        return all([len(await self.slots(service_id, location)) >= 2 for location in locations])


@pytest.fixture
async def own_database(home: Path) -> AsyncIterator[Database]:
    """A running database with the schema, for one test only."""
    database = Database(home / "server")
    await database.start()
    try:
        migrated = await anyio.to_thread.run_sync(lambda: command("migrate", DATABASE_URL=database.url))
        assert migrated.returncode == 0, migrated.stderr
        database.migrate_output = migrated.stdout
        yield database
    finally:
        await database.stop()


async def wait_for_spool(prober: Program, rows: float) -> None:
    """Waits until the spool of the prober has at least this many checks."""

    async def enough() -> bool:
        return await prober.metric(SPOOLED) >= rows

    await prober.until(enough)


async def has_replayed(prober: Program) -> bool:
    """Whether the prober reaches the database and its spool is empty."""
    ready = await prober.prober.get("/ready")
    return ready.json()["databaseAnswers"] is True and await prober.metric(SPOOLED) == 0


def assert_on_grid(service_id: str, slots: list[datetime]) -> None:
    """Asserts that all slots are on the grid of the service, whose interval is one second."""
    milliseconds = {round(slot.timestamp() * 1000) % 1000 for slot in slots}
    assert milliseconds == {phase_ms(service_id, 1000)}


async def test_no_check_is_lost_while_the_database_is_down(home: Path, own_database: Database) -> None:
    async with (
        running("api", home, DATABASE_URL=own_database.url) as api,
        running("prober", home, DATABASE_URL=own_database.url, PROBE_LOCATION="seoul") as seoul,
        AsyncExitStack() as programs,
    ):
        local = await programs.enter_async_context(running("prober", home, DATABASE_URL=own_database.url))
        await api.ready()
        await api.log_in(own_database.migrate_output)
        async with listening(api.ws_url) as feed:
            await feed.join("system-status")
            async with serving(good()) as port:
                added = await api.api.post("/api/services", json=service("web", f"http://127.0.0.1:{port}/"))
                assert added.status_code == 201
                await feed.wait_for("status-update", "web", "operational")
                await until(lambda: own_database.has_slots("web", "local", "seoul"))
                assert (await api.states())["web"] == "operational"

                await own_database.kill()
                await api.until(lambda: is_stale(api))
                assert (await api.states())["web"] == "operational"
                uncached = await api.api.get("/api/uptime/all-systems")
                assert (uncached.status_code, uncached.json()["code"]) == (503, "SERVER_ERROR")
                assert int(uncached.headers["Retry-After"]) > 0
                assert await responds(api.api, "/health")
                await api.until(lambda: responds(api.api, "/ready", 503))
                for prober in (seoul, local):
                    await wait_for_spool(prober, 3)
                    ready = await prober.prober.get("/ready")
                    assert (ready.status_code, ready.json()["databaseAnswers"]) == (200, False)

                at_the_kill = await not_started(local)
                killed_at = datetime.now(UTC)
                await local.end(signal.SIGKILL)
                again = await programs.enter_async_context(
                    running("prober", home, local.ports, DATABASE_URL=own_database.url)
                )
                await again.wait_for_output("services are checked from the list saved in")
                await again.ready()
                await wait_for_spool(again, 5)
                returned_at = datetime.now(UTC)
                await own_database.start()

                for prober in (seoul, again):
                    await prober.until(lambda prober=prober: has_replayed(prober))  # type: ignore[misc]
                await api.ready()
                await api.until(lambda: is_fresh(api))
                missed = {"seoul": await not_started(seoul), "local": at_the_kill + await not_started(again)}
            # The connection was open all the time and still receives events.
            await feed.wait_for("status-update", "web", "outage")
            assert (await api.states())["web"] == "outage"
        for program in (seoul, again, api):
            assert await program.end() == 0, program.output
            assert "Traceback" not in program.output

    unbroken = await own_database.slots("web", "seoul")
    assert_on_grid("web", unbroken)
    assert unbroken[0] < killed_at
    assert unbroken[-1] > returned_at
    assert missing_seconds(unbroken) <= missed["seoul"]

    broken = await own_database.slots("web", "local")
    assert_on_grid("web", broken)
    before, after = [at for at in broken if at < killed_at], [at for at in broken if at >= killed_at]
    assert before[-1] > killed_at - IN_MEMORY - SECOND
    assert after[-1] > returned_at
    assert missing_seconds(before) + missing_seconds(after) <= missed["local"]


async def not_started(prober: Program) -> float:
    """Returns the number of slots for which the prober reports that it recorded no check."""
    return sum([await prober.metric(name) for name in NOT_STARTED])


async def is_stale(api: Program) -> bool:
    response = await api.api.get("/api/system-status")
    assert response.status_code == 200
    return response.headers.get("X-Cache") == "STALE" and int(response.headers["Age"]) >= 1


async def is_fresh(api: Program) -> bool:
    return "X-Cache" not in (await api.api.get("/api/system-status")).headers


async def test_a_client_of_a_killed_api_resumes_on_another_api(home: Path, own_database: Database) -> None:
    async with (
        running("api", home, DATABASE_URL=own_database.url) as first,
        running("api", home, DATABASE_URL=own_database.url) as second,
        running("prober", home, DATABASE_URL=own_database.url) as prober,
    ):
        await first.ready()
        await first.log_in(own_database.migrate_output)
        await second.ready()
        await prober.ready()
        async with serving(good()) as port, listening(first.ws_url) as feed, listening(second.ws_url) as other:
            await feed.join("system-status")
            await other.join("system-status")
            added = await first.api.post("/api/services", json=service("web", f"http://127.0.0.1:{port}/"))
            assert added.status_code == 201
            last = await feed.wait_for("status-update", "web", "operational")
            # Clients of all processes receive the same frames.
            assert await other.wait_for("status-update", "web", "operational") == last
            assert (await second.states())["web"] == "operational"
            await first.end(signal.SIGKILL)
            with pytest.raises(ConnectionClosed):
                await feed.next()
        await second.until(lambda: has_outage(second))
        async with listening(second.ws_url, since=last["seq"], rooms="system-status") as feed:
            await feed.wait_for("status-update", "web", "outage")
            async with serving(good(), port=port):
                await feed.wait_for("status-update", "web", "operational")
        states = [frame["data"]["status"] for frame in feed.received("status-update", "web")]
        assert states == ["outage", "operational"]
        # A restarted API on the same port has all events.
        async with running("api", home, first.ports, DATABASE_URL=own_database.url) as back:
            await back.ready()
            async with listening(back.ws_url, since=last["seq"], rooms="system-status") as feed:
                await feed.wait_for("status-update", "web", "operational")


async def has_outage(api: Program) -> bool:
    return (await api.states())["web"] == "outage"


async def test_up_starts_without_its_database_and_waits_for_it(home: Path, own_database: Database) -> None:
    url = own_database.url
    await own_database.kill()
    async with running("up", home, DATABASE_URL=url, HEALTH_CHECK_INTERVAL="1s") as program:
        await program.wait_for_output(
            "cannot reach the database .*: check DATABASE_URL; it is tried again until it succeeds"
        )
        await program.wait_for_output("database  not ready yet, that of DATABASE_URL")
        await program.until(lambda: responds(program.prober, "/health"))
        await program.until(lambda: responds(program.api, "/health"))
        for path, kind in (("/api/system-status", "application/json"), ("/", "text/html")):
            refused = await program.api.get(path, headers={"Accept": kind})
            assert refused.status_code == 503
            assert refused.headers["Content-Type"].startswith(kind)
            assert int(refused.headers["Retry-After"]) > 0
        assert await responds(program.api, "/ready", 503)
        assert await responds(program.api, "/metrics")
        with pytest.raises(InvalidStatus) as error:
            await connect(program.ws_url)
        assert error.value.response.status_code == 503
        await own_database.start()
        await program.wait_for_output("The first check is stored")
        await program.ready()
        assert await program.end() == 0
        assert "Traceback" not in program.output


async def test_a_prober_starts_without_a_database_and_waits_for_it(home: Path, own_database: Database) -> None:
    await own_database.kill()
    async with running("prober", home, DATABASE_URL=own_database.url) as prober:
        await prober.wait_for_output(
            "cannot reach the database .*; the prober continues with the services that it knows"
        )
        await prober.until(lambda: responds(prober.prober, "/ready", 503))
        assert await responds(prober.prober, "/health")
        await own_database.start()
        await prober.ready()
        assert await prober.end() == 0
        assert "Traceback" not in prober.output
