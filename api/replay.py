"""What a client missed, before it hears what happens."""

from collections.abc import Awaitable, Callable, Mapping

import anyio
import anyio.lowlevel

from api.hub import Client, Event, Hub, frames
from sql import OperationalError

MAX_REPLAY = 5000
PATIENCE_S = 5.0

ReadEvents = Callable[[int, int], Awaitable[list[Event] | None]]
"""`(after, upto)` -> the events between from the database, or None where some are gone or they are too many."""


class Replay:
    """From memory where that reaches back far enough, else from the database."""

    def __init__(self, hub: Hub, read: ReadEvents) -> None:
        self._hub = hub
        self._read = read

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
            self._resync(client)
            return
        cursor = min(rooms.values())
        own = {client.id, former}
        while cursor < self._hub.seq and not client.dismissed:
            events = self._hub.remembered_after(cursor)
            if events is None:
                try:
                    events = await self._read(cursor, self._hub.seq)
                except OperationalError:
                    events = None
                if events is None:
                    self._resync(client)
                    return
            cursor = events[-1].seq if events else self._hub.seq
            for event in events:
                mine = event.origin is not None and event.origin in own
                if not mine and event.seq > rooms.get(event.room, event.seq):
                    await self._deliver(client, event)

    async def _reached(self, since: int) -> bool:
        """False for the number of another database, or of this one before it was restored."""
        with anyio.move_on_after(PATIENCE_S):
            await self._hub.reach(since)  # another process may have told the client what is still on its way to us
        return self._hub.seq >= since

    def _resync(self, client: Client) -> None:
        told = frames("resync", {"reason": "what happened since is no longer kept"}, self._hub.seq)
        client.offer(told[client.door])

    async def _deliver(self, client: Client, event: Event) -> None:
        """Waits for the client, so that a long replay never fills its queue."""
        while client.waiting and not client.dismissed:
            await client.socket.writable.wait()
            await anyio.lowlevel.checkpoint()
        client.offer(event.frames[client.door])
