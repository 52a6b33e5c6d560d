"""What happens to private services is told to those inside, and to nobody else: not by a frame, not by a number."""

import re
from typing import Any

import anyio
import msgspec
import pytest
from websockets.asyncio.client import connect

from api.hub import PUBLIC_STEP
from tests.api.conftest import Api, Check, add_service, now, record, someone, until_heard
from tests.api.intruders import DOORS, DoorName, Intruder, code, entered, heard
from tests.api.people import Db
from tests.api.test_feed import frame, joined, set_state

ROOMS = ("system-status", "uptime")


@pytest.fixture(autouse=True)
async def services(db: Db) -> None:
    await add_service(db, "shop")
    await add_service(db, "vault", public=False)


async def join(client: Intruder) -> None:
    for room in ROOMS:
        assert code(await client.tell("join-room", {"room": room})) is None


@pytest.mark.parametrize("door", DOORS)
async def test_who_is_logged_in_hears_of_private_services(api: Api, db: Db, door: DoorName) -> None:
    ann = await someone(db, "viewer")
    async with entered(api, door) as nobody, entered(api, door, ann.token) as staff:
        await join(nobody)
        await join(staff)
        await record(db, [Check("vault", now(), ms=None)])
        inside, outside = await heard(db, staff, nobody)
        assert {event: data["serviceId"] for event, data in inside} == {
            "status-update": "vault",
            "uptime-updated": "vault",
        }
        assert outside == []
        await staff.tell("leave-room", {"room": "system-status"})
        await set_state(db, "vault", "degraded")
        await set_state(db, "shop", "outage")
        inside, outside = await heard(db, staff, nobody)
        assert inside == []
        assert [(event, data["serviceId"]) for event, data in outside] == [("status-update", "shop")]


async def test_who_logs_in_later_hears_of_them_from_then_on(api: Api, db: Db) -> None:
    ann = await someone(db, "viewer")
    async with entered(api, "ws") as client:
        await join(client)
        await set_state(db, "vault", "outage")
        assert await client.heard(db) == []
        await client.tell("auth", {"token": ann.token})
        await set_state(db, "vault", "operational")
        assert [data["status"] for _, data in await client.heard(db)] == ["operational"]


async def test_what_becomes_private_is_replayed_to_those_inside_alone(api: Api, db: Db) -> None:
    admin = await someone(db)
    async with joined(api) as socket:
        await set_state(db, "shop", "degraded")
        seen = (await frame(socket))["seq"]
    await set_state(db, "shop", "outage")
    await api.http.patch("/api/services/shop", json={"public": False}, headers=admin.headers)
    query = f"since={seen}&rooms={','.join(ROOMS)}"
    async with entered(api, "ws") as anyone:
        await anyone.heard(db)  # the API has heard of it
    async with entered(api, "ws", query=query) as nobody:
        assert await nobody.heard(db) == []
    async with connect(f"{api.ws_url}?auth&{query}") as socket:
        await frame(socket)
        await socket.send(msgspec.json.encode({"event": "auth", "data": {"token": admin.token}}).decode())
        told: list[Any] = []
        with anyio.fail_after(20):
            while not told or told[-1]["event"] != "joined":
                told.append(await frame(socket))
        assert [one["data"]["status"] for one in told if one["event"] == "status-update"] == ["outage"]
    await api.http.delete("/api/services/shop", headers=admin.headers)
    async with entered(api, "ws", admin.token, query=query) as staff:
        assert "shop" not in str(await staff.heard(db))


async def test_numbers_tell_a_stranger_nothing(api: Api, db: Db) -> None:
    """However much happens inside between two events that they hear of."""
    seen = []
    async with joined(api, "?rooms=system-status") as stranger:
        for state, inside in (("outage", 0), ("degraded", 1), ("operational", 50)):
            for n in range(inside):
                await set_state(db, "vault", ("degraded", "outage")[n % 2])
            await set_state(db, "shop", state)
            seen.append((await frame(stranger))["seq"])
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


async def test_what_happens_inside_ends_no_answer(api: Api, db: Db) -> None:
    """X-Cache would tell of it."""
    ann = await someone(db, "viewer")
    async with joined(api, "?rooms=system-status") as stranger, entered(api, "ws", ann.token) as staff:
        await set_state(db, "shop", "outage")
        await frame(stranger)
        await until_heard(api, db)
        for _ in range(2):
            answer = await api.http.get("/history")
        assert answer.headers["x-cache"] == "HIT"
        await db.execute("SELECT append_event('told', 'staff', '{}')")
        await staff.hears("told")
        assert (await api.http.get("/history")).headers["x-cache"] == "HIT"


REASON = "what happened since is no longer kept"


async def test_where_a_stranger_begins_again_tells_them_nothing(api: Api, db: Db) -> None:
    """Numbers between two public ones are all the same to them, whether there are such events or not."""
    async with joined(api, "?rooms=system-status") as stranger:
        await set_state(db, "shop", "degraded")
        seen = (await frame(stranger))["seq"]
    for _ in range(2):
        for since in (seen, seen + 1, seen + PUBLIC_STEP - 1):
            async with connect(f"{api.ws_url}?since={since}&rooms=system-status") as socket:
                assert (await frame(socket))["event"] == "hello"
                assert await frame(socket) == {"event": "joined", "data": {"room": "system-status"}, "seq": seen}
        await set_state(db, "vault", "outage")
