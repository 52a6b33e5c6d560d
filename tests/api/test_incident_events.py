"""What the feed is told of incidents: one event a transaction, to everybody as much as they may know."""

from typing import Any

import anyio
import pytest

from tests.api.conftest import PATIENCE_S, Api, User, add_service, create_user
from tests.api.incidents import Db, add_update, change, create, incident_events, public_incident, without_names
from tests.api.intruders import END, TRANSPORTS, TransportName, entered

pytestmark = pytest.mark.one_engine


@pytest.fixture
async def reporter(db: Db) -> User:
    return await create_user(db, "reporter")


async def test_a_save_is_one_event_with_the_incident_as_rest_shows_it(api: Api, db: Db, reporter: User) -> None:
    """Once to those inside and once to those outside, who are not told the names of users."""
    await add_service(db, "shop")
    created = await create(api, reporter, affectedServices=["shop"], update="x")
    incident_id = created["id"]
    seen = [await public_incident(api, incident_id, 1)]
    saved = (await change(api, reporter, incident_id, title="New", status="identified", affectedServices=[])).json()
    seen.append(await public_incident(api, incident_id, 2))
    update = await add_update(api, reporter, incident_id, "resolved")
    seen.append(await public_incident(api, incident_id, 3))
    assert seen[:2] == [without_names(created), without_names(saved["incident"])]
    assert seen[2]["updates"] == [update | {"author": None}, *seen[1]["updates"]]
    assert await incident_events(db) == [
        ("incident-created", "staff", {"incident": created}),
        ("incident-created", "anonymous", {"incident": seen[0]}),
        ("incident-updated", "staff", {"incidentId": incident_id, "incident": saved["incident"]}),
        ("incident-updated", "anonymous", {"incidentId": incident_id, "incident": seen[1]}),
        ("incident-updated", "staff", {"incidentId": incident_id, "update": update}),
        ("incident-updated", "anonymous", {"incidentId": incident_id, "update": seen[2]["updates"][0]}),
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_each_hears_a_save_once_and_strangers_hear_no_names(
    api: Api, db: Db, reporter: User, transport: TransportName
) -> None:
    admin = await create_user(db, "admin")
    async with entered(api, transport) as stranger, entered(api, transport, admin.token) as inside:
        incident_id = (await create(api, reporter, update="x"))["id"]
        await add_update(api, admin, incident_id, "identified")
        await change(api, admin, incident_id, public=False)
        await change(api, admin, incident_id, public=True, title="Back")
        comment = {"text": "x", "public": True}
        await api.http.post(f"/api/incidents/{incident_id}/comments", json=comment, headers=reporter.headers)
        await api.http.delete(f"/api/incidents/{incident_id}", headers=admin.headers)
        without, whole = await stranger.heard(db), await inside.heard(db)
    names = ["created", "updated", "deleted", "created", "deleted"]
    assert [event for event, _ in without] == [f"incident-{name}" for name in names]
    names = ["created", "updated", "updated", "updated", "deleted"]
    assert [event for event, _ in whole if event != END] == [f"incident-{name}" for name in names]
    for name in (reporter.username, admin.username):
        assert name not in str(without)
        assert name in str(whole)


async def test_a_person_at_psql_is_heard_too(api: Api, db: Db, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    async with db.transaction():
        await db.execute("UPDATE incidents SET status = 'resolved'")
        async with db.transaction():
            await db.execute("UPDATE incidents SET title = 'By hand'")
        with pytest.raises(ZeroDivisionError):
            async with db.transaction():
                await db.execute("UPDATE incidents SET title = 'Not kept'")
                raise ZeroDivisionError
    incident = (await api.get(f"/api/incidents/{incident_id}", headers=reporter.headers))["incident"]
    assert (incident["title"], incident["version"], incident["updates"][0]["author"]) == ("By hand", 2, "analyst")
    assert incident["resolvedAt"] is not None
    assert (await incident_events(db))[2:] == [
        ("incident-updated", "staff", {"incidentId": incident_id, "incident": incident}),
        ("incident-updated", "anonymous", {"incidentId": incident_id, "incident": without_names(incident)}),
    ]
    await db.execute(
        "INSERT INTO incident_updates (incident_id, status, description) VALUES (%s, 'monitoring', 'Watching')",
        [incident_id],
    )
    reopened = (await api.get(f"/api/incidents/{incident_id}", headers=reporter.headers))["incident"]
    assert (reopened["status"], reopened["resolvedAt"], reopened["version"]) == ("monitoring", None, 3)
    assert [(room, data["update"]) for _, room, data in (await incident_events(db))[4:]] == [
        ("staff", reopened["updates"][0]),
        ("anonymous", without_names(reopened)["updates"][0]),
    ]


async def test_nobody_outside_hears_of_what_is_internal(api: Api, db: Db, reporter: User) -> None:
    incident_id = (await create(api, reporter, public=False, update="x"))["id"]
    await add_update(api, reporter, incident_id, "identified")
    await change(api, reporter, incident_id, title="Secret")
    await db.execute("DELETE FROM incidents")
    assert [(event, room) for event, room, _ in await incident_events(db)] == [
        ("incident-created", "staff"),
        ("incident-updated", "staff"),
        ("incident-updated", "staff"),
        ("incident-deleted", "staff"),
    ]


async def test_private_services_are_told_to_those_inside(api: Api, db: Db, reporter: User) -> None:
    await add_service(db, "shop")
    await add_service(db, "vault", public=False)
    whole = await create(api, reporter, affectedServices=["shop", "vault"])
    part = without_names(whole) | {"affectedServices": ["shop"]}
    assert await incident_events(db) == [
        ("incident-created", "staff", {"incident": whole}),
        ("incident-created", "anonymous", {"incident": part}),
    ]


async def test_what_stops_being_public_is_gone_for_those_outside(api: Api, db: Db, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    hidden = (await change(api, reporter, incident_id, public=False, title="Secret")).json()["incident"]
    shown = (await change(api, reporter, incident_id, public=True)).json()["incident"]
    gone: dict[str, Any] = {"incidentId": incident_id}
    assert (await incident_events(db))[2:] == [
        ("incident-updated", "staff", gone | {"incident": hidden}),
        ("incident-deleted", "anonymous", gone),
        ("incident-updated", "staff", gone | {"incident": shown}),
        ("incident-created", "anonymous", {"incident": without_names(shown) | {"version": 2}}),
    ]


async def test_all_that_a_transaction_does_before_it_deletes_is_not_told(api: Api, db: Db, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    async with db.transaction():
        await db.execute("UPDATE incidents SET title = 'Secret', public = false")
        await db.execute("DELETE FROM incidents")
        await db.execute("INSERT INTO incidents (title, severity, priority) VALUES ('Short', 'low', 'P3')")
        await db.execute("DELETE FROM incidents")
    assert (await incident_events(db))[2:] == [("incident-deleted", None, {"incidentId": incident_id})]


async def test_an_incident_that_was_public_is_not_given_while_the_database_is_away(
    api: Api, db: Db, reporter: User
) -> None:
    """The last snapshot of an answer is kept for bad times: not of this one."""
    incident_id = (await create(api, reporter, title="Leaky"))["id"]
    assert "Leaky" in (await api.http.get("/api/incidents")).text
    heard = await db.execute("LISTEN sla_monitor")
    assert heard is not None
    await change(api, reporter, incident_id, public=False)
    with anyio.fail_after(PATIENCE_S):
        async for notice in db.notifies():
            if notice.payload == "services":
                break
