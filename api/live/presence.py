"""Who is in the room of which incident or template, known to all API processes: leases in the database
(sql/functions/presence.sql).

This process renews its leases every `RENEW_S`; the worker takes those away that were not renewed for `LEASE_S`, and the
room is notified. What this process holds is in its memory too: after the database was away both are made equal.
"""

import logging
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

import anyio
import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

import sql
from api.auth.permissions import Principal
from api.live.hub import Client
from api.metrics import Metrics
from sql import Pool, database, leases

log = logging.getLogger(__name__)

RENEW_S = 5.0
AGAIN_S = 1.0
GOODBYE_S = 2.0


class Lease(msgspec.Struct):
    """One socket in one room; `incident_id` is `template-` and the id in that of a template."""

    incident_id: str
    socket_id: str
    user_id: str
    user_name: str
    editing: bool
    field: str | None


class Editor(msgspec.Struct):
    """Somebody else who is editing the incident."""

    user_id: str
    user_name: str
    field: str | None


class Present(msgspec.Struct):
    """Who is editing, as of event `seq`."""

    seq: int
    editors: list[Editor]


class _Entered(msgspec.Struct):
    seq: int | None


class _Answer(_Entered):
    editors: list[dict[str, Any]] | None


class _Counted(_Entered):
    user_count: int | None


class InTemplate(NamedTuple):
    """How many sockets are in a template's room, as of event `seq`."""

    seq: int
    users: int


Found = TypeVar("Found", bound=_Entered)


class _Count(msgspec.Struct):
    held: int


def template_place(template_id: UUID) -> str:
    """The room of a template, and its place in the leases."""
    return f"template-{template_id}"


class Presence:
    """The leases of this process. What ends is ended by its own task, so that a thousand sockets that close at once
    cost one statement."""

    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self._process_id = uuid4()
        self._leases: dict[tuple[str, str], Lease] = {}
        self._rooms: dict[str, set[str]] = {}
        """The incidents and templates of each socket."""
        self._ended: set[tuple[str, str]] = set()
        self._joining = anyio.Lock()
        self._asking = anyio.Lock()
        """Held while memory and database are about to differ. Whoever joins waits for `_joining` first: so this task's
        own work waits for one of them at most, not for all that came before."""
        self._changed = anyio.Event()
        self._exact = True
        """False while the database may hold other leases of ours than we do."""
        self._closed = False

    async def hold(
        self, client: Client, who: Principal, incident_id: str, editing: bool | None = None, field: str | None = None
    ) -> Present | None:
        """Enters a socket into an incident's room, or says what it does there (`editing` None: as it was).

        None where there is no such incident, or the socket has closed meanwhile. Raises OperationalError while the
        database is away.
        """
        async with self._joining, self._asking:
            if client.gone or self._closed:
                return None
            return await self._hold(client, who, incident_id, editing, field)

    async def join_template(self, client: Client, who: Principal, template_id: UUID) -> InTemplate | None:
        """Enters a socket into a template's room. None and OperationalError as for `hold`."""
        async with self._joining, self._asking:
            if client.gone or self._closed:
                return None
            place = template_place(template_id)
            counted = await self._enter(client, who, place, "presence/join_template", _Counted, template_id=template_id)
        if counted is None or counted.seq is None:
            return None
        return InTemplate(counted.seq, counted.user_count or 0)

    async def stop_editing(self, client: Client, who: Principal, incident_id: str) -> None:
        """Says that a socket does not edit any more, where it does."""
        async with self._asking:
            lease = self._leases.get((incident_id, client.id))
            if lease is not None and lease.editing:
                await self._hold(client, who, incident_id, False, None)

    async def _hold(
        self, client: Client, who: Principal, incident_id: str, editing: bool | None, field: str | None
    ) -> Present | None:
        values = {"incident_id": incident_id, "editing": editing, "field": field}
        answer = await self._enter(client, who, incident_id, "presence/hold", _Answer, **values)
        if answer is None or answer.seq is None:
            return None
        if editing is not None:
            lease = self._leases[incident_id, client.id]
            lease.editing, lease.field = editing, field
        return Present(answer.seq, msgspec.convert(answer.editors or [], list[Editor]))

    async def _enter(
        self, client: Client, who: Principal, place: str, name: str, answer_type: type[Found], **values: Any
    ) -> Found | None:
        """Enters a socket into a room by the statement `name`; None where there is no such room, or it has closed."""
        key = (place, client.id)
        self._ended.discard(key)
        exact, self._exact = self._exact, False  # nobody knows what was stored if this is cut short
        answer = await database.row(  # asked again where the connection was dead: twice is as good as once
            self._pool,
            name,
            answer_type,
            socket_id=client.id,
            process_id=self._process_id,
            user_id=who.user_id,
            user_name=who.name,
            lifetime=timedelta(seconds=leases.LEASE_S),
            **values,
        )
        self._exact = exact
        if answer is None or answer.seq is None:
            self._forget(key)
            return None
        if client.gone:
            self._forget(key)
            self._end_soon(key)
            return None
        self._rooms.setdefault(client.id, set()).add(place)
        self._leases.setdefault(key, Lease(place, client.id, str(who.user_id), who.name, False, None))
        self._metrics.presence_leases.set(len(self._leases))
        return answer

    def leave(self, socket_id: str, incident_id: str | None = None) -> None:
        """Takes a socket out of a room, or of all; others hear of it shortly."""
        for incident in tuple(self._rooms.get(socket_id, ())) if incident_id is None else (incident_id,):
            if self._forget((incident, socket_id)):
                self._end_soon((incident, socket_id))

    def _end_soon(self, key: tuple[str, str]) -> None:
        self._ended.add(key)
        self._changed.set()

    def _forget(self, key: tuple[str, str]) -> bool:
        known = self._leases.pop(key, None) is not None
        if known:
            incident_id, socket_id = key
            self._rooms[socket_id].remove(incident_id)
            if not self._rooms[socket_id]:
                del self._rooms[socket_id]
        self._metrics.presence_leases.set(len(self._leases))
        return known

    async def run(self) -> None:
        """Until cancelled: ends what was left, renews what is held."""
        due = anyio.current_time() + RENEW_S
        while True:
            with anyio.move_on_after(max(0.0, due - anyio.current_time())):
                await self._changed.wait()
            self._changed = anyio.Event()
            try:
                with anyio.fail_after(RENEW_S):
                    if anyio.current_time() < due:
                        await self._end()
                    else:
                        await self._renew()
                        due = anyio.current_time() + RENEW_S
            except (psycopg.Error, TimeoutError) as error:
                self._failed("presence could not be renewed", error)
                self._exact = False
                await anyio.sleep(AGAIN_S)
                due = anyio.current_time()

    async def _end(self) -> None:
        async with self._asking:
            await self._end_left()

    async def _end_left(self) -> None:
        ended = list(self._ended)
        if ended:
            incidents, sockets = [incident for incident, _ in ended], [socket for _, socket in ended]
            await self._execute("presence/end", incidents=incidents, sockets=sockets)
            self._ended.difference_update(ended)

    async def _renew(self) -> None:
        """First, waiting for nobody, what is held lives on; then memory and database are compared."""
        held = {"process_id": self._process_id, "lifetime": timedelta(seconds=leases.LEASE_S)}
        if self._leases:
            await self._execute("presence/renew", **held)
        async with self._asking:
            await self._end_left()
            if self._closed or (self._exact and not self._leases):
                return
            count = await database.row(self._pool, "presence/held", _Count, process_id=self._process_id)
            if not self._exact or count is None or count.held != len(self._leases):
                known = msgspec.json.encode(list(self._leases.values())).decode()
                await self._execute("presence/restore", **held, held=known)
            self._exact = True

    def _failed(self, what: str, error: Exception) -> None:
        log.warning("%s (%s)", what, type(error).__name__)
        self._metrics.background_failures.labels("presence").inc()

    async def _execute(self, name: str, **values: Any) -> None:
        """A statement that may be made twice, so it is repeated where the connection was dead."""

        async def ask(connection: AsyncConnection[TupleRow]) -> None:
            await connection.execute(sql.query(name), values)

        await database.retrying(self._pool, ask)

    async def close(self) -> None:
        """Takes out all sockets of this process, which ends; what is under way is waited for, nothing comes after."""
        self._closed = True
        with anyio.move_on_after(GOODBYE_S, shield=True):
            async with self._asking:
                if not self._leases and not self._ended and self._exact:
                    return
                try:
                    await self._execute("presence/end_process", process_id=self._process_id)
                    self._leases.clear()
                    self._rooms.clear()
                except psycopg.Error as error:
                    log.warning("presence could not be ended (%s); it expires", type(error).__name__)
