"""The table of live events in docs/permissions.md is compared with the running server, on both transports."""

from typing import Any, get_args

import pytest

from tests.api.conftest import Api, add_service, create_user
from tests.api.people import Db, Kind, create_principal
from tests.api.published import ROLES, LiveRow, live
from tests.api.raw_clients import TRANSPORTS, RefusedError, TransportName, code, raw_client, received_events
from tests.api.resources import INCIDENT, TEMPLATE

pytestmark = [pytest.mark.one_engine, pytest.mark.parametrize("transport", TRANSPORTS)]
NOT_ROOMS = ("staff", "anonymous", "incident-", "template-", "everyone")
LIVE_KINDS = [kind for kind in get_args(Kind) if not kind.startswith("disabled")]


@pytest.fixture
async def incident(api: Api, db: Db) -> str:
    await add_service(db, "shop")
    admin = await create_user(db, "admin")
    response = await api.http.post("/api/incidents", json=INCIDENT, headers=admin.headers)
    assert response.status_code == 201, response.text
    return str(response.json()["incident"]["id"])


@pytest.fixture
async def template(api: Api, db: Db, incident: str) -> str:
    admin = await create_user(db, "admin")
    response = await api.http.post("/api/templates", json={"name": "Down", **TEMPLATE}, headers=admin.headers)
    assert response.status_code == 201, response.text
    return str(response.json()["data"]["id"])


def messages_of(row: LiveRow, incident: str, template: str) -> list[dict[str, Any]]:
    """Returns valid data for messages of the event, one for each room of the row."""
    rooms = NOT_ROOMS if row.room == "anything else" else ("uptime",) if row.room == "any" else (row.room,)
    named = [room.replace("template-{id}", f"template-{template}").replace("{id}", incident) for room in rooms]
    match row.event:
        case "join-room" | "leave-room":
            return [{"room": room} for room in named]
        case "incident-editing":
            return [{"incidentId": incident, "isEditing": True}]
        case "auto-save":
            return [{"incidentId": incident, "data": {"title": "x"}}]
        case "incident-comment":
            return [{"incidentId": incident, "comment": "x"}]
        case "join-template" | "leave-template":
            return [{"templateId": template}]
        case "template-update":
            return [{"templateId": template, "data": {}}]
    raise AssertionError(f"no valid data for {row.event}")


def expected(row: LiveRow, role: str | None) -> str | None:
    """Returns the error code that the row implies for a client with this role, None for no error."""
    if row.who == "nobody":
        return "VALIDATION_ERROR"
    if row.who == "everybody":
        return None
    if role is None:
        return "UNAUTHORIZED"
    return None if ROLES.index(role) >= ROLES.index(row.who) else "FORBIDDEN"


async def test_every_event_allows_exactly_the_roles_of_its_row(
    api: Api, db: Db, incident: str, template: str, transport: TransportName
) -> None:
    """Each message is sent on a new connection, so that no earlier message affects it."""
    errors = []
    for kind in LIVE_KINDS:
        principal = await create_principal(db, kind)
        for row in live():
            for data in messages_of(row, incident, template):
                async with raw_client(api, transport, principal.token) as client:
                    reply = await client.send_json(row.event, data)
                if code(reply) != expected(row, principal.role):
                    errors.append(f"{row.event} {data}, {kind}: {reply}")
    assert "\n".join(errors) == ""


async def test_the_table_lists_exactly_the_events_of_the_server(api: Api, transport: TransportName) -> None:
    async with raw_client(api, transport) as client:
        reply = await client.send_json("no-such-event", {})
    assert code(reply) == "VALIDATION_ERROR"
    known = reply["error"].partition("use one of ")[2].split(", ")
    assert set(known) - {"auth"} == {row.event for row in live()}


async def test_a_connection_with_an_invalid_token_is_refused(api: Api, db: Db, transport: TransportName) -> None:
    for kind in ("disabled admin", "disabled admin's token"):
        principal = await create_principal(db, kind)
        with pytest.raises(RefusedError):
            async with raw_client(api, transport, principal.token):
                pass
    for token in ("x", "null", "slam_", "\0", "x" * 10_000):
        with pytest.raises(RefusedError):
            async with raw_client(api, transport, token):
                pass


async def test_a_token_in_the_url_or_a_cookie_is_ignored(
    api: Api, db: Db, incident: str, transport: TransportName
) -> None:
    for kind in ("admin", "admin's token"):
        principal = await create_principal(db, kind)
        for place in ("token", "access_token", "authorization", "auth", "jwt"):
            query, cookie = f"{place}={principal.token}", {"Cookie": f"{place}={principal.token}"}
            query = query if place != "auth" else "jwt=x"  # with ?auth, /ws would wait for an `auth` message
            async with raw_client(api, transport, query=query, headers={**cookie, **principal.headers}) as client:
                reply = await client.send_json("join-room", {"room": f"incident-{incident}"})
                assert code(reply) == "UNAUTHORIZED", place


async def test_each_client_gets_only_the_events_it_may_see(
    api: Api, db: Db, incident: str, transport: TransportName
) -> None:
    """Only authenticated clients get internal incidents, and only clients in an incident's room get its comments."""
    admin, viewer = await create_principal(db, "admin"), await create_principal(db, "viewer")
    async with raw_client(api, transport) as anonymous, raw_client(api, transport, viewer.token) as staff:
        await received_events(db, anonymous, staff)  # skips the events so far
        internal = await api.http.post("/api/incidents", json={**INCIDENT, "public": False}, headers=admin.headers)
        hidden = internal.json()["incident"]["id"]
        await api.http.put(f"/api/incidents/{hidden}", json={"title": "Secret"}, headers=admin.headers)
        update = {"status": "identified", "description": "Secret"}
        await api.http.post(f"/api/incidents/{hidden}/updates", json=update, headers=admin.headers)
        for public in (True, False):
            comment = {"text": "Secret", "public": public}
            await api.http.post(f"/api/incidents/{hidden}/comments", json=comment, headers=admin.headers)
        await api.http.delete(f"/api/incidents/{hidden}", headers=admin.headers)
        await api.http.put(f"/api/incidents/{incident}", json={"title": "Open"}, headers=admin.headers)
        received = await staff.receive_event("incident-created")
        assert received["incident"]["id"] == hidden
        events = [event for event, _ in await staff.received_events(db)]
        assert events == ["incident-updated", "incident-updated", "incident-deleted", "incident-updated"]
        assert [(event, data["incidentId"]) for event, data in await anonymous.received_events(db)] == [
            ("incident-updated", incident)
        ]


async def test_an_incident_that_becomes_internal_is_deleted_for_anonymous_clients(
    api: Api, db: Db, incident: str, transport: TransportName
) -> None:
    admin = await create_principal(db, "admin")
    path = f"/api/incidents/{incident}"
    async with raw_client(api, transport) as anonymous:
        await api.http.put(path, json={"public": False, "title": "Secret"}, headers=admin.headers)
        assert await anonymous.receive_event("incident-deleted") == {"incidentId": incident}
        await api.http.put(path, json={"title": "More secret"}, headers=admin.headers)
        await api.http.put(path, json={"public": True, "title": "Open"}, headers=admin.headers)
        shown = await anonymous.receive_event("incident-created")
        assert (shown["incident"]["id"], shown["incident"]["title"]) == (incident, "Open")
        assert "ecret" not in str(await anonymous.received_events(db))


async def test_anonymous_clients_get_no_names_of_private_services(
    api: Api, db: Db, incident: str, transport: TransportName
) -> None:
    admin = await create_principal(db, "admin")
    await add_service(db, "vault", public=False)
    async with raw_client(api, transport) as anonymous, raw_client(api, transport, admin.token) as staff:
        change = {"title": "Wider than it seemed", "affectedServices": ["shop", "vault"]}
        await api.http.put(f"/api/incidents/{incident}", json=change, headers=admin.headers)
        received = await anonymous.receive_event("incident-updated")
        assert received["incident"]["affectedServices"] == ["shop"]
        assert (await staff.receive_event("incident-updated"))["incident"]["affectedServices"] == ["shop", "vault"]
    assert "vault" not in (await api.http.get("/api/incidents")).text
    assert "vault" not in (await api.http.get(f"/api/incidents/{incident}")).text
