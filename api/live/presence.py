"""Presence: which users are in the rooms of incidents and templates, in all API processes, as leases in the database
(sql/functions/presence.sql).

Each process renews its leases every `RENEW_S`. The worker deletes a lease that was not renewed for `LEASE_S`, which
creates an event in the room. A process keeps its own leases in memory too, and restores them after the database was
away.
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
from api.live.client import Client
from api.metrics import Metrics
from sql import Pool, database, leases

log = logging.getLogger(__name__)

RENEW_S = 5.0
RETRY_S = 1.0
"""The pause after a failed renewal."""
CLOSE_WITHIN_S = 2.0
"""The timeout of deleting the leases when the process ends."""


class Lease(msgspec.Struct):
    """One socket in one room. `incident_id`: the id of the incident, or `template-<id>`."""

    incident_id: str
    socket_id: str
    user_id: str
    user_name: str
    editing: bool
    field: str | None


class Editor(msgspec.Struct):
    """Another user who is editing the incident."""

    user_id: str
    user_name: str
    field: str | None


class Present(msgspec.Struct):
    """The users who are editing an incident, as of event `seq`."""

    seq: int
    editors: list[Editor]


class _Entered(msgspec.Struct):
    seq: int | None


class _Held(_Entered):
    editors: list[dict[str, Any]] | None


class _Counted(_Entered):
    user_count: int | None


class InTemplate(NamedTuple):
    """The number of sockets in a template's room, as of event `seq`."""

    seq: int
    sockets: int


Entered = TypeVar("Entered", bound=_Entered)


class _Count(msgspec.Struct):
    held: int


def template_room(template_id: UUID) -> str:
    """The room of a template, which is also its id in the leases."""
    return f"template-{template_id}"


class Presence:
    """The leases of this process. A task deletes those that are released, so that many sockets that close at once cause
    one statement."""

    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self._process_id = uuid4()
        self._leases: dict[tuple[str, str], Lease] = {}
        self._rooms: dict[str, set[str]] = {}
        """The ids in the leases of each socket."""
        self._released: set[tuple[str, str]] = set()
        self._join_lock = anyio.Lock()
        self._statement_lock = anyio.Lock()
        """Held while memory and database may differ. A join takes `_join_lock` first, so the renewal of leases waits
        for at most one join, not for all that wait."""
        self._changed = anyio.Event()
        self._exact = True
        """False while the leases of this process in the database may differ from those in memory."""
        self._closed = False

    async def join_incident(
        self,
        client: Client,
        principal: Principal,
        incident_id: str,
        editing: bool | None = None,
        field: str | None = None,
    ) -> Present | None:
        """Adds a socket to an incident's room, or changes what it edits there (`editing` None: unchanged).

        Returns None if there is no such incident, or the socket has been closed. Raises OperationalError while the
        database is away.
        """
        async with self._join_lock, self._statement_lock:
            if client.disconnected or self._closed:
                return None
            return await self._join_incident(client, principal, incident_id, editing, field)

    async def join_template(self, client: Client, principal: Principal, template_id: UUID) -> InTemplate | None:
        """Adds a socket to a template's room. Returns None and raises OperationalError as `join_incident` does."""
        async with self._join_lock, self._statement_lock:
            if client.disconnected or self._closed:
                return None
            room = template_room(template_id)
            counted = await self._enter(
                client, principal, room, "presence/join_template", _Counted, template_id=template_id
            )
        if counted is None or counted.seq is None:
            return None
        return InTemplate(counted.seq, counted.user_count or 0)

    async def stop_editing(self, client: Client, principal: Principal, incident_id: str) -> None:
        """Ends the editing of a socket, if it is editing."""
        async with self._statement_lock:
            lease = self._leases.get((incident_id, client.id))
            if lease is not None and lease.editing:
                await self._join_incident(client, principal, incident_id, False, None)

    async def _join_incident(
        self, client: Client, principal: Principal, incident_id: str, editing: bool | None, field: str | None
    ) -> Present | None:
        values = {"incident_id": incident_id, "editing": editing, "field": field}
        entered = await self._enter(client, principal, incident_id, "presence/hold", _Held, **values)
        if entered is None or entered.seq is None:
            return None
        if editing is not None:
            lease = self._leases[incident_id, client.id]
            lease.editing, lease.field = editing, field
        return Present(entered.seq, msgspec.convert(entered.editors or [], list[Editor]))

    async def _enter(
        self, client: Client, principal: Principal, room: str, name: str, row_type: type[Entered], **values: Any
    ) -> Entered | None:
        """Adds a socket to a room by the query `name`. Returns None if there is no such room, or if the socket is
        closed."""
        key = (room, client.id)
        self._released.discard(key)
        exact, self._exact = self._exact, False  # if this is cancelled, it is unknown whether the lease was stored
        entered = await database.row(  # idempotent, so it is repeated if the connection had been lost
            self._pool,
            name,
            row_type,
            socket_id=client.id,
            process_id=self._process_id,
            user_id=principal.user_id,
            user_name=principal.name,
            lifetime=timedelta(seconds=leases.LEASE_S),
            **values,
        )
        self._exact = exact
        if entered is None or entered.seq is None:
            self._remove(key)
            return None
        if client.disconnected:
            self._remove(key)
            self._release_soon(key)
            return None
        self._rooms.setdefault(client.id, set()).add(room)
        self._leases.setdefault(key, Lease(room, client.id, str(principal.user_id), principal.name, False, None))
        self._metrics.presence_leases.set(len(self._leases))
        return entered

    def leave(self, socket_id: str, incident_id: str | None = None) -> None:
        """Removes a socket from a room, or from all. The task `run` deletes the lease, which causes the event for the
        others."""
        for incident in tuple(self._rooms.get(socket_id, ())) if incident_id is None else (incident_id,):
            if self._remove((incident, socket_id)):
                self._release_soon((incident, socket_id))

    def _release_soon(self, key: tuple[str, str]) -> None:
        self._released.add(key)
        self._changed.set()

    def _remove(self, key: tuple[str, str]) -> bool:
        known = self._leases.pop(key, None) is not None
        if known:
            incident_id, socket_id = key
            self._rooms[socket_id].remove(incident_id)
            if not self._rooms[socket_id]:
                del self._rooms[socket_id]
        self._metrics.presence_leases.set(len(self._leases))
        return known

    async def run(self) -> None:
        """Deletes released leases and renews the others, until cancelled."""
        due = anyio.current_time() + RENEW_S
        while True:
            with anyio.move_on_after(max(0.0, due - anyio.current_time())):
                await self._changed.wait()
            self._changed = anyio.Event()
            try:
                with anyio.fail_after(RENEW_S):
                    if anyio.current_time() < due:
                        await self._delete_released()
                    else:
                        await self._renew()
                        due = anyio.current_time() + RENEW_S
            except (psycopg.Error, TimeoutError) as error:
                self._failed("presence could not be renewed", error)
                self._exact = False
                await anyio.sleep(RETRY_S)
                due = anyio.current_time()

    async def _delete_released(self) -> None:
        async with self._statement_lock:
            await self._delete_released_locked()

    async def _delete_released_locked(self) -> None:
        """Deletes released leases. The caller holds `_statement_lock`."""
        released = list(self._released)
        if released:
            incidents, sockets = [incident for incident, _ in released], [socket for _, socket in released]
            await self._execute("presence/end", incidents=incidents, sockets=sockets)
            self._released.difference_update(released)

    async def _renew(self) -> None:
        """Renews the leases first, without waiting for a lock; then compares memory and database."""
        held = {"process_id": self._process_id, "lifetime": timedelta(seconds=leases.LEASE_S)}
        if self._leases:
            await self._execute("presence/renew", **held)
        async with self._statement_lock:
            await self._delete_released_locked()
            if self._closed or (self._exact and not self._leases):
                return
            count = await database.row(self._pool, "presence/held", _Count, process_id=self._process_id)
            if not self._exact or count is None or count.held != len(self._leases):
                known = msgspec.json.encode(list(self._leases.values())).decode()
                await self._execute("presence/restore", **held, held=known)
            self._exact = True

    def _failed(self, text: str, error: Exception) -> None:
        log.warning("%s (%s)", text, type(error).__name__)
        self._metrics.background_failures.labels("presence").inc()

    async def _execute(self, name: str, **values: Any) -> None:
        """Executes an idempotent query; it is repeated if the connection had been lost."""

        async def execute(connection: AsyncConnection[TupleRow]) -> None:
            await connection.execute(sql.query(name), values)

        await database.retrying(self._pool, execute)

    async def close(self) -> None:
        """Deletes all leases of this process before it ends. Waits for the current statement; no other follows."""
        self._closed = True
        with anyio.move_on_after(CLOSE_WITHIN_S, shield=True):
            async with self._statement_lock:
                if not self._leases and not self._released and self._exact:
                    return
                try:
                    await self._execute("presence/end_process", process_id=self._process_id)
                    self._leases.clear()
                    self._rooms.clear()
                except psycopg.Error as error:
                    log.warning("presence could not be ended (%s); it expires", type(error).__name__)
