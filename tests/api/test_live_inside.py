"""Events of private services and internal incidents are sent to staff only. No frame, number, version or cache header
reveals them to others."""

import re
from datetime import timedelta
from typing import Any

import anyio
import msgspec
import pytest
from websockets.asyncio.client import connect

from api.live.events import PUBLIC_STEP
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, Check, add_service, create_user, now, record, running_api, until_events_processed
from tests.api.incidents import OUTAGE, add_update, change, create
from tests.api.intruders import TRANSPORTS, Intruder, TransportName, code, entered, heard
from tests.api.people import Db
from tests.api.test_feed import frame, joined, set_state

pytestmark = pytest.mark.one_engine

ROOMS = ("system-status", "uptime")


@pytest.fixture(autouse=True)
async def services(db: Db) -> None:
    await add_service(db, "shop")
    await add_service(db, "vault", public=False)


async def join(client: Intruder) -> None:
    for room in ROOMS:
        assert code(await client.tell("join-room", {"room": room})) is None


@pytest.mark.engines("timescaledb", "postgresql")
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_staff_get_events_of_private_services(api: Api, db: Db, transport: TransportName) -> None:
    ann = await create_user(db, "viewer")
    async with entered(api, transport) as nobody, entered(api, transport, ann.token) as staff:
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


async def test_after_authentication_a_client_gets_events_of_private_services(api: Api, db: Db) -> None:
    ann = await create_user(db, "viewer")
    async with entered(api, "ws") as client:
        await join(client)
        await set_state(db, "vault", "outage")
        assert await client.heard(db) == []
        await client.tell("auth", {"token": ann.token})
        await set_state(db, "vault", "operational")
        assert [data["status"] for _, data in await client.heard(db)] == ["operational"]


async def test_events_of_services_that_became_private_are_replayed_to_staff_only(api: Api, db: Db) -> None:
    admin = await create_user(db)
    async with joined(api) as socket:
        await set_state(db, "shop", "degraded")
        seen = (await frame(socket))["seq"]
    await set_state(db, "shop", "outage")
    await api.http.patch("/api/services/shop", json={"public": False}, headers=admin.headers)
    query = f"since={seen}&rooms={','.join(ROOMS)}"
    async with entered(api, "ws") as anyone:
        await anyone.heard(db)  # the API has read the event
    async with entered(api, "ws", query=query) as nobody:
        assert await nobody.heard(db) == []
    async with connect(f"{api.ws_url}?auth&{query}") as socket:
        await frame(socket)
        await socket.send(msgspec.json.encode({"event": "auth", "data": {"token": admin.token}}).decode())
        told: list[Any] = []
        with anyio.fail_after(120):
            while not told or told[-1]["event"] != "joined":
                told.append(await frame(socket))
        assert [one["data"]["status"] for one in told if one["event"] == "status-update"] == ["outage"]
    await api.http.delete("/api/services/shop", headers=admin.headers)
    async with entered(api, "ws", admin.token, query=query) as staff:
        assert "shop" not in str(await staff.heard(db))


async def test_sequence_numbers_reveal_no_internal_events(api: Api, db: Db) -> None:
    """However many internal events there are between two public ones."""
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


async def test_internal_events_invalidate_no_cached_response(api: Api, db: Db) -> None:
    """Otherwise X-Cache would reveal them."""
    ann = await create_user(db, "viewer")
    async with joined(api, "?rooms=system-status") as stranger, entered(api, "ws", ann.token) as staff:
        await set_state(db, "shop", "outage")
        await frame(stranger)
        await until_events_processed(api, db)
        for _ in range(2):
            answer = await api.http.get("/history")
        assert answer.headers["x-cache"] == "HIT"
        await db.execute("SELECT append_event('told', 'staff', '{}')")
        await staff.hears("told")
        assert (await api.http.get("/history")).headers["x-cache"] == "HIT"


REASON = "missed events are no longer available"


async def test_since_reveals_no_internal_events(api: Api, db: Db) -> None:
    """All numbers between two public ones have the same result, whether there are internal events or not."""
    async with joined(api, "?rooms=system-status") as stranger:
        await set_state(db, "shop", "degraded")
        seen = (await frame(stranger))["seq"]
    for _ in range(2):
        for since in (seen, seen + 1, seen + PUBLIC_STEP - 1):
            async with connect(f"{api.ws_url}?since={since}&rooms=system-status") as socket:
                assert (await frame(socket))["event"] == "hello"
                assert await frame(socket) == {"event": "joined", "data": {"room": "system-status"}, "seq": seen}
        await set_state(db, "vault", "outage")


# Numbers, versions and answers


async def test_internal_incidents_leave_no_gaps_in_public_ids(api: Api, db: Db) -> None:
    reporter = await create_user(db, "reporter")
    public = [(await create(api, reporter))["id"]]
    internal = [(await create(api, reporter, public=False))["id"] for _ in range(3)]
    public.append((await create(api, reporter))["id"])
    assert (await change(api, reporter, internal[0], public=True)).status_code == 200
    public.append((await create(api, reporter))["id"])
    year = public[0][4:8]
    assert public == [f"INC-{year}-000{number}" for number in (1, 2, 3)]
    assert len(set(internal)) == 3
    assert all(re.fullmatch(rf"INC-{year}-[1-9][0-9]{{8}}", number) for number in internal)


async def test_an_id_used_by_an_internal_incident_is_skipped(db: Db) -> None:
    """Internal incidents of earlier releases and imported ones may have such an id."""
    statement = (
        "INSERT INTO incidents (id, title, severity, priority, public) VALUES (%s, 'Old', 'low', 'P3', %s) RETURNING id"
    )
    for given, public, got in (
        ("INC-2020-0002", False, "INC-2020-0002"),
        ("INC-2020-123456789", True, "INC-2020-123456789"),
        ("INC-2020-0001", True, "INC-2020-0001"),
    ):
        assert await (await db.execute(statement, [given, public])).fetchone() == (got,)
    cursor = await db.execute(
        "INSERT INTO incidents (title, severity, priority, created_at) "
        "VALUES ('Next', 'low', 'P3', '2020-06-01') RETURNING id"
    )
    assert await cursor.fetchone() == ("INC-2020-0003",)


async def test_ids_of_updates_and_comments_are_derived_from_the_time(api: Api, db: Db) -> None:
    """So they do not reveal how many were written between two of them."""
    reporter = await create_user(db, "reporter")
    shown, hidden = [await create(api, reporter, public=public) for public in (True, False)]
    for incident in (shown, hidden, hidden, shown):
        await add_update(api, reporter, incident["id"], "identified")
        for public in (False, True):
            path = f"/api/incidents/{incident['id']}/comments"
            body = {"text": "x", "public": public}
            assert (await api.http.post(path, json=body, headers=reporter.headers)).status_code == 201
    for table in ("incident_updates", "incident_comments"):
        rows = await (
            await db.execute(
                f"SELECT id, extract(epoch FROM created_at) * 1000000 FROM {table} ORDER BY created_at".encode()
            )
        ).fetchall()
        ids = [row[0] for row in rows]
        assert ids == sorted(set(ids)) and ids[-1] < 2**53, "JavaScript knows no larger integers"
        assert all(abs(number - at) < 1_000_000 for number, at in rows), table


async def test_internal_changes_do_not_change_the_public_version(api: Api, db: Db) -> None:
    reporter = await create_user(db, "reporter")
    incident = await create(api, reporter, affectedServices=["shop", "vault"])
    path = f"/api/incidents/{incident['id']}"
    before = await api.http.get(path)
    async with entered(api, "ws") as nobody, entered(api, "ws", reporter.token) as staff:
        for hidden in (
            {"affectedServices": ["shop"]},
            {"reporter": reporter.username},
            {"affectedServices": ["shop", "vault"]},
        ):
            assert (await change(api, reporter, incident["id"], **hidden)).status_code == 200
        inside, outside = await heard(db, staff, nobody)
        assert [event for event, _ in inside] == ["incident-updated"] * len(inside) and inside
        assert outside == []
        version = (await api.http.get(path, headers=reporter.headers)).json()["incident"]["version"]
        assert version > 2
        await until_events_processed(api, db)
        after = await api.http.get(path)
        assert (after.text, after.headers["etag"]) == (before.text, before.headers["etag"])
        assert after.json()["incident"]["version"] == 1

        assert (await change(api, reporter, incident["id"], title="Seen by all")).status_code == 200
        await add_update(api, reporter, incident["id"], "identified")
        assert (await change(api, reporter, incident["id"], affectedServices=["vault"])).status_code == 200
        _, outside = await heard(db, staff, nobody)
        assert [event for event, _ in outside if event != "marker"] == ["incident-updated"] * 3
        latest = (await api.get(path))["incident"]
        assert (latest["version"], latest["affectedServices"]) == (4, [])
        assert latest["updatedAt"] > before.json()["incident"]["updatedAt"]


async def test_an_incident_that_becomes_public_has_public_version_1(api: Api, db: Db) -> None:
    reporter = await create_user(db, "reporter")
    incident = await create(api, reporter, public=False)
    for title in ("One", "Two", "Three"):
        await change(api, reporter, incident["id"], title=title)
    await change(api, reporter, incident["id"], public=True)
    shown = (await api.get(f"/api/incidents/{incident['id']}"))["incident"]
    assert (shown["version"], shown["title"]) == (1, "Three")


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_x_cache_is_sent_with_log_level_debug_only(database: str, level: str) -> None:
    async with running_api(database, log_level=level, rate_limit_api=Limit(50, timedelta(minutes=1))) as api:
        for path in ("/api/services", "/api/incidents", "/api/system-status"):
            first, again = [await api.http.get(path) for _ in range(2)]
            if level == "debug":
                assert [answer.headers["x-cache"] for answer in (first, again)] == ["MISS", "HIT"]
                continue
            names = [sorted(answer.headers) for answer in (first, again)]
            assert names[0] == names[1] and not {"x-cache", "ratelimit-remaining"} & set(names[0])
        text = (await api.http.get("/metrics")).text
        assert 'sla_monitor_cacheable_responses_total{source="HIT"} 3.0' in text


KEPT = ("/api/incidents", "/api/incidents/past", "/api/services", "/history", "/")


async def test_internal_changes_invalidate_no_cached_response(api: Api, db: Db) -> None:
    """This includes the process that saved it. A public change is in the response to the next request."""
    admin = await create_user(db)
    shown, hidden = [await create(api, admin, public=public) for public in (True, False)]
    page = f"/incidents/{shown['id']}"

    async def sources() -> set[str]:
        return {(await api.http.get(path)).headers["x-cache"] for path in (*KEPT, page)}

    async def saved(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = await api.http.request(method, path, json=body, headers=admin.headers)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    await until_events_processed(api, db)
    await sources()
    comments = f"/api/incidents/{shown['id']}/comments"
    window = {
        "title": "Inside",
        "startsAt": (now() + timedelta(days=1)).isoformat(),
        "endsAt": (now() + timedelta(days=2)).isoformat(),
        "affectedServices": ["vault"],
    }
    inside: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", "/api/incidents", OUTAGE | {"public": False}),
        ("PUT", f"/api/incidents/{hidden['id']}", {"title": "Still inside"}),
        ("POST", f"/api/incidents/{hidden['id']}/updates", {"status": "resolved", "description": "x"}),
        ("POST", comments, {"text": "between us"}),
        ("PUT", f"/api/incidents/{shown['id']}", {"affectedServices": ["vault"]}),
        ("PATCH", "/api/services/vault", {"name": "Another vault"}),
        ("POST", "/api/maintenance", window | {"public": False}),
        ("DELETE", f"/api/incidents/{hidden['id']}", None),
    ]
    for method, path, body in inside:
        await saved(method, path, body)
        assert await sources() == {"HIT"}, (method, path)

    await saved("PUT", f"/api/incidents/{shown['id']}", {"title": "Seen at once"})
    assert "Seen at once" in (await api.http.get(page)).text
    remark = await saved("POST", comments, {"text": "Said to all", "public": True})
    assert "Said to all" in (await api.http.get(page)).text
    await saved("DELETE", f"{comments}/{remark['comment']['id']}")
    assert "Said to all" not in (await api.http.get(page)).text
    await saved("PATCH", "/api/services/shop", {"name": "Another shop"})
    assert "Another shop" in (await api.http.get("/api/services")).text
