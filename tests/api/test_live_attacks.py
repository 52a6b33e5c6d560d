"""Attacks on the live feed: refused on both transports, without effect on other clients."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.api.conftest import Api, User, add_service, create_user, signer
from tests.api.nonsense import HOSTILE_DATA, NO_INCIDENTS, NO_ROOM_DATA, NO_ROOMS, NONSENSE
from tests.api.people import Db, create_token_principal
from tests.api.raw_clients import TRANSPORTS, RefusedError, TransportName, code, raw_client
from tests.api.resources import INCIDENT

pytestmark = [pytest.mark.one_engine, pytest.mark.parametrize("transport", TRANSPORTS)]


@pytest.fixture
async def admin(db: Db) -> User:
    await add_service(db, "shop")
    return await create_user(db, "admin")


@pytest.fixture
async def incident(api: Api, admin: User) -> str:
    return await new_incident(api, admin)


@pytest.fixture(autouse=True)
async def others_are_served(api: Api, transport: TransportName) -> AsyncIterator[None]:
    """After each attack, a client that was connected before is still served, and a new one can connect."""
    async with raw_client(api, transport) as before:
        yield
        assert code(await before.send_json("join-room", {"room": "uptime"})) is None
    async with raw_client(api, transport) as after:
        assert code(await after.send_json("join-room", {"room": "uptime"})) is None
    assert await api.get("/ready") == {"status": "ready"}


async def new_incident(api: Api, who: User, **fields: Any) -> str:
    response = await api.http.post("/api/incidents", json={**INCIDENT, **fields}, headers=who.headers)
    assert response.status_code == 201, response.text
    return str(response.json()["incident"]["id"])


# Rooms


async def test_invalid_room_names_are_refused(
    api: Api, db: Db, incident: str, admin: User, transport: TransportName
) -> None:
    invalid: list[Any] = [*NO_ROOM_DATA, *({"room": name} for name in NO_ROOMS)]
    for token, refusal in ((None, "UNAUTHORIZED"), (admin.token, "NOT_FOUND")):
        for batch in (invalid[first : first + 15] for first in range(0, len(invalid), 15)):
            async with raw_client(api, transport, token) as client:
                for data in batch:
                    assert code(await client.send_json("join-room", data)) in ("VALIDATION_ERROR", refusal), data
                internal = await new_incident(api, admin, public=False)
                created = [
                    data["incident"]["id"]
                    for event, data in await client.received_events(db)
                    if event == "incident-created"
                ]
                assert created.count(internal) == (1 if token else 0)


async def test_further_arguments_join_no_further_rooms(api: Api, incident: str, transport: TransportName) -> None:
    async with raw_client(api, transport) as client:
        if transport == "ws":
            await client.send_frame('{"event": "join-room", "event": "auth", "data": {"room": "staff"}}')
        else:
            await client.send_frame('42["join-room",{"room":"uptime"},{"room":"staff"},"staff"]')
            await client.send_frame('42["join-room"]')
            await client.send_frame("42[]")
            await client.send_frame('42[["join-room"],{"room":"staff"}]')


# Access


ENDINGS = (
    "UPDATE users SET active = false WHERE id = %(user)s",
    "UPDATE users SET password_hash = 'another' WHERE id = %(user)s",
    "UPDATE sessions SET revoked_at = now() WHERE user_id = %(user)s",
    "DELETE FROM sessions WHERE user_id = %(user)s",
    "DELETE FROM users WHERE id = %(user)s",
)


async def test_revoked_access_closes_sockets(
    api: Api, db: Db, incident: str, admin: User, transport: TransportName
) -> None:
    """The client sends nothing. The others in the room get `user-left`."""
    room = {"room": f"incident-{incident}"}
    async with raw_client(api, transport, admin.token) as observer:
        assert code(await observer.send_json("join-room", room)) is None
        for ending in ENDINGS:
            bob = await create_user(db, "reporter")
            async with raw_client(api, transport, bob.token) as client:
                assert code(await client.send_json("join-room", room)) is None
                await db.execute(ending.encode(), {"user": bob.user_id})
                await client.close_code()
                assert await observer.receive_event("user-left") == {**room, "userId": str(bob.user_id)}, ending
            with pytest.raises(RefusedError):
                async with raw_client(api, transport, bob.token):
                    pass


async def test_a_revoked_api_token_closes_its_sockets(
    api: Api, db: Db, incident: str, transport: TransportName
) -> None:
    bot = await create_token_principal(db, "reporter's token", owner_role="reporter", role="reporter")
    async with raw_client(api, transport, bot.token) as client:
        assert code(await client.send_json("join-room", {"room": f"incident-{incident}"})) is None
        await db.execute("UPDATE api_tokens SET revoked_at = now() WHERE owner_id = %s", [bot.user_id])
        await client.close_code()


async def test_an_expired_token_closes_its_socket(api: Api, db: Db, transport: TransportName) -> None:
    bob = await create_user(db, "reporter")
    token = await signer().issue("access", bob.user_id, bob.session_id, timedelta(seconds=3))
    async with raw_client(api, transport, token) as client:
        await client.close_code()


async def test_a_change_of_access_applies_to_the_next_message(
    api: Api, db: Db, incident: str, admin: User, transport: TransportName
) -> None:
    """This includes messages that arrive before the API has handled the notification of the change."""
    named = {"incidentId": incident}
    messages: dict[str, Any] = {
        "incident-editing": {**named, "isEditing": True},
        "auto-save": {**named, "data": {"title": "x"}},
        "incident-comment": {**named, "comment": "x"},
    }
    for event, data in messages.items():
        bob = await create_user(db, "reporter")
        async with raw_client(api, transport, bob.token) as client:
            assert code(await client.send_json(event, data)) is None
            await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [bob.user_id])
            assert code(await client.send_json(event, data)) == "FORBIDDEN", event
            await db.execute("UPDATE sessions SET revoked_at = now() WHERE user_id = %s", [bob.user_id])
            with suppress(ConnectionClosed):
                assert code(await client.send_json(event, data)) == "UNAUTHORIZED", event
    comments = await api.get(f"/api/incidents/{incident}/comments", headers=admin.headers)
    assert len(comments["comments"]) == 1


async def test_a_reporter_who_becomes_a_viewer_no_longer_edits(
    api: Api, db: Db, incident: str, admin: User, transport: TransportName
) -> None:
    bob = await create_user(db, "reporter")
    async with raw_client(api, transport, admin.token) as observer, raw_client(api, transport, bob.token) as client:
        await observer.send_json("join-room", {"room": f"incident-{incident}"})
        await client.send_json("incident-editing", {"incidentId": incident, "isEditing": True})
        assert (await observer.receive_event("incident-editing"))["isEditing"] is True
        await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [bob.user_id])
        assert (await observer.receive_event("incident-editing"))["isEditing"] is False


async def test_a_message_cannot_name_another_user(
    api: Api, db: Db, incident: str, admin: User, transport: TransportName
) -> None:
    """Neither fields of the data nor the token of another user change the sender."""
    bob = await create_user(db, "reporter")
    claimed = {"userId": str(admin.user_id), "userName": admin.username, "author": admin.username, "role": "admin"}
    forged = {"incidentId": incident, **claimed}
    async with raw_client(api, transport, admin.token) as observer, raw_client(api, transport, bob.token) as client:
        await observer.send_json("join-room", {"room": f"incident-{incident}"})
        await client.send_json("incident-editing", {**forged, "isEditing": True, "field": "title"})
        who = {"userId": str(bob.user_id), "userName": bob.username}
        editing = {"incidentId": incident, **who, "isEditing": True, "field": "title"}
        assert await observer.receive_event("incident-editing") == editing
        await client.send_json("incident-comment", {**forged, "comment": {"text": "x", "id": 5, **claimed}})
        comment = (await observer.receive_event("incident-comment"))["comment"]
        assert (comment["author"], comment["userId"]) == (bob.username, str(bob.user_id))
        if transport == "ws":
            assert code(await client.send_json("auth", {"token": admin.token})) is not None
        else:
            await client.send_frame("40" + json.dumps({"token": admin.token}))
            await client.send_frame('40/admin,{"token":"x"}')
        try:
            await client.send_json("incident-comment", {"incidentId": incident, "comment": "x"})
        except (ConnectionClosed, TimeoutError):
            return
        assert (await observer.receive_event("incident-comment"))["comment"]["author"] == bob.username


async def test_pages_of_other_origins_cannot_open_sockets(api: Api, transport: TransportName) -> None:
    for origin in ("http://evil.example", "null", "http://front.example.evil.example", "https://front.example"):
        with pytest.raises(InvalidStatus) as refused:
            async with raw_client(api, transport, headers={"Origin": origin}):
                pass
        assert refused.value.response.status_code == 403, origin
    async with raw_client(api, transport, headers={"Origin": "http://front.example"}):
        pass


# Too many and invalid messages


async def test_too_many_messages_close_their_own_socket_only(
    api: Api, incident: str, admin: User, transport: TransportName
) -> None:
    message = (
        '{"event": "join-room", "data": {"room": "uptime"}}'
        if transport == "ws"
        else '42["join-room",{"room":"uptime"}]'
    )
    for token in (None, admin.token):
        async with raw_client(api, transport, token) as client:
            with pytest.raises((ConnectionClosed, TimeoutError)):
                for _ in range(2000):
                    await client.send_frame(message)
                await client.close_code()
                raise TimeoutError


async def test_a_message_that_is_too_large_closes_its_socket(api: Api, admin: User, transport: TransportName) -> None:
    for token in (None, admin.token):
        async with raw_client(api, transport, token) as client:
            await client.send_frame("42" + "x" * (api.settings.socket_max_message + 1))
            await client.close_code()


async def test_invalid_messages_get_an_error_or_close_the_socket(
    api: Api, admin: User, transport: TransportName
) -> None:
    """Before and after authentication. The error is never SERVER_ERROR."""
    for token in (None, admin.token):
        for nonsense in NONSENSE:
            async with raw_client(api, transport, token) as client:
                await client.send_frame(nonsense)
                with suppress(ConnectionClosed):
                    replies = [await client.send_json("leave-room", {"room": "uptime"})]
                    if transport == "ws":
                        replies.append(await client.receive_reply())
                    assert "SERVER_ERROR" not in map(code, replies), nonsense


async def test_malicious_data_is_refused_with_a_reason(
    api: Api, incident: str, admin: User, transport: TransportName
) -> None:
    messages = [(event, {"incidentId": incident, **data}) for event, data in HOSTILE_DATA]
    valid: dict[str, dict[str, Any]] = {
        "incident-comment": {"comment": "x"},
        "auto-save": {"data": {}},
        "incident-editing": {"isEditing": True},
    }
    messages += [(event, {"incidentId": invalid, **data}) for event, data in valid.items() for invalid in NO_INCIDENTS]
    for batch in (messages[first : first + 10] for first in range(0, len(messages), 10)):
        async with raw_client(api, transport, admin.token) as client:
            for event, data in batch:
                reply = await client.send_json(event, data)
                assert code(reply) in ("VALIDATION_ERROR", "NOT_FOUND"), (event, data, reply)
    comments = await api.get(f"/api/incidents/{incident}/comments", headers=admin.headers)
    assert comments == {"comments": []}


async def test_malicious_text_is_sent_unchanged(api: Api, incident: str, admin: User, transport: TransportName) -> None:
    texts = ("<script>alert(1)</script>", '"]}\n42["x"]', "x\u2028\u2029", "<!channel>", "\U0001f600", "a\r\nb: c")
    async with raw_client(api, transport, admin.token) as observer, raw_client(api, transport, admin.token) as client:
        await observer.send_json("join-room", {"room": f"incident-{incident}"})
        for text in texts:
            await client.send_json("incident-comment", {"incidentId": incident, "comment": text})
            assert (await observer.receive_event("incident-comment"))["comment"]["text"] == text
