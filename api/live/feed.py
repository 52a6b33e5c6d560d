"""From the database to this process: what changed, heard at once, in commit order, none lost and none twice.

NOTIFY only wakes; what happened is read from `events` by sequence. The listener LISTENs first and reads then, so
nothing falls between (sql/listen.py). While a dead connection is being replaced, a poll through the pool takes over.
"""

import logging
import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Literal

import anyio
import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

import sql
from api.cache.entries import Change
from api.cache.responses import ResponseCache
from api.live.access import Access
from api.live.hub import (
    EVERYONE,
    MAX_SEQ,
    OUTSIDE,
    PUBLIC_STEP,
    REMEMBERED_BYTES,
    Event,
    Frames,
    Hub,
    frames,
    public_number,
    resync,
)
from api.metrics import Metrics
from sql import Pool, database
from sql.listen import Listener, Patience

log = logging.getLogger(__name__)

SILENCE_S = 5.0
PATIENCE = Patience(ping_s=2.0, silence_s=SILENCE_S, pauses_s=(0.1, 5.0))
POLL_S = 1.0
BATCH = 100
BATCH_BYTES = 2**20
"""What is read from `events` at once: so many rows, and no further when their data is as large as that."""
REACH = 50_000
"""How far back a client's replay may begin: rows that are looked at, whatever room they are for."""
HEARD_WITHIN_S = 1.0
_ENDS: Mapping[str, Change] = {"checks": "checks", "event": "event", "public-services": "services"}
"""Which answers a notification ends."""
WITHDRAWING = frozenset({"incident-deleted", "maintenance-updated"})
"""After these something may no longer be public: no last snapshot has it."""


class EventRow(msgspec.Struct):
    """A row of `events`; `data` is JSON text as the database wrote it, `oldest` the first number that is still kept."""

    seq: int
    occurred_at: datetime
    event: str
    room: str | None
    data: str
    origin: str | None
    oldest: int

    @property
    def public(self) -> bool:
        """Whether strangers may hear of it."""
        return self.seq == public_number(self.seq)

    def encoded(self) -> Event:
        """The row as the frames that all clients get."""
        told = frames(self.event, msgspec.Raw(self.data.encode()), self.seq)
        return Event(self.seq, self.room, told, self.origin)


def _full(page: list[EventRow]) -> bool:
    """Whether there may be more than what was read."""
    return len(page) == BATCH or sum(len(row.data.encode()) for row in page) >= BATCH_BYTES


class Kept(msgspec.Struct):
    """The numbers of the last event and of the first that is still kept."""

    seq: int
    oldest: int


class Feed:
    """One per process. `state` is what /ready tells."""

    def __init__(
        self, database_url: str, pool: Pool, hub: Hub, answers: ResponseCache, access: Access, metrics: Metrics
    ) -> None:
        self.state: Literal["starting", "listening", "polling", "away"] = "starting"
        self._pool = pool
        self._hub = hub
        self._answers = answers
        self._access = access
        self._metrics = metrics
        self._reading = anyio.Lock()
        self._started = False
        self._marks: dict[str, anyio.Event] = {}
        self._listener = Listener(database_url, "sla-monitor api feed", self, PATIENCE)
        metrics.feed_silence.set_function(lambda: self._listener.silent_s)
        answers.heard = self.heard

    async def run(self) -> None:
        """Until cancelled; the database may come and go."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listener.run)
            tasks.start_soon(self._poll)

    async def between(self, after: int, upto: int, rooms: Collection[str | None]) -> list[Event] | None:
        """The first events of these rooms after one number and up to another; none where there are no more. None
        where some are gone."""
        named = [room for room in rooms if room is not None]
        values = {"after": after, "upto": upto, "rooms": named, "everyone": EVERYONE in rooms}
        found = await database.rows(self._pool, "events/between", EventRow, **values, limit=BATCH, bytes=BATCH_BYTES)
        kept = await database.row(self._pool, "events/last", Kept)  # asked after: what is kept now was kept before
        following = public_number(after) + PUBLIC_STEP if OUTSIDE.issuperset(rooms) else after + 1
        if kept is None or kept.oldest > following:
            return None
        return [event.encoded() for event in found]

    async def reaches(self, after: int, upto: int) -> bool:
        """Whether what lies between two numbers is little enough to be looked through. There are fewer rows than
        numbers: most are passed over."""
        if upto - after <= REACH:
            return True
        return await database.count(self._pool, "events/count_between", after=after, upto=upto, most=REACH + 1) <= REACH

    async def connected(self, connection: AsyncConnection[TupleRow]) -> None:
        """The listener has a connection: what changed meanwhile is not known."""
        await self._synchronise(connection)
        self._answers.forget()
        self._hub.forget()
        self._access.notice()
        self._answers.database_away = False
        self.state = "listening"
        self._metrics.feed_alive.set(1)

    def disconnected(self, error: Exception) -> None:
        """The listener has lost its connection."""
        self._failed("the listener lost the database, a poll takes over", error)
        if self.state == "listening":
            self.state = "polling"
        self._metrics.feed_alive.set(0)
        self._metrics.feed_reconnects.inc()
        self._answers.forget()

    async def received(self, connection: AsyncConnection[TupleRow], payloads: set[str]) -> None:
        """First the cached answers end, then the frames go out: who asks because of a frame gets the new answer.

        'inside' is an event that strangers do not hear of, 'services' may be a private one: no answer that is kept
        depends on them.
        """
        if "access" in payloads:
            self._access.notice()
        for payload in payloads:
            if (change := _ENDS.get(payload)) is not None:
                self._answers.forget(change)
        if "services" in payloads:
            self._hub.forget()
        if "event" in payloads or "inside" in payloads:
            with anyio.fail_after(SILENCE_S):
                await self._catch_up(connection)
        for payload in payloads:
            if (mark := self._marks.get(payload)) is not None:
                mark.set()

    async def heard(self) -> bool:
        """Returns True once everything that was committed before the call has been heard; False where that takes too
        long, or nobody listens."""
        if self.state != "listening":
            return False
        name = "mark:" + secrets.token_hex(8)
        mark = self._marks[name] = anyio.Event()
        try:
            with anyio.fail_after(HEARD_WITHIN_S):
                async with self._pool.connection() as connection:
                    await connection.execute("SELECT pg_notify('sla_monitor', %s)", [name])
                await mark.wait()
        except (psycopg.Error, TimeoutError):
            return False
        finally:
            del self._marks[name]
        return True

    async def _synchronise(self, connection: AsyncConnection[TupleRow]) -> None:
        """After (re)connecting: the database may be at its beginning, or not be the one we knew. One reader at a time:
        poll and listener may overlap."""
        async with self._reading:
            last = await self._last_seq(connection)
            if not self._started or last < self._hub.seq:
                await self._start_over(connection, last)
            else:
                await self._read_on(connection)

    async def _catch_up(self, connection: AsyncConnection[TupleRow]) -> None:
        """Reads on from the last number, until nothing is left."""
        async with self._reading:
            await self._read_on(connection)

    async def _read_on(self, connection: AsyncConnection[TupleRow]) -> None:
        async with connection.cursor(row_factory=class_row(EventRow)) as cursor:
            everything = {"rooms": None, "everyone": True, "upto": MAX_SEQ, "limit": BATCH, "bytes": BATCH_BYTES}
            found: list[EventRow] | None = None
            while found is None or _full(found):
                await cursor.execute(sql.query("events/between"), everything | {"after": self._hub.seq})
                found = await cursor.fetchall()
                if found and found[0].oldest > self._hub.seq + 1 and self._hub.seq:
                    self._hub.tell(resync(found[-1].seq))  # away for so long that events were pruned unread
                self._publish(found)

    async def _last_seq(self, connection: AsyncConnection[TupleRow]) -> int:
        async with connection.cursor(row_factory=class_row(Kept)) as cursor:
            await cursor.execute(sql.query("events/last"))
            row = await cursor.fetchone()
        return row.seq if row is not None else 0

    async def _start_over(self, connection: AsyncConnection[TupleRow], last: int) -> None:
        """At the start, and when numbers run backwards, as after a restore. Clients that are here already have missed
        what happened until now: they are told to ask again."""
        async with connection.cursor(row_factory=class_row(EventRow)) as cursor:
            values = {"upto": last, "bytes": REMEMBERED_BYTES // len(Frames._fields)}
            await cursor.execute(sql.query("events/recent"), values)
            self._hub.start_over([row.encoded() for row in await cursor.fetchall()], last)
        self._started = True
        self._metrics.event_seq.set(self._hub.public_seq)

    def _publish(self, found: list[EventRow]) -> None:
        public = [row for row in found if row.public]
        if any(row.event in WITHDRAWING for row in public):
            self._answers.forget("services")  # in bad times too nobody is shown what is no longer to be seen
        for row in found:
            self._hub.publish(row.encoded())
        if public:
            self._metrics.event_seq.set(self._hub.public_seq)
            self._metrics.feed_lag.set((datetime.now(UTC) - public[-1].occurred_at).total_seconds())

    async def _poll(self) -> None:
        """Takes over while nobody listens. What no event tells of is not heard, so no answer outlives a round."""
        while True:
            await anyio.sleep(POLL_S)
            if self.state == "listening":
                continue
            self._answers.forget()
            try:
                with anyio.fail_after(SILENCE_S):
                    async with self._pool.connection() as connection:
                        await self._synchronise(connection)
            except (psycopg.Error, TimeoutError) as error:
                if self.state != "away":
                    self._failed("the poll found no database", error)
                self._meanwhile("away")
            else:
                self._meanwhile("polling")

    def _meanwhile(self, state: Literal["polling", "away"]) -> None:
        if self.state != "listening":  # the listener may have come back while the poll was waiting
            self.state = state
            self._answers.database_away = state == "away"

    def _failed(self, what: str, error: Exception) -> None:
        log.warning("%s (%s)", what, type(error).__name__)
        self._metrics.background_failures.labels("feed").inc()
