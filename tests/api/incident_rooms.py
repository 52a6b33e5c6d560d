"""Joins the room of an incident, and edits the incident there."""

from typing import Any

from tests.api.transports import SocketClient


async def join(client: SocketClient, number: str) -> None:
    assert (await client.send("join-room", room=f"incident-{number}"))["ok"]


async def edit(client: SocketClient, number: str, editing: bool = True, **more: Any) -> None:
    assert (await client.send("incident-editing", incidentId=number, isEditing=editing, **more))["ok"]
