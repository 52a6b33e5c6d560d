"""Who hears what: rooms, their clients, and one event to all of them.

An event is encoded once and written straight into every transport that takes it; only a client that does not read
fast enough gets a task of its own, a bounded queue, and `send_timeout_s` to catch up before it is dismissed. So one
stalled client costs the others nothing, and 5,000 that read cost one loop.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup

from api.metrics import Metrics

ROOMS = frozenset({"system-status", "uptime"})
EVERYONE = None
"""The room of events that have none: each client is put into it when it has caught up with them."""
REMEMBERED = 1000
"""Events kept in memory, so that a thousand clients that reconnect at once ask the database nothing."""
TRY_AGAIN_LATER = 1013


class Event(msgspec.Struct, frozen=True):
    """One row of `events`, and the frame that tells of it."""

    seq: int
    room: str | None
    frame: bytes


class FrameSocket(Protocol):
    """What the hub needs of a connection (api/server.py `Socket`)."""

    @property
    def writable(self) -> "Waitable": ...
    def write_frame(self, frame: bytes) -> bool: ...
    def dismiss(self, code: int, reason: str) -> None: ...


class Waitable(Protocol):
    """An event that is set while the transport takes more."""

    async def wait(self) -> object: ...


class Client:
    """One connection: the rooms it is in, and what waits for it while it does not read."""

    __slots__ = ("_on_stall", "_waiting", "dismissed", "rooms", "socket")

    def __init__(self, socket: FrameSocket, on_stall: "Callable[[Client, deque[bytes]], None]") -> None:
        self.socket = socket
        self.rooms: set[str | None] = set()
        self.dismissed = False
        self._on_stall = on_stall
        self._waiting: deque[bytes] | None = None

    def offer(self, frame: bytes) -> None:
        """Writes now, or queues behind what already waits."""
        if self._waiting is None:
            if self.socket.write_frame(frame):
                return
            self._waiting = deque()
            self._waiting.append(frame)
            self._on_stall(self, self._waiting)
        else:
            self._waiting.append(frame)

    @property
    def waiting(self) -> int:
        return len(self._waiting or ())

    def dismiss(self, code: int, reason: str) -> None:
        """Ends the connection; nothing more is written."""
        if not self.dismissed:
            self.dismissed = True
            self._waiting = None
            self.socket.dismiss(code, reason)

    def caught_up(self) -> None:
        self._waiting = None


class Hub:
    """All clients of this process. Everything but the catching up of slow clients happens without a task switch."""

    def __init__(self, tasks: TaskGroup, metrics: Metrics, queue_limit: int, send_timeout_s: float) -> None:
        self.seq = 0
        self._tasks = tasks
        self._metrics = metrics
        self._queue_limit = queue_limit
        self._send_timeout_s = send_timeout_s
        self._clients: dict[Client, None] = {}
        self._rooms: dict[str | None, dict[Client, None]] = {}
        self._remembered: deque[Event] = deque(maxlen=REMEMBERED)
        self._published = anyio.Event()

    def __len__(self) -> int:
        return len(self._clients)

    def connect(self, socket: FrameSocket) -> Client:
        client = Client(socket, self._stalled)
        self._clients[client] = None
        self._metrics.sockets.set(len(self._clients))
        return client

    def disconnect(self, client: Client) -> None:
        for room in tuple(client.rooms):
            self.leave(client, room)
        self._clients.pop(client, None)
        client.caught_up()
        self._metrics.sockets.set(len(self._clients))

    def join(self, client: Client, room: str | None) -> None:
        client.rooms.add(room)
        self._rooms.setdefault(room, {})[client] = None

    def leave(self, client: Client, room: str | None) -> None:
        client.rooms.discard(room)
        members = self._rooms.get(room, {})
        members.pop(client, None)
        if not members:
            self._rooms.pop(room, None)

    def remember(self, events: Iterable[Event], seq: int) -> None:
        """Starts where the database stands: `events` are its last ones, `seq` is the number of the very last."""
        self._remembered.clear()
        self._remembered.extend(events)
        self.seq = seq

    def publish(self, event: Event) -> None:
        """Hands one event to everyone who should hear it; numbers that were published already are passed over."""
        if event.seq <= self.seq:
            return
        self.seq = event.seq
        self._remembered.append(event)
        self.tell(event.frame, event.room)
        published, self._published = self._published, anyio.Event()
        published.set()

    def tell(self, frame: bytes, room: str | None = EVERYONE) -> None:
        """One frame to all who are in a room now."""
        members = tuple(self._rooms.get(room, ()))
        for client in members:
            client.offer(frame)
            if client.waiting > self._queue_limit:
                self._dismiss(client, "too many frames are waiting")
        self._metrics.frames.inc(len(members))

    def remembered_after(self, seq: int) -> list[Event] | None:
        """The events after `seq`, or None when memory does not reach back that far."""
        if seq >= self.seq:
            return []
        if not self._remembered or self._remembered[0].seq > seq + 1:
            return None
        return [event for event in self._remembered if event.seq > seq]

    async def reach(self, seq: int) -> None:
        """Returns once event `seq` has been published here."""
        while self.seq < seq:
            await self._published.wait()

    def _stalled(self, client: Client, waiting: deque[bytes]) -> None:
        self._tasks.start_soon(self._catch_up, client, waiting)

    async def _catch_up(self, client: Client, waiting: deque[bytes]) -> None:
        while waiting and client in self._clients and not client.dismissed:
            with anyio.move_on_after(self._send_timeout_s) as limit:
                await client.socket.writable.wait()
            if limit.cancelled_caught:
                self._dismiss(client, "frames were not read in time")
                return
            while waiting and client.socket.write_frame(waiting[0]):
                waiting.popleft()
        client.caught_up()

    def _dismiss(self, client: Client, reason: str) -> None:
        if not client.dismissed:
            self._metrics.sockets_refused.labels("slow").inc()
        client.dismiss(TRY_AGAIN_LATER, reason)
        self.disconnect(client)
