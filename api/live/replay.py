"""What a client missed, before it hears what happens.

It is read a page at a time, and the next one when the client has taken the last: however many come back at once, and
whatever they have missed, no more is in memory than a page for each.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

import anyio
import anyio.lowlevel
import psycopg

from api.live.hub import Client, Event, Frames, Hub, resync

MAX_REPLAY = 5000
MAX_REPLAY_BYTES = 4 * 2**20
"""What a client is told from the database at most. Who missed more asks REST."""
READERS = 2
"""How many replays read the database at once; the others wait."""
PATIENCE_S = 5.0


class History(Protocol):
    """What the database still has of the events (api/live/feed.py `Feed`)."""

    async def reaches(self, after: int, upto: int) -> bool: ...
    async def between(self, after: int, upto: int, rooms: Collection[str | None]) -> list[Event] | None: ...


class Replay:
    """From memory where that reaches back far enough, else from the database."""

    def __init__(self, hub: Hub, history: History) -> None:
        self._hub = hub
        self._history = history
        self._readers = anyio.Semaphore(READERS)

    async def catch_up(
        self, client: Client, rooms: Mapping[str | None, int], since: int | None = None, former: str | None = None
    ) -> None:
        """Tells in order what happened in each room after the number beside it, but for what `client` itself did, now
        or as the socket `former`. `since` is a number that it heard somewhere, so it must be known here too.

        After the last event there is no task switch: the caller joins the rooms then.
        """
        if not rooms:
            return
        if since is not None and not await self._reached(since):
            client.offer(resync(self._hub.seq)[client.door])
            return
        cursor = min(rooms.values())
        own = {client.id, former}
        count = size = 0
        looked = False
        while cursor < (upto := self._hub.seq) and not client.dismissed:
            events = self._hub.remembered_after(cursor)
            if events is None:
                events = await self._page(cursor, upto, rooms, first=not looked)
                looked = True
                count, size = count + len(events or ()), size + sum(event.size for event in events or ())
                if events is None or count > MAX_REPLAY or size > len(Frames._fields) * MAX_REPLAY_BYTES:
                    client.offer(resync(self._hub.seq)[client.door])
                    return
            cursor = events[-1].seq if events else upto
            for event in events:
                mine = event.origin is not None and event.origin in own
                if not mine and event.seq > rooms.get(event.room, event.seq):
                    await self._deliver(client, event)

    async def _page(self, after: int, upto: int, rooms: Collection[str | None], *, first: bool) -> list[Event] | None:
        """None where some are gone, or it is too far back to look."""
        try:
            async with self._readers:
                if first and not await self._history.reaches(after, upto):
                    return None
                return await self._history.between(after, upto, rooms)
        except psycopg.Error:
            return None

    async def _reached(self, since: int) -> bool:
        """False for the number of another database, or of this one before it was restored."""
        with anyio.move_on_after(PATIENCE_S):
            await self._hub.reach(since)  # another process may have told the client what is still on its way to us
        return self._hub.seq >= since

    async def _deliver(self, client: Client, event: Event) -> None:
        """Waits for the client, so that a long replay never fills its queue."""
        while client.waiting and not client.dismissed:
            await client.socket.writable.wait()
            await anyio.lowlevel.checkpoint()
        client.offer(event.frames[client.door])
