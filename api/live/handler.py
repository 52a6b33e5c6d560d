"""Handles the messages of clients, the same for both transports: rooms, editing, drafts, comments, template updates.

Each message is decoded into its type, authorised with the current permissions of its sender, and carried out by the
same SQL functions as over REST. The sender is the user of the token; a message cannot name another one.
"""

import logging
from collections.abc import Iterable

import anyio
import msgspec
from psycopg import DataError, IntegrityError
from psycopg.errors import ForeignKeyViolation
from psycopg.types.json import Jsonb

import sql
from api.auth.gatekeeper import actor_of
from api.auth.permissions import Principal, authorise
from api.edge.limits import Limits
from api.incidents import comments, drafts
from api.incidents.comments import NewComment
from api.incidents.drafts import DraftToSave
from api.incidents.fields import data_problem
from api.live.access import Access, LiveConnection
from api.live.hub import Hub
from api.live.messages import (
    AutoSave,
    Comment,
    Editing,
    Reply,
    RoomName,
    SentComment,
    TemplateName,
    TemplateUpdate,
    no_such_template,
)
from api.live.presence import Presence, template_room
from api.live.replay import History, Replay
from api.live.room_names import ANONYMOUS, EVERYONE, PUBLIC_ROOMS, STAFF, STAFF_ROOMS
from api.live.rooms import Rooms
from api.metrics import Metrics
from api.rest.errors import ApiError, database_away, invalid
from api.rest.handling import describe
from api.rest.validation import decoded
from sql import Pool, database

log = logging.getLogger(__name__)

MESSAGE_BURST, MESSAGES_PER_SECOND = 20, 10.0
"""The token bucket of the messages of one socket."""
HANDLE_WITHIN_S = 30.0
"""The timeout of one message."""


class MessageHandler:
    """One for both transports of an API process."""

    def __init__(
        self,
        pool: Pool,
        hub: Hub,
        access: Access,
        presence: Presence,
        history: History,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self.hub = hub
        self._access = access
        self._pool = pool
        self._presence = presence
        self._rooms = Rooms(hub, access, presence, Replay(hub, history))
        self._limits = limits
        self._metrics = metrics
        self._actions = {
            "join-room": self._join_room,
            "leave-room": self._leave_room,
            "incident-editing": self._edit,
            "auto-save": self._save,
            "incident-comment": self._comment,
            "join-template": self._join_template,
            "leave-template": self._leave_template,
            "template-update": self._update_template,
        }

    async def handle(self, connection: LiveConnection, event: str, data: msgspec.Raw | bytes) -> Reply:
        """Handles one message and returns the reply. `data` is JSON. Raises no exception but ApiError."""
        action = self._actions.get(event)
        try:
            if action is None:
                raise ApiError(400, "unknown_event", choices=list(self._actions))
            with anyio.fail_after(HANDLE_WITHIN_S):
                reply = await action(connection, data)
        except Exception as error:  # becomes an ApiError; an unexpected one is logged there
            self._metrics.socket_events.labels(event if action else "unknown", "refused").inc()
            raise _as_api_error(error, event) from None
        self._metrics.socket_events.labels(event, "done").inc()
        return reply

    async def enter(self, connection: LiveConnection, rooms: Iterable[str] = ()) -> list[tuple[str, ApiError | None]]:
        """Joins EVERYONE, STAFF or ANONYMOUS, and `rooms`, after the replay of missed events. Returns each of `rooms`
        with None, or with the error if it could not be joined."""
        prepared: dict[str | None, int | None] = {EVERYONE: None, connection.audience: None}
        outcome: list[tuple[str, ApiError | None]] = []
        for room in dict.fromkeys(rooms):
            try:
                prepared[room] = await self._rooms.prepare(connection, room)
            except Exception as error:  # of this room; the others are joined
                outcome.append((room, _as_api_error(error, "join-room")))
            else:
                outcome.append((room, None))
        if connection.is_staff:  # the public rooms that the client joined before it was authenticated
            prepared |= dict.fromkeys(PUBLIC_ROOMS & connection.client.rooms)
        await self._rooms.join(connection, prepared)
        connection.mark_replayed([ANONYMOUS])
        if not connection.is_staff:  # if it is authenticated later, staff events before that are not replayed
            connection.mark_replayed([STAFF, *STAFF_ROOMS.values()])
        return outcome

    async def authenticate(self, connection: LiveConnection, token: str) -> Principal:
        """Authenticates a socket by a token. Raises ApiError."""
        before = connection.audience
        try:
            with anyio.fail_after(HANDLE_WITHIN_S):
                principal = await self._access.authenticate(connection, token)
        except Exception as error:  # as in `handle`
            raise _as_api_error(error, "auth") from None
        self.hub.leave(connection.client, before)
        return principal

    def leave(self, connection: LiveConnection) -> None:
        """Removes a closed connection."""
        self._presence.leave(connection.client.id)
        self._access.remove(connection)
        self.hub.disconnect(connection.client)

    async def restrict(self, connection: LiveConnection) -> None:
        """Applies a changed role: see `Rooms.restrict`."""
        await self._rooms.restrict(connection)

    async def _join_room(self, connection: LiveConnection, data: bytes) -> Reply:
        room = decoded(data, RoomName).room
        await self._rooms.join(connection, {room: await self._rooms.prepare(connection, room)})
        return Reply("joined", {"room": room})

    async def _leave_room(self, connection: LiveConnection, data: bytes) -> Reply:
        room = decoded(data, RoomName).room
        self._rooms.leave(connection, room)
        return Reply("left", {"room": room})

    async def _edit(self, connection: LiveConnection, data: bytes) -> Reply:
        message = decoded(data, Editing)
        principal = await self._access.current_principal(connection)
        authorise(principal, "incidents:write")
        room = "incident-" + message.incident_id
        client = connection.client
        if message.is_editing or room in client.rooms:
            seq = await self._rooms.enter_incident(client, principal, room, message.is_editing, message.field)
            await self._rooms.join(connection, {room: seq})
        return Reply("editing", {"incidentId": message.incident_id, "isEditing": message.is_editing})

    async def _save(self, connection: LiveConnection, data: bytes) -> Reply:
        message = decoded(data, AutoSave)
        if not connection.updates.take():
            raise ApiError(429, "drafts_too_often")
        principal = await self._access.current_principal(connection)
        authorise(principal, "drafts:write")
        assert principal is not None
        draft = DraftToSave(data=message.data, base_version=message.base_version)
        by, origin = actor_of(principal, connection.address), connection.client.id
        saved_at = await drafts.store(self._pool, principal, by, message.incident_id, draft, origin)
        return Reply("saved", {"incidentId": message.incident_id, "timestamp": saved_at})

    async def _comment(self, connection: LiveConnection, data: bytes) -> Reply:
        message = decoded(data, Comment)
        text, public = message.text_and_visibility()
        fields = decoded(data, SentComment).fields()
        principal = await self._access.current_principal(connection)
        authorise(principal, "incidents:write")
        assert principal is not None
        comment = NewComment(text=text, public=public)
        by = actor_of(principal, connection.address)
        stored = await comments.store(self._pool, self._limits, principal, by, message.incident_id, comment, fields)
        return Reply("commented", {"incidentId": message.incident_id, "comment": stored})

    async def _join_template(self, connection: LiveConnection, data: bytes) -> Reply:
        template_id = decoded(data, TemplateName).uuid()
        room = template_room(template_id)
        await self._rooms.join(connection, {room: await self._rooms.prepare(connection, room)})
        return Reply("joined", {"room": room, "templateId": str(template_id)})

    async def _leave_template(self, connection: LiveConnection, data: bytes) -> Reply:
        template_id = decoded(data, TemplateName).uuid()
        room = template_room(template_id)
        self._rooms.leave(connection, room)
        return Reply("left", {"room": room, "templateId": str(template_id)})

    async def _update_template(self, connection: LiveConnection, data: bytes) -> Reply:
        """Sends the changes that a user is making to a template to the others in its room. Nothing is stored."""
        message = decoded(data, TemplateUpdate)
        template_id = message.uuid()
        if (problem := data_problem(message.data)) is not None:
            raise invalid(problem)
        if not connection.updates.take():
            raise ApiError(429, "changes_too_often")
        principal = await self._access.current_principal(connection)
        authorise(principal, "templates:write")
        assert principal is not None
        values = {
            "template_id": template_id,
            "user_id": principal.user_id,
            "user_name": principal.name,
            "data": Jsonb(message.data),
            "origin": connection.client.id,
        }
        async with database.transaction(self._pool) as transaction:
            sent = await (await transaction.execute(sql.query("templates/send_update"), values)).fetchone()
        if sent is None or sent[0] is None:
            raise no_such_template()
        return Reply("updated", {"templateId": str(template_id), "timestamp": sent[0]})


def _as_api_error(error: Exception, event: str) -> ApiError:
    """The error for the client. An unexpected exception is logged and becomes a 500."""
    match error:
        case ForeignKeyViolation():
            return ApiError(404, "unknown_incident")
        case msgspec.DecodeError() | DataError() | IntegrityError() | UnicodeDecodeError() | RecursionError():
            return ApiError(400, "event_data", event=event)
    described = database_away() if isinstance(error, TimeoutError) else describe(error)
    if described is None:
        log.error("%s failed: %s", event, type(error).__name__, exc_info=error)
        described = ApiError(500)
    return described
