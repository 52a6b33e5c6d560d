"""What a client may say, the same through both doors: rooms, who edits, drafts, comments, changes of templates.

Each event is decoded into its type, put to `authorise` with what its sender may do *now*, carried out by the same SQL
function as over REST, and answered. Who somebody is comes from the token, whatever else the event claims.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import anyio
import msgspec
from psycopg import DataError, IntegrityError
from psycopg.errors import ForeignKeyViolation
from psycopg.types.json import Jsonb

import sql
from api.auth.gatekeeper import actor_of
from api.auth.permissions import Principal, allows, authorise
from api.edge.limits import Limits
from api.incidents.comments import RATE_LIMIT, Remark
from api.incidents.drafts import data_problem
from api.incidents.fields import INCIDENT_ID
from api.live.access import Access, LiveConnection
from api.live.hub import ANONYMOUS, EVERYONE, INSIDE_OF, PUBLIC_ROOMS, STAFF, Client, Hub, frames, public_number
from api.live.presence import Editor, Presence, template_place
from api.live.replay import PATIENCE_S, History, Replay
from api.metrics import Metrics
from api.rest.errors import ApiError, database_away, describe, invalid
from api.rest.problems import FieldProblem
from api.rest.texts import text_problems, uuid_or_none
from api.rest.validation import decoded
from api.rest.violations import PROBLEM
from sql import Pool, database

log = logging.getLogger(__name__)

BURST, PER_SECOND = 20, 10.0
"""How many messages one socket may send at once and in the long run."""
MAX_ROOMS = 50
ANSWER_WITHIN_S = 30.0
_INCIDENT_ROOM = re.compile(f"incident-({INCIDENT_ID})")
_TEMPLATE_ROOM = re.compile("template-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")

IncidentId = Annotated[str, msgspec.Meta(max_length=50, pattern=r"^[^\x00]*$", extra={PROBLEM: "nul"})]


class RoomName(msgspec.Struct):
    room: Annotated[str, msgspec.Meta(max_length=100)]


class Editing(msgspec.Struct, rename="camel"):
    incident_id: IncidentId
    is_editing: bool
    field: Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[^\x00]*$", extra={PROBLEM: "nul"})] | None = None


class AutoSave(msgspec.Struct, rename="camel"):
    incident_id: IncidentId
    data: dict[str, Any]
    base_version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None


class CommentText(msgspec.Struct):
    """A comment as some front ends send it; the first that is there counts."""

    text: Remark | None = None
    content: Remark | None = None
    message: Remark | None = None
    body: Remark | None = None
    public: bool = False


class Comment(msgspec.Struct, rename="camel"):
    incident_id: IncidentId
    comment: Remark | CommentText


class SentComment(msgspec.Struct):
    """The same as it was sent: whatever fields it has, it has when it comes back."""

    comment: str | dict[str, Any]


class TemplateName(msgspec.Struct, rename="camel"):
    template_id: Annotated[str, msgspec.Meta(max_length=50)]


class TemplateUpdate(TemplateName, rename="camel"):
    data: Any


class Answer(NamedTuple):
    """What the sender is told; the event's name is for `/ws`, where there are no acknowledgements."""

    event: str
    data: dict[str, Any]


class Live:
    """One for both doors of an API process."""

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
        self.access = access
        self._pool = pool
        self._presence = presence
        self._replay = Replay(hub, history)
        self._limits = limits
        self._metrics = metrics
        self._said = {
            "join-room": self._join_room,
            "leave-room": self._leave_room,
            "incident-editing": self._edit,
            "auto-save": self._save,
            "incident-comment": self._comment,
            "join-template": self._join_template,
            "leave-template": self._leave_template,
            "template-update": self._update_template,
        }

    async def hear(self, participant: LiveConnection, event: str, data: msgspec.Raw | bytes) -> Answer:
        """Carries out what a client said. Raises ApiError, and nothing else, where that cannot be."""
        act = self._said.get(event)
        try:
            if act is None:
                raise ApiError(400, "unknown_event", choices=list(self._said))
            with anyio.fail_after(ANSWER_WITHIN_S):
                answer = await act(participant, data)
        except Exception as error:  # put into words for the client; what nobody foresaw is logged there
            self._metrics.socket_events.labels(event if act else "unknown", "refused").inc()
            raise _described(error, event) from None
        self._metrics.socket_events.labels(event, "done").inc()
        return answer

    async def enter(self, participant: LiveConnection, rooms: Iterable[str] = ()) -> list[tuple[str, ApiError | None]]:
        """Puts a client among everyone, among those of its kind and into `rooms`, once it has been told what it missed
        there; says for each room whether it may be in it."""
        prepared: dict[str | None, int | None] = {EVERYONE: None, participant.crowd: None}
        outcome: list[tuple[str, ApiError | None]] = []
        for room in dict.fromkeys(rooms):
            try:
                prepared[room] = await self._prepare(participant, room)
            except Exception as error:  # of this room; the others are joined
                outcome.append((room, _described(error, "join-room")))
            else:
                outcome.append((room, None))
        if participant.inside:  # what it is in already now has an inside
            prepared |= dict.fromkeys(PUBLIC_ROOMS & participant.client.rooms)
        await self._join(participant, prepared)
        participant.replayed.add(ANONYMOUS)
        if not participant.inside:  # who logs in later has been told, as one of the others
            participant.replayed |= {STAFF, *INSIDE_OF.values()}
        return outcome

    async def authenticate(self, participant: LiveConnection, token: str) -> Principal:
        """Who shows a token is heard and told as that person. Raises ApiError."""
        before = participant.crowd
        try:
            with anyio.fail_after(ANSWER_WITHIN_S):
                principal = await self.access.identify(participant, token)
        except Exception as error:  # as in `hear`
            raise _described(error, "auth") from None
        self.hub.leave(participant.client, before)
        return principal

    def leave(self, participant: LiveConnection) -> None:
        """The connection is closed."""
        self._presence.leave(participant.client.id)
        self.access.forget(participant)
        self.hub.disconnect(participant.client)

    async def restrict(self, participant: LiveConnection) -> None:
        """The participant's role changed: it is no longer where it may not be, nor doing what it may not do."""
        client = participant.client
        for incident_id in _incidents(participant):
            if not allows(participant.principal, "rooms:join-incident"):
                self.hub.leave(client, "incident-" + incident_id)
                self._presence.leave(client.id, incident_id)
            elif not allows(participant.principal, "incidents:write"):
                assert participant.principal is not None
                await self._presence.stop_editing(client, participant.principal, incident_id)
        if not allows(participant.principal, "templates:read"):
            for room in [room for room in client.rooms if room is not None and _TEMPLATE_ROOM.fullmatch(room)]:
                self._leave(participant, room)

    async def _join_room(self, participant: LiveConnection, data: bytes) -> Answer:
        room = decoded(data, RoomName).room
        await self._join(participant, {room: await self._prepare(participant, room)})
        return Answer("joined", {"room": room})

    async def _leave_room(self, participant: LiveConnection, data: bytes) -> Answer:
        room = decoded(data, RoomName).room
        self._leave(participant, room)
        return Answer("left", {"room": room})

    def _leave(self, participant: LiveConnection, room: str) -> None:
        match = _INCIDENT_ROOM.fullmatch(room)
        in_template = _TEMPLATE_ROOM.fullmatch(room)
        if room not in PUBLIC_ROOMS and match is None and in_template is None:
            raise _unknown_room()
        self.hub.leave(participant.client, room)
        self.hub.leave(participant.client, INSIDE_OF.get(room, room))
        if match is not None or in_template is not None:
            self._presence.leave(participant.client.id, match[1] if match is not None else room)

    async def _edit(self, participant: LiveConnection, data: bytes) -> Answer:
        said = decoded(data, Editing)
        principal = await self.access.refresh(participant)
        authorise(principal, "incidents:write")
        room = "incident-" + said.incident_id
        if said.is_editing or room in participant.client.rooms:
            prepared = await self._enter_incident(participant, principal, room, said.is_editing, said.field)
            await self._join(participant, {room: prepared})
        return Answer("editing", {"incidentId": said.incident_id, "isEditing": said.is_editing})

    async def _save(self, participant: LiveConnection, data: bytes) -> Answer:
        said = decoded(data, AutoSave)
        if (wrong := data_problem(said.data)) is not None:
            raise invalid(wrong)
        if not participant.saves.take():
            raise ApiError(429, "drafts_too_often")
        principal = await self.access.refresh(participant)
        authorise(principal, "incidents:write")
        assert principal is not None
        values = {
            "incident_id": said.incident_id,
            "user_id": principal.user_id,
            "data": Jsonb(said.data),
            "base_version": said.base_version,
            "origin": participant.client.id,
        }
        async with database.transaction(self._pool, actor_of(principal, participant.address)) as connection:
            cursor = await connection.execute(sql.query("drafts/save"), values)
            saved = await cursor.fetchone()
        if saved is None or saved[0] is None:
            raise ApiError(409, "incident_saved")
        return Answer("saved", {"incidentId": said.incident_id, "timestamp": saved[0]})

    async def _comment(self, participant: LiveConnection, data: bytes) -> Answer:
        said = decoded(data, Comment)
        comment = CommentText(said.comment) if isinstance(said.comment, str) else said.comment
        text = comment.text or comment.content or comment.message or comment.body
        if text is None:
            raise invalid(FieldProblem.of("comment", "comment"))
        if wrong := text_problems("comment", text):
            raise invalid(*wrong)
        fields = _fields(decoded(data, SentComment).comment)
        principal = await self.access.refresh(participant)
        authorise(principal, "incidents:write")
        assert principal is not None
        await self._limits.take("comments", str(principal.user_id), RATE_LIMIT)
        values = {
            "incident_id": said.incident_id,
            "author_id": principal.user_id,
            "author": principal.name,
            "text": text,
            "public": comment.public,
        }
        async with database.transaction(self._pool, actor_of(principal, participant.address)) as connection:
            if fields:
                await connection.execute(sql.query("comments/carry"), {"fields": msgspec.json.encode(fields).decode()})
            cursor = await connection.execute(sql.query("comments/add"), values)
            added = await cursor.fetchone()
        return Answer("commented", {"incidentId": said.incident_id, "comment": added[0] if added else None})

    async def _join_template(self, participant: LiveConnection, data: bytes) -> Answer:
        template_id = _template_id(decoded(data, TemplateName))
        room = template_place(template_id)
        await self._join(participant, {room: await self._prepare(participant, room)})
        return Answer("joined", {"room": room, "templateId": str(template_id)})

    async def _leave_template(self, participant: LiveConnection, data: bytes) -> Answer:
        template_id = _template_id(decoded(data, TemplateName))
        self._leave(participant, template_place(template_id))
        return Answer("left", {"room": template_place(template_id), "templateId": str(template_id)})

    async def _update_template(self, participant: LiveConnection, data: bytes) -> Answer:
        """What somebody is changing in a template, for the others who have it open; nothing is stored."""
        said = decoded(data, TemplateUpdate)
        template_id = _template_id(said)
        if (wrong := data_problem(said.data)) is not None:
            raise invalid(wrong)
        if not participant.saves.take():
            raise ApiError(429, "changes_too_often")
        principal = await self.access.refresh(participant)
        authorise(principal, "templates:write")
        assert principal is not None
        values = {
            "template_id": template_id,
            "user_id": principal.user_id,
            "user_name": principal.name,
            "data": Jsonb(said.data),
            "origin": participant.client.id,
        }
        async with database.transaction(self._pool) as connection:
            told = await (await connection.execute(sql.query("templates/tell_update"), values)).fetchone()
        if told is None or told[0] is None:
            raise _no_template()
        return Answer("updated", {"templateId": str(template_id), "timestamp": told[0]})

    async def _prepare(self, participant: LiveConnection, room: str) -> int | None:
        """Whether a client may be in `room`, which raises; the number of the event up to which it has been told."""
        if room in PUBLIC_ROOMS:
            authorise(participant.principal, "rooms:join-public")
            return None
        if match := _TEMPLATE_ROOM.fullmatch(room):
            return await self._enter_template(participant, await self.access.refresh(participant), room, UUID(match[1]))
        if not _INCIDENT_ROOM.fullmatch(room):
            raise _unknown_room()
        return await self._enter_incident(participant, await self.access.refresh(participant), room)

    async def _enter_template(
        self, participant: LiveConnection, principal: Principal | None, room: str, template_id: UUID
    ) -> int:
        """Tells the others that there is one more, and it how many there are, as of the event that is returned."""
        client = participant.client
        authorise(principal, "templates:read")
        assert principal is not None
        _require_room(client, room)
        there = await self._presence.join_template(client, principal, template_id)
        if there is None:
            raise _no_template()
        with anyio.fail_after(PATIENCE_S):  # else the numbers of before would be told after this one
            await self.hub.reach(there.seq)
        count = {"templateId": str(template_id), "userCount": there.users}
        client.offer(frames("user-count-updated", count, there.seq)[client.door])
        return there.seq

    async def _enter_incident(
        self,
        participant: LiveConnection,
        principal: Principal | None,
        room: str,
        editing: bool | None = None,
        field: str | None = None,
    ) -> int:
        """Makes the others see it there, and tells it who is editing, as of the event whose number comes back."""
        client = participant.client
        authorise(principal, "rooms:join-incident")
        assert principal is not None
        _require_room(client, room)
        match = _INCIDENT_ROOM.fullmatch(room)
        present = await self._presence.hold(client, principal, match[1], editing, field) if match else None
        if match is None or present is None:
            raise ApiError(404, "unknown_incident")
        if room not in client.rooms:
            for editor in present.editors:
                client.offer(frames("incident-editing", _editing(match[1], editor), present.seq)[client.door])
        return present.seq

    async def _join(self, participant: LiveConnection, rooms: Mapping[str | None, int | None]) -> None:
        """Replays what was missed since the client was last here, or since `_prepare` looked; then joins. Between the
        last event that is replayed and the joining lies no task switch: nothing is lost, nothing told twice.

        Who is logged in is told in a public room of private services too. A stranger's `since` counts as the public
        number before it: whether there is one after that, they cannot find out."""
        since = participant.since
        if participant.inside:
            rooms = {**rooms, **{INSIDE_OF[room]: None for room in rooms if room in INSIDE_OF}}
        elif since is not None:
            since = public_number(since)
        missed: dict[str | None, int] = {}
        for room, seq in rooms.items():
            after = since if since is not None and room not in participant.replayed else seq
            if after is not None and room not in participant.client.rooms:
                missed[room] = after
        participant.replayed |= rooms.keys()
        told = since if since in missed.values() else None
        await self._replay.catch_up(participant.client, missed, told, participant.former)
        for room in rooms:
            self.hub.join(participant.client, room)


def _editing(incident_id: str, editor: Editor) -> dict[str, object]:
    return {
        "incidentId": incident_id,
        "userId": editor.user_id,
        "userName": editor.user_name,
        "isEditing": True,
        "field": editor.field,
    }


def _incidents(participant: LiveConnection) -> list[str]:
    rooms = participant.client.rooms
    return [match[1] for room in rooms if room is not None and (match := _INCIDENT_ROOM.fullmatch(room))]


def _require_room(client: Client, room: str) -> None:
    if room not in client.rooms and len(client.rooms) >= MAX_ROOMS:
        raise ApiError(429, "too_many_rooms", most=MAX_ROOMS)


def _fields(comment: str | dict[str, Any]) -> dict[str, Any]:
    """What a comment brings along. An `id` is a text or a number. Raises 400 where it is too much."""
    if isinstance(comment, str):
        return {}
    fields = dict(comment)
    if "id" in fields and (isinstance(fields["id"], bool) or not isinstance(fields["id"], (str, int, float))):
        del fields["id"]
    if (wrong := data_problem(fields, "comment")) is not None:
        raise invalid(wrong)
    return fields


def _template_id(named: TemplateName) -> UUID:
    if (template_id := uuid_or_none(named.template_id)) is None:
        raise _no_template()
    return template_id


def _no_template() -> ApiError:
    return ApiError(404, "unknown_template_id")


def _unknown_room() -> ApiError:
    return ApiError(400, "unknown_room", choices=sorted(PUBLIC_ROOMS))


def _described(error: Exception, event: str) -> ApiError:
    """What went wrong, for the client."""
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
