"""The feed of events from the database to this process: in commit order, each exactly once.

NOTIFY only wakes the feed, which then reads `events` by sequence number. The listener executes LISTEN before the feed
reads, so no event is missed in between (sql/listen.py). While a dead connection is replaced, the feed polls through the
pool.
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
from api.live.events import MAX_SEQ, PUBLIC_STEP, RECENT_BYTES, Event, Frames, frames, public_number, resync
from api.live.hub import Hub
from api.live.room_names import ANONYMOUS_ROOMS, EVERYONE
from api.metrics import Metrics
from sql import Pool, database
from sql.listen import Listener, Timing

log = logging.getLogger(__name__)

SILENCE_S = 5.0
TIMING = Timing(ping_s=2.0, silence_s=SILENCE_S, pauses_s=(0.1, 5.0))
POLL_S = 1.0
BATCH = 100
BATCH_BYTES = 2**20
"""The size of a page of `events`: at most BATCH rows, and no further row once their data has BATCH_BYTES."""
MAX_SEARCHED_ROWS = 50_000
"""The number of rows of `events`, of all rooms, that a replay may search."""
POLL_TIMEOUT_S = 3.0
"""The timeout of a poll. With it and the timing of the listener (sql/listen.py), open pages show within 15 s that the
database does not respond."""
HANDLED_WITHIN_S = 1.0
"""How long `wait_until_handled` waits."""
_CHANGES: Mapping[str, Change] = {"checks": "checks", "event": "event", "public-services": "services"}
"""The change that invalidates cached responses, by the payload of the notification."""
WITHDRAWING = frozenset({"incident-deleted", "maintenance-updated"})
"""After these events something may no longer be public, so stale responses are removed too."""


class EventRow(msgspec.Struct):
    """A row of `events`. `data` is JSON text; `oldest` is the lowest number in the table."""

    seq: int
    occurred_at: datetime
    event: str
    room: str | None
    data: str
    origin: str | None
    oldest: int

    @property
    def public(self) -> bool:
        """Whether anonymous clients may get it."""
        return self.seq == public_number(self.seq)

    def encode(self) -> Event:
        """The event with its frames."""
        encoded = frames(self.event, msgspec.Raw(self.data.encode()), self.seq)
        return Event(self.seq, self.room, encoded, self.origin)


def _full(page: list[EventRow]) -> bool:
    """Whether there may be more rows after this page."""
    return len(page) == BATCH or sum(len(row.data.encode()) for row in page) >= BATCH_BYTES


class Numbers(msgspec.Struct):
    """The highest and the lowest number in `events`."""

    seq: int
    oldest: int


class Feed:
    """One per process. `state` is reported by /ready."""

    def __init__(
        self, database_url: str, pool: Pool, hub: Hub, cache: ResponseCache, access: Access, metrics: Metrics
    ) -> None:
        self.state: Literal["starting", "listening", "polling", "away"] = "starting"
        self._pool = pool
        self._hub = hub
        self._cache = cache
        self._access = access
        self._metrics = metrics
        self._reading = anyio.Lock()
        self._started = False
        self._marks: dict[str, anyio.Event] = {}
        """The notifications that `wait_until_handled` waits for, by payload."""
        self._listener = Listener(database_url, "sla-monitor api feed", self, TIMING)
        metrics.feed_silence.set_function(lambda: self._listener.silent_s)
        cache.wait_for_feed = self.wait_until_handled

    async def run(self) -> None:
        """Runs until cancelled. The database may be away at any time."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listener.run)
            tasks.start_soon(self._poll)

    async def between(self, after: int, upto: int, rooms: Collection[str | None]) -> list[Event] | None:
        """The first page of the events of `rooms` with numbers above `after` and up to `upto`; an empty list if there
        are no more. None if some have been deleted."""
        named = [room for room in rooms if room is not None]
        values = {"after": after, "upto": upto, "rooms": named, "everyone": EVERYONE in rooms}
        found = await database.rows(self._pool, "events/between", EventRow, **values, limit=BATCH, bytes=BATCH_BYTES)
        # Read after the events: rows that exist now existed during the first query, too.
        numbers = await database.row(self._pool, "events/last", Numbers)
        following = public_number(after) + PUBLIC_STEP if ANONYMOUS_ROOMS.issuperset(rooms) else after + 1
        if numbers is None or numbers.oldest > following:
            return None
        return [event.encode() for event in found]

    async def is_searchable(self, after: int, upto: int) -> bool:
        """Whether `events` has at most `MAX_SEARCHED_ROWS` rows between two numbers."""
        if upto - after <= MAX_SEARCHED_ROWS:  # there are no more rows than numbers
            return True
        most = MAX_SEARCHED_ROWS + 1  # so that counting stops there
        found = await database.count(self._pool, "events/count_between", after=after, upto=upto, most=most)
        return found <= MAX_SEARCHED_ROWS

    async def connected(self, connection: AsyncConnection[TupleRow]) -> None:
        """The listener has connected. Changes without an event may have been missed."""
        await self._synchronise(connection)
        self._cache.invalidate()
        self._hub.clear_recent()
        self._access.recheck()
        self._cache.database_away = False
        self.state = "listening"
        self._metrics.feed_alive.set(1)

    def disconnected(self, error: Exception) -> None:
        """The listener has lost its connection."""
        self._failed("the feed lost its connection to the database and polls", error)
        if self.state == "listening":
            self.state = "polling"
        self._metrics.feed_alive.set(0)
        self._metrics.feed_reconnects.inc()
        self._cache.invalidate()

    async def received(self, connection: AsyncConnection[TupleRow], payloads: set[str]) -> None:
        """Invalidates cached responses first and then publishes events: a client that requests because of an event gets
        the new response.

        The payload 'inside' means an internal event, 'services' a change of any service. No cached response depends on
        them.
        """
        if "access" in payloads:
            self._access.recheck()
        for payload in payloads:
            if (change := _CHANGES.get(payload)) is not None:
                self._cache.invalidate(change)
        if "services" in payloads:
            self._hub.clear_recent()
        if "event" in payloads or "inside" in payloads:
            with anyio.fail_after(SILENCE_S):
                await self._catch_up(connection)
        for payload in payloads:
            if (mark := self._marks.get(payload)) is not None:
                mark.set()

    async def wait_until_handled(self) -> bool:
        """Waits until everything that was committed before the call has been handled. Returns False if the feed is not
        listening, or if it takes longer than `HANDLED_WITHIN_S`."""
        if self.state != "listening":
            return False
        name = "mark:" + secrets.token_hex(8)
        mark = self._marks[name] = anyio.Event()
        try:
            with anyio.fail_after(HANDLED_WITHIN_S):
                async with self._pool.connection() as connection:
                    await connection.execute("SELECT pg_notify('sla_monitor', %s)", [name])
                await mark.wait()
        except (psycopg.Error, TimeoutError):
            return False
        finally:
            del self._marks[name]
        return True

    async def _synchronise(self, connection: AsyncConnection[TupleRow]) -> None:
        """Reads the missed events after connecting. The database may have been replaced by an older one. A lock
        serialises the reads of poll and listener, which may overlap."""
        async with self._reading:
            last = await self._last_seq(connection)
            if not self._started or last < self._hub.seq:
                await self._restart(connection, last)
            else:
                await self._read_on(connection)

    async def _catch_up(self, connection: AsyncConnection[TupleRow]) -> None:
        """Publishes the events after the last published one."""
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
                    self._hub.send(resync(found[-1].seq))  # events were deleted before they were read
                self._publish(found)

    async def _last_seq(self, connection: AsyncConnection[TupleRow]) -> int:
        async with connection.cursor(row_factory=class_row(Numbers)) as cursor:
            await cursor.execute(sql.query("events/last"))
            row = await cursor.fetchone()
        return row.seq if row is not None else 0

    async def _restart(self, connection: AsyncConnection[TupleRow], last: int) -> None:
        """Reads the recent events at the start, and when the numbers go back, as after a restore. Connected clients may
        have missed events and get `resync`."""
        async with connection.cursor(row_factory=class_row(EventRow)) as cursor:
            values = {"upto": last, "bytes": RECENT_BYTES // len(Frames._fields)}
            await cursor.execute(sql.query("events/recent"), values)
            self._hub.restart([row.encode() for row in await cursor.fetchall()], last)
        self._started = True
        self._metrics.event_seq.set(self._hub.public_seq)

    def _publish(self, found: list[EventRow]) -> None:
        public = [row for row in found if row.public]
        if any(row.event in WITHDRAWING for row in public):
            self._cache.invalidate("services")  # also removes stale responses
        for row in found:
            self._hub.publish(row.encode())
        if public:
            self._metrics.event_seq.set(self._hub.public_seq)
            self._metrics.feed_lag.set((datetime.now(UTC) - public[-1].occurred_at).total_seconds())

    async def _poll(self) -> None:
        """Polls while the feed is not listening. Polls do not find changes without an event, so every poll invalidates
        all responses."""
        while True:
            await anyio.sleep(POLL_S)
            if self.state == "listening":
                continue
            self._cache.invalidate()
            try:
                with anyio.fail_after(POLL_TIMEOUT_S):
                    async with self._pool.connection() as connection:
                        await self._synchronise(connection)
            except (psycopg.Error, TimeoutError) as error:
                if self.state != "away":
                    self._failed("the feed could not poll the database", error)
                self._set_polling_state("away")
            else:
                self._set_polling_state("polling")

    def _set_polling_state(self, state: Literal["polling", "away"]) -> None:
        if self.state != "listening":  # the listener may have connected during the poll
            lost = state == "away" != self.state
            self.state = state
            self._cache.database_away = state == "away"
            if lost:
                self._hub.send(frames("database-away", {}, self._hub.public_seq))

    def _failed(self, text: str, error: Exception) -> None:
        log.warning("%s (%s)", text, type(error).__name__)
        self._metrics.background_failures.labels("feed").inc()
