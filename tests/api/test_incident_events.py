"""Events of incidents: one event per transaction and audience, with the data that the audience may see."""

from typing import Any

import anyio
import pytest

from tests.api.conftest import PATIENCE_S, Api, User, add_service, create_user
from tests.api.incidents import Db, add_update, change, create, incident_events, public_incident, without_names
from tests.api.raw_clients import END, TRANSPORTS, TransportName, raw_client

pytestmark = pytest.mark.one_engine


async def test_a_save_is_one_event_with_the_incident_as_rest_shows_it(api: Api, db: Db, reporter: User) -> None:
    """One event for users and one for anonymous clients, without the names of users."""
    await add_service(db, "shop")
    created = await create(api, reporter, affectedServices=["shop"], update="x")
    incident_id = created["id"]
    public = [await public_incident(api, incident_id, 1)]
    saved = (await change(api, reporter, incident_id, title="New", status="identified", affectedServices=[])).json()
    public.append(await public_incident(api, incident_id, 2))
    update = await add_update(api, reporter, incident_id, "resolved")
    public.append(await public_incident(api, incident_id, 3))
    assert public[:2] == [without_names(created), without_names(saved["incident"])]
    assert public[2]["updates"] == [update | {"author": None}, *public[1]["updates"]]
    assert await incident_events(db) == [
        ("incident-created", "staff", {"incident": created}),
        ("incident-created", "anonymous", {"incident": public[0]}),
        ("incident-updated", "staff", {"incidentId": incident_id, "incident": saved["incident"]}),
        ("incident-updated", "anonymous", {"incidentId": incident_id, "incident": public[1]}),
        ("incident-updated", "staff", {"incidentId": incident_id, "update": update}),
        ("incident-updated", "anonymous", {"incidentId": incident_id, "update": public[2]["updates"][0]}),
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_each_client_gets_a_save_once_and_anonymous_clients_no_names(
    api: Api, db: Db, reporter: User, transport: TransportName
) -> None:
    admin = await create_user(db, "admin")
    async with raw_client(api, transport) as anonymous, raw_client(api, transport, admin.token) as staff:
        incident_id = (await create(api, reporter, update="x"))["id"]
        await add_update(api, admin, incident_id, "identified")
        await change(api, admin, incident_id, public=False)
        await change(api, admin, incident_id, public=True, title="Back")
        comment = {"text": "x", "public": True}
        await api.http.post(f"/api/incidents/{incident_id}/comments", json=comment, headers=reporter.headers)
        await api.http.delete(f"/api/incidents/{incident_id}", headers=admin.headers)
        without, whole = await anonymous.received_events(db), await staff.received_events(db)
    names = ["created", "updated", "deleted", "created", "deleted"]
    assert [event for event, _ in without] == [f"incident-{name}" for name in names]
    names = ["created", "updated", "updated", "updated", "deleted"]
    assert [event for event, _ in whole if event != END] == [f"incident-{name}" for name in names]
    for name in (reporter.username, admin.username):
        assert name not in str(without)
        assert name in str(whole)


async def test_changes_in_sql_send_the_same_events(api: Api, db: Db, reporter: User) -> None:
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


async def test_internal_incidents_send_events_to_users_only(api: Api, db: Db, reporter: User) -> None:
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


async def test_only_users_get_the_private_services_of_an_incident(api: Api, db: Db, reporter: User) -> None:
    await add_service(db, "shop")
    await add_service(db, "vault", public=False)
    whole = await create(api, reporter, affectedServices=["shop", "vault"])
    public = without_names(whole) | {"affectedServices": ["shop"]}
    assert await incident_events(db) == [
        ("incident-created", "staff", {"incident": whole}),
        ("incident-created", "anonymous", {"incident": public}),
    ]


async def test_an_incident_that_becomes_internal_is_deleted_for_anonymous_clients(
    api: Api, db: Db, reporter: User
) -> None:
    incident_id = (await create(api, reporter))["id"]
    hidden = (await change(api, reporter, incident_id, public=False, title="Secret")).json()["incident"]
    shown = (await change(api, reporter, incident_id, public=True)).json()["incident"]
    reference: dict[str, Any] = {"incidentId": incident_id}
    assert (await incident_events(db))[2:] == [
        ("incident-updated", "staff", reference | {"incident": hidden}),
        ("incident-deleted", "anonymous", reference),
        ("incident-updated", "staff", reference | {"incident": shown}),
        ("incident-created", "anonymous", {"incident": without_names(shown) | {"version": 2}}),
    ]


async def test_a_transaction_that_deletes_an_incident_sends_no_earlier_change(api: Api, db: Db, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    async with db.transaction():
        await db.execute("UPDATE incidents SET title = 'Secret', public = false")
        await db.execute("DELETE FROM incidents")
        await db.execute("INSERT INTO incidents (title, severity, priority) VALUES ('Short', 'low', 'P3')")
        await db.execute("DELETE FROM incidents")
    assert (await incident_events(db))[2:] == [("incident-deleted", None, {"incidentId": incident_id})]


async def test_hiding_an_incident_removes_its_stale_responses(api: Api, db: Db, reporter: User) -> None:
    """Stale responses are sent while the database is away. The notification `services` removes them in every
    process."""
    incident_id = (await create(api, reporter, title="Leaky"))["id"]
    assert "Leaky" in (await api.http.get("/api/incidents")).text
    await db.execute("LISTEN sla_monitor")
    await change(api, reporter, incident_id, public=False)
    with anyio.fail_after(PATIENCE_S):
        async for notice in db.notifies():
            if notice.payload == "services":
                break
