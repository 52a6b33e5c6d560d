"""Replays the events that a client missed, before it gets new ones.

Events are read from the database a page at a time; the next page is read when the client has read the last one. So
memory holds at most a page for each client that reconnects.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

import anyio
import anyio.lowlevel
import psycopg

from api.live.client import Client
from api.live.events import Event, Frames, resync
from api.live.hub import Hub

MAX_REPLAY = 5000
MAX_REPLAY_BYTES = 4 * 2**20
"""How much of the database is replayed to one client. A client that missed more gets `resync`."""
READERS = 2
"""How many replays read the database at once; the others wait."""
WAIT_FOR_EVENT_S = 5.0
"""How long to wait for an event that this process has not read yet."""


class History(Protocol):
    """Reads past events from the database (api/live/feed.py `Feed`)."""

    async def is_searchable(self, after: int, upto: int) -> bool: ...
    async def between(self, after: int, upto: int, rooms: Collection[str | None]) -> list[Event] | None: ...


class Replay:
    """Replays from the hub's recent events if they go back far enough, otherwise from the database."""

    def __init__(self, hub: Hub, history: History) -> None:
        self._hub = hub
        self._history = history
        self._readers = anyio.Semaphore(READERS)

    async def catch_up(
        self, client: Client, rooms: Mapping[str | None, int], since: int | None = None, former: str | None = None
    ) -> None:
        """Sends, in order, the events of each room after its number in `rooms`, except those that the client caused
        itself, by this socket or by its previous one (`former`). If the client sent the number of its last event
        (`since`) and there is no such event, it gets `resync`.

        There is no task switch after the last event, so the caller can join the rooms without a gap.
        """
        if not rooms:
            return
        if since is not None and not await self._exists(since):
            client.send(resync(self._hub.seq)[client.transport])
            return
        cursor = min(rooms.values())
        own = {client.id, former}
        count = size = 0
        searched = False
        while cursor < (upto := self._hub.seq) and not client.dismissed:
            events = self._hub.recent_after(cursor)
            if events is None:
                events = await self._page(cursor, upto, rooms, first=not searched)
                searched = True
                count, size = count + len(events or ()), size + sum(event.size for event in events or ())
                if events is None or count > MAX_REPLAY or size > len(Frames._fields) * MAX_REPLAY_BYTES:
                    client.send(resync(self._hub.seq)[client.transport])
                    return
            cursor = events[-1].seq if events else upto
            for event in events:
                is_own = event.origin is not None and event.origin in own
                if not is_own and event.seq > rooms.get(event.room, event.seq):
                    await self._deliver(client, event)

    async def _page(self, after: int, upto: int, rooms: Collection[str | None], *, first: bool) -> list[Event] | None:
        """The first page of the events of `rooms` after a number. None if some have been deleted, if there are too many
        to search (checked for the `first` page), or if the database is away."""
        try:
            async with self._readers:
                if first and not await self._history.is_searchable(after, upto):
                    return None
                return await self._history.between(after, upto, rooms)
        except psycopg.Error:
            return None

    async def _exists(self, since: int) -> bool:
        """Whether event `since` exists. It does not if this is another database, or one that was restored from a
        backup."""
        with anyio.move_on_after(WAIT_FOR_EVENT_S):
            await self._hub.wait_for(since)  # another process may have read the event earlier than this one
        return self._hub.seq >= since

    async def _deliver(self, client: Client, event: Event) -> None:
        """Sends an event once the client has read the previous ones, so that a long replay does not fill its queue."""
        while client.queued and not client.dismissed:
            await client.socket.writable.wait()
            await anyio.lowlevel.checkpoint()
        client.send(event.frames[client.transport])
