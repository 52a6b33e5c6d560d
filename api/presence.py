"""Who is in which incident's room, known to all API processes: leases in the database (sql/functions/presence.sql).

This process renews its leases every `RENEW_S`; whoever finds one that was not renewed for `LEASE_S` takes it away, and
the room hears of it. What this process holds is in its memory too: after the database was away both are made equal.
"""

import logging
from datetime import timedelta
from uuid import uuid4

import anyio
import msgspec
from psycopg.rows import class_row

import sql
from api import database
from api.metrics import Metrics
from api.security import Principal
from sql import OperationalError, Pool

log = logging.getLogger(__name__)

LEASE_S = 15.0
RENEW_S = 5.0
AGAIN_S = 1.0
GOODBYE_S = 2.0


class Lease(msgspec.Struct):
    """One socket in one incident's room."""

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


class _Held(msgspec.Struct):
    seq: int | None


class Presence:
    """The leases of this process. What ends is ended by its own task, so that a thousand sockets that close at once
    cost one statement."""

    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self._process_id = uuid4()
        self._leases: dict[tuple[str, str], Lease] = {}
        self._rooms: dict[str, set[str]] = {}
        """The incidents of each socket."""
        self._ended: set[tuple[str, str]] = set()
        self._asking = anyio.Lock()
        self._changed = anyio.Event()
        self._exact = True
        """False while the database may hold other leases of ours than we do."""
        self._renewing_since = anyio.current_time()

    async def hold(
        self, socket_id: str, who: Principal, incident_id: str, editing: bool | None = None, field: str | None = None
    ) -> Present | None:
        """Enters a socket into an incident's room, or says what it does there (`editing` None: as it was).

        None where there is no such incident. Raises OperationalError while the database is away.
        """
        key = (incident_id, socket_id)
        async with self._asking:
            self._ended.discard(key)
            exact, self._exact = self._exact, False  # nobody knows what was stored if this is cut short
            async with database.transaction(self._pool) as connection:
                async with connection.cursor(row_factory=class_row(_Held)) as cursor:
                    await cursor.execute(
                        sql.query("presence/hold"),
                        {
                            "incident_id": incident_id,
                            "socket_id": socket_id,
                            "process_id": self._process_id,
                            "user_id": who.user_id,
                            "user_name": who.name,
                            "editing": editing,
                            "field": field,
                            "lifetime": timedelta(seconds=LEASE_S),
                        },
                    )
                    held = await cursor.fetchone()
                async with connection.cursor(row_factory=class_row(Editor)) as cursor:
                    await cursor.execute(
                        sql.query("presence/others"), {"incident_id": incident_id, "user_id": who.user_id}
                    )
                    editors = await cursor.fetchall()
            self._exact = exact
            if held is None or held.seq is None:
                self._forget(key)
                return None
            self._rooms.setdefault(socket_id, set()).add(incident_id)
            lease = self._leases.setdefault(key, Lease(incident_id, socket_id, str(who.user_id), who.name, False, None))
            if editing is not None:
                lease.editing, lease.field = editing, field
            self._metrics.presence_leases.set(len(self._leases))
            return Present(held.seq, editors)

    def leave(self, socket_id: str, incident_id: str | None = None) -> None:
        """Takes a socket out of a room, or of all; others hear of it shortly."""
        for incident in tuple(self._rooms.get(socket_id, ())) if incident_id is None else (incident_id,):
            if self._forget((incident, socket_id)):
                self._ended.add((incident, socket_id))
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

    def edits(self, socket_id: str, incident_id: str) -> bool:
        """Whether this socket has said that it is editing."""
        lease = self._leases.get((incident_id, socket_id))
        return lease is not None and lease.editing

    async def run(self) -> None:
        """Until cancelled: ends what was left, renews what is held, takes away what others no longer renew."""
        due = anyio.current_time() + RENEW_S
        while True:
            with anyio.move_on_after(max(0.0, due - anyio.current_time())):
                await self._changed.wait()
            self._changed = anyio.Event()
            try:
                with anyio.fail_after(RENEW_S):
                    async with self._asking:
                        await self._end()
                        if anyio.current_time() >= due:
                            await self._renew()
                            due = anyio.current_time() + RENEW_S
            except (OperationalError, TimeoutError) as error:
                log.warning("presence could not be renewed (%s)", type(error).__name__)
                self._exact = False
                await anyio.sleep(AGAIN_S)
                self._renewing_since = due = anyio.current_time()

    async def _end(self) -> None:
        ended = list(self._ended)
        if ended:
            incidents, sockets = [incident for incident, _ in ended], [socket for _, socket in ended]
            async with database.transaction(self._pool) as connection:
                await connection.execute(sql.query("presence/end"), {"incidents": incidents, "sockets": sockets})
            self._ended.difference_update(ended)

    async def _renew(self) -> None:
        lifetime = timedelta(seconds=LEASE_S)
        async with database.transaction(self._pool) as connection:
            held = {"process_id": self._process_id, "lifetime": lifetime}
            renewed = await connection.execute(sql.query("presence/renew"), held)
            if renewed.rowcount != len(self._leases) or not self._exact:
                leases = msgspec.json.encode(list(self._leases.values())).decode()
                await connection.execute(sql.query("presence/restore"), held | {"held": leases})
        self._exact = True
        # After the database was away all processes renew first: none of them is taken for dead by the quickest.
        if anyio.current_time() - self._renewing_since >= LEASE_S:
            async with self._pool.connection() as connection:
                await connection.execute("SELECT expire_presence()")

    async def close(self) -> None:
        """Takes out all sockets of this process, which ends."""
        if not self._leases and not self._ended and self._exact:
            return
        with anyio.move_on_after(GOODBYE_S, shield=True):
            try:
                async with self._pool.connection() as connection:
                    await connection.execute("SELECT end_process_presence(%s)", [self._process_id])
            except OperationalError as error:
                log.warning("presence could not be ended (%s); it expires", type(error).__name__)
