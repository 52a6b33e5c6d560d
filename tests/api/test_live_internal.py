"""Events of private services and internal incidents are sent to staff only. No frame, sequence number, version or
cache header reveals them to anonymous clients."""

import re
from typing import Any

import anyio
import msgspec
import pytest
from websockets.asyncio.client import connect

from api.live.events import PUBLIC_STEP
from tests.api.conftest import Api, Check, create_user, now, record, until_events_processed
from tests.api.feed_clients import frame, joined, set_state
from tests.api.people import Db
from tests.api.raw_clients import TRANSPORTS, RawClient, TransportName, code, raw_client, received_events
from tests.api.service_pair import services

__all__ = ["services"]

pytestmark = pytest.mark.one_engine

ROOMS = ("system-status", "uptime")


async def join(client: RawClient) -> None:
    for room in ROOMS:
        assert code(await client.send_json("join-room", {"room": room})) is None


@pytest.mark.engines("timescaledb", "postgresql")
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_staff_get_events_of_private_services(api: Api, db: Db, transport: TransportName) -> None:
    ann = await create_user(db, "viewer")
    async with raw_client(api, transport) as anonymous, raw_client(api, transport, ann.token) as staff:
        await join(anonymous)
        await join(staff)
        await record(db, [Check("vault", now(), ms=None)])
        staff_events, public_events = await received_events(db, staff, anonymous)
        assert {event: data["serviceId"] for event, data in staff_events} == {
            "status-update": "vault",
            "uptime-updated": "vault",
        }
        assert public_events == []
        await staff.send_json("leave-room", {"room": "system-status"})
        await set_state(db, "vault", "degraded")
        await set_state(db, "shop", "outage")
        staff_events, public_events = await received_events(db, staff, anonymous)
        assert staff_events == []
        assert [(event, data["serviceId"]) for event, data in public_events] == [("status-update", "shop")]


async def test_after_authentication_a_client_gets_events_of_private_services(api: Api, db: Db) -> None:
    ann = await create_user(db, "viewer")
    async with raw_client(api, "ws") as client:
        await join(client)
        await set_state(db, "vault", "outage")
        assert await client.received_events(db) == []
        await client.send_json("auth", {"token": ann.token})
        await set_state(db, "vault", "operational")
        assert [data["status"] for _, data in await client.received_events(db)] == ["operational"]


async def test_events_of_services_that_became_private_are_replayed_to_staff_only(api: Api, db: Db) -> None:
    admin = await create_user(db)
    async with joined(api) as socket:
        await set_state(db, "shop", "degraded")
        seen = (await frame(socket))["seq"]
    await set_state(db, "shop", "outage")
    await api.http.patch("/api/services/shop", json={"public": False}, headers=admin.headers)
    query = f"since={seen}&rooms={','.join(ROOMS)}"
    async with raw_client(api, "ws") as other:
        await other.received_events(db)  # now the API has read the event
    async with raw_client(api, "ws", query=query) as anonymous:
        assert await anonymous.received_events(db) == []
    async with connect(f"{api.ws_url}?auth&{query}") as socket:
        await frame(socket)
        await socket.send(msgspec.json.encode({"event": "auth", "data": {"token": admin.token}}).decode())
        received: list[Any] = []
        with anyio.fail_after(120):
            while not received or received[-1]["event"] != "joined":
                received.append(await frame(socket))
        assert [event["data"]["status"] for event in received if event["event"] == "status-update"] == ["outage"]
    await api.http.delete("/api/services/shop", headers=admin.headers)
    async with raw_client(api, "ws", admin.token, query=query) as staff:
        assert "shop" not in str(await staff.received_events(db))


async def test_sequence_numbers_reveal_no_internal_events(api: Api, db: Db) -> None:
    """The difference between two public numbers is the same, however many internal events lie between them."""
    seen = []
    async with joined(api, "?rooms=system-status") as anonymous:
        for state, internal in (("outage", 0), ("degraded", 1), ("operational", 50)):
            for n in range(internal):
                await set_state(db, "vault", ("degraded", "outage")[n % 2])
            await set_state(db, "shop", state)
            seen.append((await frame(anonymous))["seq"])
        await set_state(db, "vault", "maintenance")
        last = seen[-1]
        assert seen == [last - 2 * PUBLIC_STEP, last - PUBLIC_STEP, last]
        async with joined(api, "?rooms=uptime") as other, connect(f"{api.ws_url}?since=999999999999") as lost:
            await other.send('{"event": "join-room", "data": {"room": "system-status"}}')
            assert (await frame(other))["seq"] == last
            assert (await frame(lost))["event"] == "hello"
            assert await frame(lost) == {"event": "resync", "data": {"reason": REASON}, "seq": last}
        for path in ("/", "/uptime", "/services/shop", "/history"):
            [number] = re.findall(r'data-seq="(\d+)"', (await api.http.get(path)).text)
            assert int(number) == last, path
        metrics = (await api.http.get("/metrics")).text
        assert float(re.findall(r"^sla_monitor_event_seq (\S+)$", metrics, re.M)[0]) == last


async def test_internal_events_invalidate_no_cached_response(api: Api, db: Db) -> None:
    """Otherwise X-Cache would reveal them."""
    ann = await create_user(db, "viewer")
    async with joined(api, "?rooms=system-status") as anonymous, raw_client(api, "ws", ann.token) as staff:
        await set_state(db, "shop", "outage")
        await frame(anonymous)
        await until_events_processed(api, db)
        for _ in range(2):
            response = await api.http.get("/history")
        assert response.headers["x-cache"] == "HIT"
        await db.execute("SELECT append_event('internal', 'staff', '{}')")
        await staff.receive_event("internal")
        assert (await api.http.get("/history")).headers["x-cache"] == "HIT"


REASON = "missed events are no longer available"


async def test_since_reveals_no_internal_events(api: Api, db: Db) -> None:
    """All numbers between two public ones have the same result, whether there are internal events or not."""
    async with joined(api, "?rooms=system-status") as anonymous:
        await set_state(db, "shop", "degraded")
        seen = (await frame(anonymous))["seq"]
    for _ in range(2):
        for since in (seen, seen + 1, seen + PUBLIC_STEP - 1):
            async with connect(f"{api.ws_url}?since={since}&rooms=system-status") as socket:
                assert (await frame(socket))["event"] == "hello"
                assert await frame(socket) == {"event": "joined", "data": {"room": "system-status"}, "seq": seen}
        await set_state(db, "vault", "outage")
