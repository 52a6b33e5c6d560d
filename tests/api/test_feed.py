"""Events reach every client of every process after COMMIT, in order and each once, also after lost connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic
from typing import Any

import anyio
import httpx
import msgspec
import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect

import sql
from api.live import feed, presence, replay
from api.live.events import MAX_SEQ, PUBLIC_STEP, Transport, resync
from api.live.hub import Hub
from api.live.room_names import EVERYONE
from api.metrics import Metrics
from tests.api.conftest import Api, Check, add_service, create_user, midday, now, record, running_api, until
from tests.api.recording_socket import RecordingSocket
from tests.api.relay import relay_before
from tests.api.transports import incident, socket_client
from tests.worker.working import working

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
STATES = ("operational", "degraded", "outage", "unknown", "maintenance")


@asynccontextmanager
async def joined(api: Api, query: str = "?rooms=system-status,uptime") -> AsyncIterator[ClientConnection]:
    """A socket that has received `joined` for each room of its query."""
    async with connect(api.ws_url + query) as socket:
        assert (await frame(socket))["event"] == "hello"
        for _ in query.partition("rooms=")[2].split(","):
            assert (await frame(socket))["event"] == "joined"
        yield socket


async def frame(socket: ClientConnection, patience_s: float = 20.0) -> Any:
    """Returns the next frame, decoded."""
    with anyio.fail_after(patience_s):
        return msgspec.json.decode(await socket.recv())


async def set_state(db: Db, service: str, state: str) -> None:
    await db.execute("UPDATE service_states SET state = %s, since = now() WHERE service_id = %s", [state, service])


async def test_changes_by_sql_reach_every_client_of_two_processes_once_in_order(database: str, db: Db) -> None:
    await add_service(db, "shop")
    states = [STATES[n % 5] for n in range(25)]
    async with (
        running_api(database) as first,
        running_api(database) as second,
        joined(first) as one,
        joined(first) as two,
        joined(second) as three,
    ):
        for state in states:
            await set_state(db, "shop", state)
        received = [[await frame(socket) for _ in states] for socket in (one, two, three)]
    assert received[0] == received[1] == received[2]
    assert [event["data"]["status"] for event in received[0]] == states
    assert {event["event"] for event in received[0]} == {"status-update"}
    assert set(received[0][0]["data"]) == {"serviceId", "status", "timestamp"}
    seqs = [event["seq"] for event in received[0]]
    assert seqs == sorted(set(seqs))


async def test_a_changed_name_invalidates_responses_of_two_processes(database: str, db: Db) -> None:
    await add_service(db, "shop")
    async with running_api(database) as first, running_api(database) as second:
        for api in (first, second):
            await api.get("/api/services")
        await db.execute("UPDATE services SET name = 'Renamed'")
        for api in (first, second):

            async def renamed(api: Api = api) -> bool:
                return bool((await api.get("/api/services"))["services"][1]["name"] == "Renamed")

            await until(renamed)


async def test_a_request_after_an_event_gets_the_new_response(
    database: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request waits at most for the pause between two computations of one response, not for the next poll."""
    monkeypatch.setattr(feed, "POLL_S", 4.0)
    await add_service(db, "shop")
    async with running_api(database) as api, joined(api) as socket:
        delays = []
        for number in range(10):
            await api.get("/api/system-status")
            state = STATES[number % 4]  # not `maintenance`: there is no maintenance window
            started = monotonic()
            await set_state(db, "shop", state)
            assert (await frame(socket))["data"]["status"] == state
            assert (await api.get("/api/system-status"))["services"][0]["status"] == state
            delays.append(monotonic() - started)
    assert sorted(delays)[len(delays) // 2] < feed.POLL_S / 2


@pytest.mark.engines("timescaledb", "postgresql")
async def test_recorded_checks_reach_both_rooms(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await add_service(db, "private", public=False)
    zone = await midday(db)
    at = now() - timedelta(minutes=1)
    async with joined(api) as socket:
        await record(db, [Check("shop", at, ms=None), Check("private", at, ms=None)])
        events = [await frame(socket) for _ in range(2)]
        by_name = {event["event"]: event["data"] for event in events}
        assert by_name["status-update"]["serviceId"] == by_name["uptime-updated"]["serviceId"] == "shop"
        assert by_name["uptime-updated"] == {
            "serviceId": "shop",
            "date": at.astimezone(zone).date().isoformat(),
            "status": "mo",
        }
        await set_state(db, "private", "degraded")
        await set_state(db, "shop", "maintenance")
        assert (await frame(socket))["data"]["serviceId"] == "shop"


async def test_a_killed_connection_is_replaced_without_lost_events(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    async with joined(api) as socket:
        for number in range(12):
            if number % 4 == 1:
                await db.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name = 'sla-monitor api feed'"
                )
            await set_state(db, "shop", STATES[number % 5])
        assert [(await frame(socket))["data"]["status"] for _ in range(12)] == [STATES[n % 5] for n in range(12)]
        await api.ready()


async def test_a_connection_that_stops_responding_is_replaced(database: str, db: Db) -> None:
    await add_service(db, "shop")
    async with relay_before(database) as relay, running_api(relay.url) as api, joined(api) as socket:
        relay.silence()
        await set_state(db, "shop", "outage")

        async def noticed() -> bool:
            response = await api.http.get("/ready")
            return "feed" in [problem["field"] for problem in response.json().get("details", [])]

        await until(noticed, 30)
        relay.cut()
        await set_state(db, "shop", "operational")
        relay.restore()
        received: list[str] = []
        while len(received) < 2:
            event = await frame(socket, 30)
            if event["event"] != "database-away":  # sent if a poll has failed too
                received.append(event["data"]["status"])
        assert received == ["outage", "operational"]


async def test_clients_get_an_event_when_the_database_is_away(any_database: str) -> None:
    async with relay_before(any_database) as relay, running_api(relay.url) as api, joined(api) as socket:
        relay.cut()
        assert await frame(socket, 30) == {"event": "database-away", "data": {}, "seq": 0}
        relay.restore()
        await api.ready()


async def test_clients_that_connect_before_the_first_read_get_resync(
    database: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "WAIT_FOR_EVENT_S", 0.2)
    await add_service(db, "shop")
    await set_state(db, "shop", "degraded")
    async with relay_before(database) as relay:
        relay.cut()
        async with running_api(relay.url, ready=False) as api:

            async def is_alive() -> bool:
                with suppress(httpx.TransportError):
                    return (await api.http.get("/health")).status_code == 200
                return False

            await until(is_alive)
            async with (
                joined(api) as new,
                connect(f"{api.ws_url}?since={PUBLIC_STEP}&rooms=system-status") as reconnected,
            ):
                received = [(await frame(reconnected))["event"] for _ in range(3)]
                assert received == ["hello", "resync", "joined"]
                await set_state(db, "shop", "outage")  # while the API is not connected: neither client gets the event
                relay.restore()
                for socket in (new, reconnected):
                    assert (await frame(socket, 30))["event"] == "resync"
                await api.ready()
                await set_state(db, "shop", "operational")
                for socket in (new, reconnected):
                    assert (await frame(socket))["data"]["status"] == "operational"


async def test_a_client_that_joins_during_a_restart_of_the_sequence_gets_resync() -> None:
    hub = Hub(Metrics(), queue_limit=10, send_timeout_s=1.0)
    early, late, after = (RecordingSocket() for _ in range(3))
    first, second = (hub.connect(socket, Transport.WS) for socket in (early, late))
    hub.join(first, EVERYONE)
    hub.restart([], PUBLIC_STEP)
    hub.join(second, EVERYONE)
    hub.join(hub.connect(after, Transport.WS), EVERYONE)
    for client in (first, second):
        hub.join(client, EVERYONE)  # as after a login: no second `resync`
    assert early.written == late.written == [resync(PUBLIC_STEP).ws]
    assert after.written == []


@pytest.mark.engines("timescaledb", "postgresql")
async def test_a_read_only_database_closes_no_connection(
    database: str, db: Db, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(presence, "RENEW_S", 0.1)
    await add_service(db, "shop")
    ann, number = await create_user(db, "viewer"), await incident(db)
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    async with running_api(database) as api, socket_client(api, "ws", ann.token) as client:
        assert (await client.send("join-room", room=f"incident-{number}"))["ok"]
        await db.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name LIKE 'sla-monitor api%'"
        )

        async def not_renewed() -> bool:
            return "presence could not be renewed (ReadOnlySqlTransaction)" in caplog.text

        await until(not_renewed)
        assert (await client.send("incident-editing", incidentId=number, isEditing=False))["code"] == "FORBIDDEN"
        assert not (await client.send("join-room", room=f"incident-{number}"))["ok"]
        assert (await api.get("/api/services"))["services"][1]["id"] == "shop"
        text = (await api.http.get("/metrics")).text
        for task in ("feed", "presence"):
            assert f'sla_monitor_background_failures_total{{task="{task}"}}' in text

        async def is_read_only() -> bool:
            ready = await api.http.get("/ready")
            problems = [{"field": "database", "message": "is read-only", "code": "database_read_only"}]
            return ready.status_code == 503 and bool(ready.json()["details"] == problems)

        await until(is_read_only)
        await db.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = off'.encode())
        await api.ready()


async def test_connections_do_not_stay_read_only_when_the_database_is_writable_again(database: str, db: Db) -> None:
    """This holds for all connections of the pool, including the one that is used first."""
    admin = await create_user(db, "admin")
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    new = {"name": "Shop", "endpointUrl": "http://127.0.0.1:9/"}
    async with running_api(database) as api:

        async def add(service_id: str) -> int:
            return (
                await api.http.post("/api/services", json=new | {"id": service_id}, headers=admin.headers)
            ).status_code

        await db.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name LIKE 'sla-monitor api%'"
        )

        async def is_read_only() -> bool:
            return "is read-only" in (await api.http.get("/ready")).text

        await until(is_read_only)
        async with anyio.create_task_group() as tasks:  # opens several connections
            for number in range(8):
                tasks.start_soon(add, f"shop-{number}")
        assert await add("shop") == 503
        await db.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = off'.encode())
        await api.ready()
        statuses: list[int] = []

        async def add_one(number: int) -> None:
            statuses.append(await add(f"web-{number}"))

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(add_one, number)
        assert statuses == [201] * 8


async def test_events_are_read_in_pages(db: Db) -> None:
    for room in ("uptime", None, "staff", "uptime", "uptime"):
        await db.execute("SELECT append_event('e', %s, jsonb_build_object('pad', repeat('x', 1000)))", [room])

    async def page(**values: Any) -> list[Any]:
        parameters = {
            "after": 0,
            "upto": MAX_SEQ,
            "limit": 100,
            "bytes": 10**6,
            "rooms": None,
            "everyone": True,
        } | values
        rows = await (await db.execute(sql.query("events/between"), parameters)).fetchall()
        return [row[0] / PUBLIC_STEP for row in rows]

    internal = 2 + 1 / PUBLIC_STEP
    assert await page() == [1, 2, internal, 3, 4]
    assert await page(limit=2) == [1, 2]
    assert await page(bytes=1500) == [1, 2]
    assert await page(bytes=1) == [1]
    assert await page(upto=2 * PUBLIC_STEP) == [1, 2]
    assert await page(rooms=["uptime"]) == [1, 2, 3, 4]
    assert await page(rooms=["uptime"], everyone=False) == [1, 3, 4]
    assert await page(rooms=[]) == [2]


@pytest.mark.engines("timescaledb", "postgresql")
async def test_a_service_whose_checks_stopped_becomes_unknown(database: str, api: Api, db: Db) -> None:
    await add_service(db, "shop", interval_seconds=1, timeout_ms=1000, degraded_after_ms=500)
    await record(db, [Check("shop", now() - timedelta(seconds=61), interval_s=1)])
    async with joined(api, "?rooms=system-status") as socket, working(database, "expiry"):
        states = []
        while "unknown" not in states:
            states.append((await frame(socket))["data"]["status"])
    assert (await api.get("/api/system-status"))["services"][0]["status"] == "unknown"


async def test_the_metrics_of_the_feed(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    async with joined(api) as socket:
        await set_state(db, "shop", "outage")
        seq = (await frame(socket))["seq"]
        text = (await api.http.get("/metrics")).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["sla_monitor_event_seq"]) == seq
    assert float(values["sla_monitor_feed_alive"]) == 1
    assert float(values['sla_monitor_sockets{transport="ws"}']) == 1
    assert 0 <= float(values["sla_monitor_feed_lag_seconds"]) < 5
    assert 'sla_monitor_requests_total{method="GET",route="/ready",status="200"}' in values
