"""Limits and invalid messages of sockets, on both transports."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from websockets.exceptions import InvalidStatus

from api.edge import token_bucket
from api.live import access
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, create_user, running_api, until
from tests.api.transports import SocketClient, TransportName, both_transports, incident, socket_client

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


@both_transports
async def test_unknown_rooms_cannot_be_joined(api: Api, db: Db, transport: TransportName) -> None:
    admin = await create_user(db, "admin")
    async with socket_client(api, transport, admin.token) as client:
        for room in ("staff", "anonymous", "", "incident-", "incident-*", "incident-INC-1", "INC-2026-0001", "a" * 99):
            for event in ("join-room", "leave-room"):
                assert (await client.send(event, room=room))["code"] == "VALIDATION_ERROR", room
    async with socket_client(api, transport, admin.token) as client:  # with a token bucket of its own
        for value in (None, 5, ["uptime"], "a" * 101):
            assert (await client.send("join-room", room=value))["code"] == "VALIDATION_ERROR", value
        assert (await client.send("join-room", room="incident-INC-2026-9999"))["code"] == "NOT_FOUND"


@both_transports
async def test_data_that_cannot_be_stored_is_a_bad_request(api: Api, db: Db, transport: TransportName) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    messages: list[tuple[str, dict[str, Any], str]] = [
        ("auto-save", {"incidentId": number, "data": []}, "VALIDATION_ERROR"),
        ("auto-save", {"incidentId": number, "data": {"text": "\0"}}, "VALIDATION_ERROR"),
        ("auto-save", {"incidentId": number, "data": nested(40)}, "VALIDATION_ERROR"),
        ("auto-save", {"incidentId": number, "data": {}, "baseVersion": 2**31}, "VALIDATION_ERROR"),
        ("auto-save", {"incidentId": "INC-2026-9999", "data": {}}, "NOT_FOUND"),
        ("auto-save", {"incidentId": "\0", "data": {}}, "VALIDATION_ERROR"),
        ("incident-comment", {"incidentId": number, "comment": " "}, "VALIDATION_ERROR"),
        ("incident-comment", {"incidentId": number, "comment": "a\0"}, "VALIDATION_ERROR"),
        ("incident-comment", {"incidentId": number, "comment": {"public": True}}, "VALIDATION_ERROR"),
        ("incident-comment", {"incidentId": "INC-2026-9999", "comment": "x"}, "NOT_FOUND"),
        ("incident-editing", {"incidentId": number, "isEditing": "yes"}, "VALIDATION_ERROR"),
        ("incident-editing", {"incidentId": number, "isEditing": True, "field": "\0"}, "VALIDATION_ERROR"),
        ("incident-editing", {"incidentId": "INC-2026-9999", "isEditing": True}, "NOT_FOUND"),
        ("auth-me", {}, "VALIDATION_ERROR"),
    ]
    async with socket_client(api, transport, ann.token) as client:
        for event, data, code in messages:
            reply = await client.send(event, **data)
            assert (reply["ok"], reply["code"]) == (False, code), (event, data, reply)


def nested(depth: int) -> dict[str, Any]:
    """Returns an object with `depth` objects in one another."""
    return {"in": nested(depth - 1)} if depth else {}


@both_transports
async def test_very_long_numbers_are_a_bad_request(api: Api, db: Db, transport: TransportName) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    for digits in ("1" * 400, "1" * 5000, "-" + "9" * 20_000, "1e400", "1" * 300 + ".5"):
        text = f'["auto-save",{{"incidentId":"{number}","data":{{"n":{digits}}}}}]'
        async with socket_client(api, transport, ann.token) as client:
            if transport == "ws":
                text = text.replace('["auto-save",', '{"event":"auto-save","data":')[:-1] + "}"
                await client.socket.send(text)
            else:
                await client.socket.send("421" + text)
            reply = await client.receive_reply()
            assert reply["ok"] or reply["code"] == "VALIDATION_ERROR", (digits[:20], reply)


@both_transports
async def test_the_rate_of_drafts_of_a_socket_is_limited(
    api: Api, db: Db, transport: TransportName, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(token_bucket, "monotonic", lambda: seconds[-1])
    monkeypatch.setattr(access, "UPDATE_BURST", 2)
    number, ann = await incident(db), await create_user(db, "reporter")
    async with socket_client(api, transport, ann.token) as client:
        replies = [await client.send("auto-save", incidentId=number, data={"n": n}) for n in range(3)]
        assert [reply.get("code") for reply in replies] == [None, None, "RATE_LIMITED"]
        seconds.append(1 / access.UPDATES_PER_SECOND)
        assert (await client.send("auto-save", incidentId=number, data={}))["ok"]
        assert (await client.send("auto-save", incidentId=number, data={}))["code"] == "RATE_LIMITED"


@both_transports
async def test_the_sockets_of_a_user_are_limited(database: str, db: Db, transport: TransportName) -> None:
    ann, bob = await create_user(db, "viewer"), await create_user(db, "viewer")
    async with running_api(database, sockets_per_user=1) as api:
        async with socket_client(api, "ws", ann.token):
            with pytest.raises(AssertionError):
                async with socket_client(api, transport, ann.token):
                    pass
            async with socket_client(api, transport, bob.token):
                pass

        async def can_connect() -> bool:
            try:
                async with socket_client(api, transport, ann.token):
                    return True
            except AssertionError:
                return False

        await until(can_connect)


@both_transports
async def test_the_sockets_of_an_address_are_limited(database: str, transport: TransportName) -> None:
    async with running_api(database, sockets_per_address=1) as api, socket_client(api, "ws"):
        assert await refused_status(api, transport) == 429
    async with running_api(database, rate_limit_sockets=Limit(2, timedelta(minutes=1))) as api:
        for _ in range(2):
            async with socket_client(api, transport):
                pass
        assert await refused_status(api, transport) == 429


async def refused_status(api: Api, transport: TransportName) -> int:
    with pytest.raises(InvalidStatus) as raised:
        async with socket_client(api, transport):
            pass
    assert raised.value.response.headers["retry-after"]
    return int(raised.value.response.status_code)


@both_transports
async def test_too_many_messages_close_the_socket(api: Api, transport: TransportName) -> None:
    async with socket_client(api, transport) as client:
        await flood(client)
        assert await client.close_code() == 1008


async def flood(client: SocketClient) -> None:
    text = '{"event":"join-room","room":"uptime"}' if client.transport == "ws" else '42["join-room",{"room":"uptime"}]'
    for _ in range(60):
        await client.socket.send(text)


@both_transports
async def test_a_64_kb_draft_is_accepted_and_a_larger_message_closes_the_socket(
    api: Api, db: Db, transport: TransportName
) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    async with socket_client(api, transport, ann.token) as client:
        for text in ("x" * 60_000, "\x07" * 10_000):
            assert (await client.send("auto-save", incidentId=number, data={"text": text}))["ok"]
        await client.socket.send("x" * (api.settings.socket_max_message + 1))
        assert await client.close_code() == 1009


async def test_the_rooms_of_a_client_are_limited(api: Api, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.live.rooms.MAX_ROOMS", 3)
    numbers, ann = [await incident(db) for _ in range(2)], await create_user(db, "viewer")
    async with socket_client(api, "ws", ann.token) as client:
        replies = [await client.send("join-room", room=f"incident-{number}") for number in numbers]
        assert [reply.get("code") for reply in replies] == [None, "RATE_LIMITED"]
        assert (await client.send("leave-room", room=f"incident-{numbers[0]}"))["ok"]
        assert (await client.send("join-room", room=f"incident-{numbers[1]}"))["ok"]
