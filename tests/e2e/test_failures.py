"""What breaks while everything runs: the database, a prober, the API. On a PostgreSQL of the test's own."""

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
from tests.e2e.program import Program, answers, command, running, until
from tests.e2e.watched import service
from tests.engines import EPHEMERAL
from tests.prober.slots import missing_seconds
from tests.prober.targets import good, serving

SECOND = timedelta(seconds=1)
IN_MEMORY = timedelta(seconds=2.5)
"""What a prober may hold neither in the database nor on disk: the recorder's FLUSH_SECONDS + DIRECT_TIMEOUT_S."""
SPOOLED = "sla_prober_spool_rows"
NOT_STARTED = (
    "sla_prober_missed_slots_total",
    'sla_prober_skipped_slots_total{reason="overlap"}',
    'sla_prober_skipped_slots_total{reason="full"}',
    "sla_prober_trouble_total",
)


class Database:
    """A PostgreSQL that can be killed and started again, always at the same URL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held = AsyncExitStack()
        self.shown = ""
        """What was said when the schema was made, the first admin's password in it."""
        self._server: LocalPostgres | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return self._server.database_url

    async def start(self) -> None:
        self._server = await self._held.enter_async_context(local_postgresql(self.folder, extra_settings=EPHEMERAL))

    async def kill(self) -> None:
        """kill -9; its children notice and end too."""
        assert self._server is not None
        self._server.process.kill()
        await self._held.aclose()

    async def stop(self) -> None:
        await self._held.aclose()

    async def slots(self, service_id: str, location: str) -> list[datetime]:
        """When its checks were due, in order: the key of their rows."""
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            statement = "SELECT scheduled_at FROM checks WHERE service_id = %s AND location = %s ORDER BY 1"
            return [at for (at,) in await (await connection.execute(statement, (service_id, location))).fetchall()]

    async def has_slots(self, service_id: str, *locations: str) -> bool:
        return all([len(await self.slots(service_id, location)) >= 2 for location in locations])


@pytest.fixture
async def own(home: Path) -> AsyncIterator[Database]:
    """A running database of the test's own, with the schema."""
    database = Database(home / "server")
    await database.start()
    try:
        migrated = await anyio.to_thread.run_sync(lambda: command("migrate", DATABASE_URL=database.url))
        assert migrated.returncode == 0, migrated.stderr
        database.shown = migrated.stdout
        yield database
    finally:
        await database.stop()


async def spools(prober: Program, rows: float) -> None:
    """Waits until this many checks lie in the prober's spool."""

    async def enough() -> bool:
        return await prober.figure(SPOOLED) >= rows

    await prober.until(enough)


async def has_replayed(prober: Program) -> bool:
    ready = await prober.prober.get("/ready")
    return ready.json()["databaseAnswers"] is True and await prober.figure(SPOOLED) == 0


def assert_on_grid(service_id: str, slots: list[datetime]) -> None:
    milliseconds = {round(slot.timestamp() * 1000) % 1000 for slot in slots}
    assert milliseconds == {phase_ms(service_id, 1000)}


async def test_no_check_is_lost_while_the_database_is_away(home: Path, own: Database) -> None:
    async with (
        running("api", home, DATABASE_URL=own.url) as api,
        running("prober", home, DATABASE_URL=own.url, PROBE_LOCATION="seoul") as seoul,
        AsyncExitStack() as programs,
    ):
        local = await programs.enter_async_context(running("prober", home, DATABASE_URL=own.url))
        await api.ready()
        await api.log_in(own.shown)
        async with listening(api.ws_url) as feed:
            await feed.join("system-status")
            async with serving(good()) as port:
                added = await api.api.post("/api/services", json=service("web", f"http://127.0.0.1:{port}/"))
                assert added.status_code == 201
                await feed.hears("status-update", "web", "operational")
                await until(lambda: own.has_slots("web", "local", "seoul"))
                assert (await api.states())["web"] == "operational"

                await own.kill()
                await api.until(lambda: is_stale(api))
                assert (await api.states())["web"] == "operational"
                never_asked = await api.api.get("/api/uptime/all-systems")
                assert (never_asked.status_code, never_asked.json()["code"]) == (503, "SERVER_ERROR")
                assert int(never_asked.headers["Retry-After"]) > 0
                assert await answers(api.api, "/health")
                await api.until(lambda: answers(api.api, "/ready", 503))
                for prober in (seoul, local):
                    await spools(prober, 3)
                    ready = await prober.prober.get("/ready")
                    assert (ready.status_code, ready.json()["databaseAnswers"]) == (200, False)

                at_the_kill = await not_started(local)
                killed_at = datetime.now(UTC)
                await local.end(signal.SIGKILL)
                again = await programs.enter_async_context(running("prober", home, local.ports, DATABASE_URL=own.url))
                await again.says("services are checked from the list kept in")
                await again.ready()
                await spools(again, 5)
                returned_at = datetime.now(UTC)
                await own.start()

                for prober in (seoul, again):
                    await prober.until(lambda prober=prober: has_replayed(prober))  # type: ignore[misc]
                await api.ready()
                await api.until(lambda: is_fresh(api))
                missed = {"seoul": await not_started(seoul), "local": at_the_kill + await not_started(again)}
            # The connection that was open all the time still hears what happens.
            await feed.hears("status-update", "web", "outage")
            assert (await api.states())["web"] == "outage"
        for program in (seoul, again, api):
            assert await program.end() == 0, program.said
            assert "Traceback" not in program.said

    unbroken = await own.slots("web", "seoul")
    assert_on_grid("web", unbroken)
    assert unbroken[0] < killed_at
    assert unbroken[-1] > returned_at
    assert missing_seconds(unbroken) <= missed["seoul"]

    broken = await own.slots("web", "local")
    assert_on_grid("web", broken)
    before, after = [at for at in broken if at < killed_at], [at for at in broken if at >= killed_at]
    assert before[-1] > killed_at - IN_MEMORY - SECOND
    assert after[-1] > returned_at
    assert missing_seconds(before) + missing_seconds(after) <= missed["local"]


async def not_started(prober: Program) -> float:
    """The slots that it says itself it has not used."""
    return sum([await prober.figure(name) for name in NOT_STARTED])


async def is_stale(api: Program) -> bool:
    answer = await api.api.get("/api/system-status")
    assert answer.status_code == 200
    return answer.headers.get("X-Cache") == "STALE" and int(answer.headers["Age"]) >= 1


async def is_fresh(api: Program) -> bool:
    return "X-Cache" not in (await api.api.get("/api/system-status")).headers


async def test_who_was_on_an_api_that_is_killed_goes_on_with_another(home: Path, own: Database) -> None:
    async with (
        running("api", home, DATABASE_URL=own.url) as first,
        running("api", home, DATABASE_URL=own.url) as second,
        running("prober", home, DATABASE_URL=own.url) as prober,
    ):
        await first.ready()
        await first.log_in(own.shown)
        await second.ready()
        await prober.ready()
        async with serving(good()) as port, listening(first.ws_url) as feed, listening(second.ws_url) as other:
            await feed.join("system-status")
            await other.join("system-status")
            added = await first.api.post("/api/services", json=service("web", f"http://127.0.0.1:{port}/"))
            assert added.status_code == 201
            last = await feed.hears("status-update", "web", "operational")
            # Whatever process a change was made in, the clients of all hear the same.
            assert await other.hears("status-update", "web", "operational") == last
            assert (await second.states())["web"] == "operational"
            await first.end(signal.SIGKILL)
            with pytest.raises(ConnectionClosed):
                await feed.next()
        await second.until(lambda: is_out(second))
        async with listening(second.ws_url, since=last["seq"], rooms="system-status") as feed:
            await feed.hears("status-update", "web", "outage")
            async with serving(good(), port=port):
                await feed.hears("status-update", "web", "operational")
        states = [frame["data"]["status"] for frame in feed.told("status-update", "web")]
        assert states == ["outage", "operational"]
        # One that comes back on the same port knows all again.
        async with running("api", home, first.ports, DATABASE_URL=own.url) as back:
            await back.ready()
            async with listening(back.ws_url, since=last["seq"], rooms="system-status") as feed:
                await feed.hears("status-update", "web", "operational")


async def is_out(api: Program) -> bool:
    return (await api.states())["web"] == "outage"


async def test_up_starts_without_its_database_and_says_so_until_it_is_there(home: Path, own: Database) -> None:
    url = own.url
    await own.kill()
    async with running("up", home, DATABASE_URL=url, HEALTH_CHECK_INTERVAL="1s") as program:
        await program.says("cannot reach the database .*: check DATABASE_URL; it is tried again until it succeeds")
        await program.says("database  not ready yet, that of DATABASE_URL")
        await program.until(lambda: answers(program.prober, "/health"))
        await program.until(lambda: answers(program.api, "/health"))
        for path, kind in (("/api/system-status", "application/json"), ("/", "text/html")):
            refused = await program.api.get(path, headers={"Accept": kind})
            assert refused.status_code == 503
            assert refused.headers["Content-Type"].startswith(kind)
            assert int(refused.headers["Retry-After"]) > 0
        assert await answers(program.api, "/ready", 503)
        assert await answers(program.api, "/metrics")
        with pytest.raises(InvalidStatus) as turned_away:
            await connect(program.ws_url)
        assert turned_away.value.response.status_code == 503
        await own.start()
        await program.says("The first check is stored")
        await program.ready()
        assert await program.end() == 0
        assert "Traceback" not in program.said


async def test_a_prober_that_starts_without_a_database_waits_for_it(home: Path, own: Database) -> None:
    await own.kill()
    async with running("prober", home, DATABASE_URL=own.url) as prober:
        await prober.says("cannot reach the database .*; going on with the services known from before")
        await prober.until(lambda: answers(prober.prober, "/ready", 503))
        assert await answers(prober.prober, "/health")
        await own.start()
        await prober.ready()
        assert await prober.end() == 0
        assert "Traceback" not in prober.said
