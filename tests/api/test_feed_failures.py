"""Events reach every client also after lost and silent connections, restarts, and while the database is read-only."""

from contextlib import suppress
from typing import Any

import anyio
import httpx
import psycopg
import pytest
from websockets.asyncio.client import connect

from api.live import presence, replay
from api.live.events import PUBLIC_STEP, Transport, resync
from api.live.hub import Hub
from api.live.room_names import EVERYONE
from api.metrics import Metrics
from tests.api.conftest import Api, add_service, create_user, running_api, until
from tests.api.feed_clients import STATES, frame, joined, set_state
from tests.api.recording_socket import RecordingSocket
from tests.api.relay import relay_before
from tests.api.transports import incident, socket_client

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


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
