"""Joining and leaving rooms, with the replay of missed events and the presence in rooms of incidents and templates."""

import re
from collections.abc import Mapping
from uuid import UUID

import anyio

from api.auth.permissions import Principal, allows, authorise
from api.incidents.fields import INCIDENT_ID
from api.live.access import Access, LiveConnection
from api.live.client import Client
from api.live.events import frames, public_number
from api.live.hub import Hub
from api.live.messages import no_such_template
from api.live.presence import Editor, Presence
from api.live.replay import WAIT_FOR_EVENT_S, Replay
from api.live.room_names import PUBLIC_ROOMS, STAFF_ROOMS
from api.rest.errors import ApiError

MAX_ROOMS = 50
"""The number of rooms that one client may be in."""
_INCIDENT_ROOM = re.compile(f"incident-({INCIDENT_ID})")
_TEMPLATE_ROOM = re.compile("template-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class Rooms:
    """The rooms of all connections of this process."""

    def __init__(self, hub: Hub, access: Access, presence: Presence, replay: Replay) -> None:
        self._hub = hub
        self._access = access
        self._presence = presence
        self._replay = replay

    async def prepare(self, connection: LiveConnection, room: str) -> int | None:
        """Checks that a client may join `room`, and registers its presence there. Raises ApiError.

        Returns the number of the event that the client's view of the room is based on; None for public rooms.
        """
        if room in PUBLIC_ROOMS:
            authorise(connection.principal, "rooms:join-public")
            return None
        if match := _TEMPLATE_ROOM.fullmatch(room):
            principal = await self._access.current_principal(connection)
            return await self._enter_template(connection.client, principal, room, UUID(match[1]))
        if not _INCIDENT_ROOM.fullmatch(room):
            raise _unknown_room()
        return await self.enter_incident(connection.client, await self._access.current_principal(connection), room)

    async def join(self, connection: LiveConnection, rooms: Mapping[str | None, int | None]) -> None:
        """Replays the missed events of rooms and joins them. The values are those of `prepare`.

        Events are replayed from the number that the client sent when it reconnected, or from that of `prepare`. There
        is no task switch between the last replayed event and the joining: no event is lost, none is sent twice.

        Staff join the room for private services together with the public one. The number of an anonymous client is
        rounded down to a public one, so that it cannot find out whether there are events between public ones.
        """
        since = connection.since
        if connection.is_staff:
            rooms = {**rooms, **{STAFF_ROOMS[room]: None for room in rooms if room in STAFF_ROOMS}}
        elif since is not None:
            since = public_number(since)
        missed: dict[str | None, int] = {}
        for room, seq in rooms.items():
            after = since if since is not None and room not in connection.replayed else seq
            if after is not None and room not in connection.client.rooms:
                missed[room] = after
        connection.mark_replayed(rooms)
        client_seq = since if since in missed.values() else None
        await self._replay.catch_up(connection.client, missed, client_seq, connection.former_id)
        for room in rooms:
            self._hub.join(connection.client, room)

    def leave(self, connection: LiveConnection, room: str) -> None:
        """Leaves a room. Raises 400 if there is no such room."""
        incident = _INCIDENT_ROOM.fullmatch(room)
        template = _TEMPLATE_ROOM.fullmatch(room)
        if room not in PUBLIC_ROOMS and incident is None and template is None:
            raise _unknown_room()
        self._hub.leave(connection.client, room)
        self._hub.leave(connection.client, STAFF_ROOMS.get(room, room))
        if incident is not None or template is not None:
            self._presence.leave(connection.client.id, incident[1] if incident is not None else room)

    async def restrict(self, connection: LiveConnection) -> None:
        """Applies a changed role: leaves the rooms that it does not allow, and ends editing if it does not allow
        that."""
        client = connection.client
        for incident_id in _incidents(client):
            if not allows(connection.principal, "rooms:join-incident"):
                self._hub.leave(client, "incident-" + incident_id)
                self._presence.leave(client.id, incident_id)
            elif not allows(connection.principal, "incidents:write"):
                assert connection.principal is not None
                await self._presence.stop_editing(client, connection.principal, incident_id)
        if not allows(connection.principal, "templates:read"):
            for room in [room for room in client.rooms if room is not None and _TEMPLATE_ROOM.fullmatch(room)]:
                self.leave(connection, room)

    async def enter_incident(
        self,
        client: Client,
        principal: Principal | None,
        room: str,
        editing: bool | None = None,
        field: str | None = None,
    ) -> int:
        """Registers a client in the room of an incident and sends it the users who are editing. `editing` and `field`:
        what the client edits itself, None for unchanged. Returns the number of the event that this is based on."""
        authorise(principal, "rooms:join-incident")
        assert principal is not None
        _require_below_limit(client, room)
        match = _INCIDENT_ROOM.fullmatch(room)
        present = await self._presence.join_incident(client, principal, match[1], editing, field) if match else None
        if match is None or present is None:
            raise ApiError(404, "unknown_incident")
        if room not in client.rooms:
            for editor in present.editors:
                client.send(frames("incident-editing", _editing(match[1], editor), present.seq)[client.transport])
        return present.seq

    async def _enter_template(self, client: Client, principal: Principal | None, room: str, template_id: UUID) -> int:
        """Registers a client in the room of a template and sends it the number of sockets there. Returns the number of
        the event that this is based on, by which the others get the new number."""
        authorise(principal, "templates:read")
        assert principal is not None
        _require_below_limit(client, room)
        joined = await self._presence.join_template(client, principal, template_id)
        if joined is None:
            raise no_such_template()
        with anyio.fail_after(WAIT_FOR_EVENT_S):  # otherwise older counts would be sent after this one
            await self._hub.wait_for(joined.seq)
        count = {"templateId": str(template_id), "userCount": joined.sockets}
        client.send(frames("user-count-updated", count, joined.seq)[client.transport])
        return joined.seq


def _editing(incident_id: str, editor: Editor) -> dict[str, object]:
    return {
        "incidentId": incident_id,
        "userId": editor.user_id,
        "userName": editor.user_name,
        "isEditing": True,
        "field": editor.field,
    }


def _incidents(client: Client) -> list[str]:
    return [match[1] for room in client.rooms if room is not None and (match := _INCIDENT_ROOM.fullmatch(room))]


def _require_below_limit(client: Client, room: str) -> None:
    """Raises 429 if the client would be in more than MAX_ROOMS rooms."""
    if room not in client.rooms and len(client.rooms) >= MAX_ROOMS:
        raise ApiError(429, "too_many_rooms", most=MAX_ROOMS)


def _unknown_room() -> ApiError:
    return ApiError(400, "unknown_room", choices=sorted(PUBLIC_ROOMS))
