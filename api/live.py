"""What a client may say, the same through both doors: into a room and out of it, who edits, drafts, comments.

Each event is decoded into its type, put to `authorise` with what its sender may do *now*, carried out by the same SQL
function as over REST, and answered. Who somebody is comes from the token, whatever else the event claims.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

import anyio
import msgspec
from psycopg import DataError, IntegrityError
from psycopg.errors import ForeignKeyViolation
from psycopg.types.json import Jsonb

import sql
from api import database
from api.access import Access, Participant
from api.comments import RATE_LIMIT, Remark
from api.drafts import data_problem
from api.errors import ApiError, FieldProblem, database_away, describe, invalid
from api.hub import ANONYMOUS, EVERYONE, INSIDE_OF, PUBLIC_ROOMS, STAFF, Hub, frames, public_number
from api.incident_fields import INCIDENT_ID
from api.limits import Limits
from api.metrics import Metrics
from api.presence import Editor, Presence
from api.replay import History, Replay
from api.security import Principal, actor_of, allows, authorise
from api.texts import text_problems
from sql import Pool

log = logging.getLogger(__name__)

BURST, PER_SECOND = 20, 10.0
"""How many messages one socket may send at once and in the long run."""
MAX_ROOMS = 50
ANSWER_WITHIN_S = 30.0
_INCIDENT_ROOM = re.compile(f"incident-({INCIDENT_ID})")

IncidentId = Annotated[str, msgspec.Meta(max_length=50, pattern=r"^[^\x00]*$")]


class RoomName(msgspec.Struct):
    room: Annotated[str, msgspec.Meta(max_length=100)]


class Editing(msgspec.Struct, rename="camel"):
    incident_id: IncidentId
    is_editing: bool
    field: Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[^\x00]*$")] | None = None


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
        }

    async def hear(self, participant: Participant, event: str, data: msgspec.Raw | bytes) -> Answer:
        """Carries out what a client said. Raises ApiError, and nothing else, where that cannot be."""
        act = self._said.get(event)
        try:
            if act is None:
                raise ApiError(400, "unknown event; there are " + ", ".join(self._said))
            with anyio.fail_after(ANSWER_WITHIN_S):
                answer = await act(participant, data)
        except Exception as error:  # put into words for the client; what nobody foresaw is logged there
            self._metrics.socket_events.labels(event if act else "unknown", "refused").inc()
            raise _described(error, event) from None
        self._metrics.socket_events.labels(event, "done").inc()
        return answer

    async def enter(self, participant: Participant, rooms: Iterable[str] = ()) -> list[tuple[str, ApiError | None]]:
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

    async def authenticate(self, participant: Participant, token: str) -> Principal:
        """Who shows a token is heard and told as that person. Raises ApiError."""
        before = participant.crowd
        try:
            with anyio.fail_after(ANSWER_WITHIN_S):
                principal = await self.access.identify(participant, token)
        except Exception as error:  # as in `hear`
            raise _described(error, "auth") from None
        self.hub.leave(participant.client, before)
        return principal

    def leave(self, participant: Participant) -> None:
        """The connection is closed."""
        self._presence.leave(participant.client.id)
        self.access.forget(participant)
        self.hub.disconnect(participant.client)

    async def restrict(self, participant: Participant) -> None:
        """The participant's role changed: it is no longer where it may not be, nor doing what it may not do."""
        client = participant.client
        for incident_id in _incidents(participant):
            if not allows(participant.principal, "rooms:join-incident"):
                self.hub.leave(client, "incident-" + incident_id)
                self._presence.leave(client.id, incident_id)
            elif not allows(participant.principal, "incidents:write"):
                assert participant.principal is not None
                await self._presence.stop_editing(client, participant.principal, incident_id)

    async def _join_room(self, participant: Participant, data: bytes) -> Answer:
        room = msgspec.json.decode(data, type=RoomName).room
        await self._join(participant, {room: await self._prepare(participant, room)})
        return Answer("joined", {"room": room})

    async def _leave_room(self, participant: Participant, data: bytes) -> Answer:
        room = msgspec.json.decode(data, type=RoomName).room
        if room not in PUBLIC_ROOMS and not _INCIDENT_ROOM.fullmatch(room):
            raise _unknown_room()
        self.hub.leave(participant.client, room)
        self.hub.leave(participant.client, INSIDE_OF.get(room, room))
        if match := _INCIDENT_ROOM.fullmatch(room):
            self._presence.leave(participant.client.id, match[1])
        return Answer("left", {"room": room})

    async def _edit(self, participant: Participant, data: bytes) -> Answer:
        said = msgspec.json.decode(data, type=Editing)
        principal = await self.access.refresh(participant)
        authorise(principal, "incidents:write")
        room = "incident-" + said.incident_id
        if said.is_editing or room in participant.client.rooms:
            prepared = await self._enter_incident(participant, principal, room, said.is_editing, said.field)
            await self._join(participant, {room: prepared})
        return Answer("editing", {"incidentId": said.incident_id, "isEditing": said.is_editing})

    async def _save(self, participant: Participant, data: bytes) -> Answer:
        said = msgspec.json.decode(data, type=AutoSave)
        if (wrong := data_problem(said.data)) is not None:
            raise invalid(FieldProblem("data", wrong))
        if not participant.saves.take():
            raise ApiError(429, "You save drafts too often; the next one in a second")
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
            raise ApiError(409, "You have saved the incident since")
        return Answer("saved", {"incidentId": said.incident_id, "timestamp": saved[0]})

    async def _comment(self, participant: Participant, data: bytes) -> Answer:
        said = msgspec.json.decode(data, type=Comment)
        comment = CommentText(said.comment) if isinstance(said.comment, str) else said.comment
        text = comment.text or comment.content or comment.message or comment.body
        if text is None:
            raise invalid(FieldProblem("comment", "must be a text, or an object with a text"))
        if wrong := text_problems("comment", text):
            raise invalid(*wrong)
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
            cursor = await connection.execute(sql.query("comments/add"), values)
            added = await cursor.fetchone()
        return Answer("commented", {"incidentId": said.incident_id, "comment": added[0] if added else None})

    async def _prepare(self, participant: Participant, room: str) -> int | None:
        """Whether a client may be in `room`, which raises; the number of the event up to which it has been told."""
        if room in PUBLIC_ROOMS:
            authorise(participant.principal, "rooms:join-public")
            return None
        if not _INCIDENT_ROOM.fullmatch(room):
            raise _unknown_room()
        return await self._enter_incident(participant, await self.access.refresh(participant), room)

    async def _enter_incident(
        self,
        participant: Participant,
        principal: Principal | None,
        room: str,
        editing: bool | None = None,
        field: str | None = None,
    ) -> int:
        """Makes the others see it there, and tells it who is editing, as of the event whose number comes back."""
        client = participant.client
        authorise(principal, "rooms:join-incident")
        assert principal is not None
        if room not in client.rooms and len(client.rooms) >= MAX_ROOMS:
            raise ApiError(429, f"You are in {MAX_ROOMS} rooms; leave one first")
        match = _INCIDENT_ROOM.fullmatch(room)
        present = await self._presence.hold(client, principal, match[1], editing, field) if match else None
        if match is None or present is None:
            raise ApiError(404, "There is no such incident")
        if room not in client.rooms:
            for editor in present.editors:
                client.offer(frames("incident-editing", _editing(match[1], editor), present.seq)[client.door])
        return present.seq

    async def _join(self, participant: Participant, rooms: Mapping[str | None, int | None]) -> None:
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


def _incidents(participant: Participant) -> list[str]:
    rooms = participant.client.rooms
    return [match[1] for room in rooms if room is not None and (match := _INCIDENT_ROOM.fullmatch(room))]


def _unknown_room() -> ApiError:
    return ApiError(400, "unknown room; there are " + ", ".join(sorted(PUBLIC_ROOMS)) + ", incident-<id>")


def _described(error: Exception, event: str) -> ApiError:
    """What went wrong, for the client."""
    match error:
        case ForeignKeyViolation():
            return ApiError(404, "There is no such incident")
        case msgspec.DecodeError() | DataError() | IntegrityError() | UnicodeDecodeError() | RecursionError():
            text = f": {error}" if isinstance(error, msgspec.ValidationError) else ""
            return ApiError(400, f"the data of {event} is not valid{text}")
    described = database_away() if isinstance(error, TimeoutError) else describe(error)
    if described is None:
        log.error("%s failed: %s", event, type(error).__name__, exc_info=error)
        described = ApiError(500, "Something went wrong on our side")
    return described
