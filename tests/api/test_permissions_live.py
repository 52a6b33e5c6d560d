"""The permissions of docs/permissions.md on the live feed, for both transports and every event."""

from typing import Any, get_args

import pytest

from tests.api.conftest import Api, add_service, create_user
from tests.api.intruders import TRANSPORTS, RefusedError, TransportName, code, entered, heard
from tests.api.people import Db, Kind, create_principal
from tests.api.published import ROLES, LiveRow, live
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


def said(row: LiveRow, incident: str, template: str) -> list[dict[str, Any]]:
    """The data of an event that is valid in everything but the permission; one for each room that the row means."""
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
    raise AssertionError(f"the matrix does not know how to say {row.event}")


def expected(row: LiveRow, role: str | None) -> str | None:
    if row.who == "nobody":
        return "VALIDATION_ERROR"
    if row.who == "everybody":
        return None
    if role is None:
        return "UNAUTHORIZED"
    return None if ROLES.index(role) >= ROLES.index(row.who) else "FORBIDDEN"


async def test_the_matrix(api: Api, db: Db, incident: str, template: str, transport: TransportName) -> None:
    """On a new connection each, so that nothing is allowed because of what was said before."""
    wrong = []
    for kind in LIVE_KINDS:
        principal = await create_principal(db, kind)
        for row in live():
            for data in said(row, incident, template):
                async with entered(api, transport, principal.token) as speaker:
                    response = await speaker.tell(row.event, data)
                if code(response) != expected(row, principal.role):
                    wrong.append(f"{row.event} {data}, {kind}: {response}")
    assert "\n".join(wrong) == ""


async def test_every_event_that_is_understood_is_published(api: Api, transport: TransportName) -> None:
    async with entered(api, transport) as speaker:
        response = await speaker.tell("no-such-event", {})
    assert code(response) == "VALIDATION_ERROR"
    understood = response["error"].partition("there are ")[2].split(", ")
    assert set(understood) - {"auth"} == {row.event for row in live()}


async def test_a_bad_token_lets_nobody_in(api: Api, db: Db, transport: TransportName) -> None:
    for kind in ("disabled admin", "disabled admin's token"):
        principal = await create_principal(db, kind)
        with pytest.raises(RefusedError):
            async with entered(api, transport, principal.token):
                pass
    for token in ("x", "null", "slam_", "\0", "x" * 10_000):
        with pytest.raises(RefusedError):
            async with entered(api, transport, token):
                pass


async def test_a_token_in_the_address_or_a_cookie_is_no_token(
    api: Api, db: Db, incident: str, transport: TransportName
) -> None:
    for kind in ("admin", "admin's token"):
        principal = await create_principal(db, kind)
        for place in ("token", "access_token", "authorization", "auth", "jwt"):
            query, cookie = f"{place}={principal.token}", {"Cookie": f"{place}={principal.token}"}
            query = query if place != "auth" else "jwt=x"  # ?auth is how /ws is told that a message with it will follow
            async with entered(api, transport, query=query, headers={**cookie, **principal.headers}) as speaker:
                response = await speaker.tell("join-room", {"room": f"incident-{incident}"})
                assert code(response) == "UNAUTHORIZED", place


async def test_each_is_told_what_they_may_know(api: Api, db: Db, incident: str, transport: TransportName) -> None:
    """Internal incidents are for who is logged in; what happens in an incident's room, for who has joined it."""
    admin, viewer = await create_principal(db, "admin"), await create_principal(db, "viewer")
    async with entered(api, transport) as nobody, entered(api, transport, viewer.token) as staff:
        await heard(db, nobody, staff)  # of what has happened before
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
        told = await staff.hears("incident-created")
        assert told["incident"]["id"] == hidden
        events = [event for event, _ in await staff.heard(db)]
        assert events == ["incident-updated", "incident-updated", "incident-deleted", "incident-updated"]
        assert [(event, data["incidentId"]) for event, data in await nobody.heard(db)] == [
            ("incident-updated", incident)
        ]


async def test_what_becomes_internal_is_gone_for_the_public(
    api: Api, db: Db, incident: str, transport: TransportName
) -> None:
    admin = await create_principal(db, "admin")
    path = f"/api/incidents/{incident}"
    async with entered(api, transport) as nobody:
        await api.http.put(path, json={"public": False, "title": "Secret"}, headers=admin.headers)
        assert await nobody.hears("incident-deleted") == {"incidentId": incident}
        await api.http.put(path, json={"title": "More secret"}, headers=admin.headers)
        await api.http.put(path, json={"public": True, "title": "Open"}, headers=admin.headers)
        shown = await nobody.hears("incident-created")
        assert (shown["incident"]["id"], shown["incident"]["title"]) == (incident, "Open")
        assert "ecret" not in str(await nobody.heard(db))


async def test_private_services_are_named_to_nobody(api: Api, db: Db, incident: str, transport: TransportName) -> None:
    admin = await create_principal(db, "admin")
    await add_service(db, "vault", public=False)
    async with entered(api, transport) as nobody, entered(api, transport, admin.token) as staff:
        change = {"title": "Wider than it seemed", "affectedServices": ["shop", "vault"]}
        await api.http.put(f"/api/incidents/{incident}", json=change, headers=admin.headers)
        told = await nobody.hears("incident-updated")
        assert told["incident"]["affectedServices"] == ["shop"]
        assert (await staff.hears("incident-updated"))["incident"]["affectedServices"] == ["shop", "vault"]
    assert "vault" not in (await api.http.get("/api/incidents")).text
    assert "vault" not in (await api.http.get(f"/api/incidents/{incident}")).text
