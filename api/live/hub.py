"""Rooms, their clients, and the delivery of events to them.

An event is encoded once for each transport (`/ws` and Socket.IO) and written directly to every connection. Only a
client that does not read fast enough gets a task and a bounded queue. It has `send_timeout_s` to read, or it is
disconnected. So a stalled client does not delay the others.
"""

import secrets
from collections import deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import NamedTuple, Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup

from api.edge.server import text_frame
from api.metrics import Metrics

PUBLIC_ROOMS = frozenset({"system-status", "uptime"})
STAFF_ROOMS = {room: f"{room}-inside" for room in PUBLIC_ROOMS}
"""The rooms for events of private services. Staff who join the public room also join this one."""
PUBLIC_STEP = 2**16
"""Sequence numbers of public events are multiples of this; those of internal events lie between them
(sql/functions/events.sql)."""
EVERYONE = None
"""The room of events that have no room. Every client joins it, after the replay of missed events."""
ANONYMOUS = "anonymous"
STAFF = "staff"
"""Every client is in one of these two rooms. The server decides which; clients cannot join or leave them."""
ANONYMOUS_ROOMS = PUBLIC_ROOMS | {EVERYONE, ANONYMOUS}
"""The rooms that anonymous clients can be in."""
RECENT_EVENTS = 1000
"""The most recent events are in memory, so that many clients that reconnect at once cause no queries."""
RECENT_BYTES = 16 * 2**20
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
MAX_SEQ = 2**63 - 1


def public_number(seq: int) -> int:
    """The last public number up to `seq`. Anonymous clients see no others, since those between show how many internal
    events there are."""
    return seq - seq % PUBLIC_STEP


class Transport(IntEnum):
    """The protocol of a client, and the index of its frame in `Frames`."""

    WS = 0
    SOCKETIO = 1


class Frames(NamedTuple):
    """One event, encoded for each transport."""

    ws: bytes
    socketio: bytes


def frames(event: str, data: object, seq: int) -> Frames:
    """Encodes an event. `data` is anything that msgspec encodes, or `msgspec.Raw`."""
    name, body = msgspec.json.encode(event), msgspec.json.encode(data)
    return Frames(
        text_frame(b'{"event":%b,"data":%b,"seq":%d}' % (name, body, seq)), text_frame(b"42[%b,%b]" % (name, body))
    )


def resync(seq: int) -> Frames:
    """The event that tells a client to load everything from REST again: events up to `seq` cannot be replayed."""
    return frames("resync", {"reason": "missed events are no longer available"}, public_number(seq))


class Event(msgspec.Struct, frozen=True):
    """One row of `events`, encoded. `origin`: the id of the socket that caused it and does not get it."""

    seq: int
    room: str | None
    frames: Frames
    origin: str | None = None

    @property
    def size(self) -> int:
        """The bytes of its frames."""
        return len(self.frames.ws) + len(self.frames.socketio)


class FrameSocket(Protocol):
    """The methods of a socket that the hub uses (api/edge/server.py `Socket`)."""

    @property
    def writable(self) -> "Waitable": ...
    def write_frame(self, frame: bytes) -> bool: ...
    def dismiss(self, code: int, reason: str) -> None: ...


class Waitable(Protocol):
    """An event that is set while the socket accepts frames."""

    async def wait(self) -> object: ...


class Client:
    """A connected client: its rooms, and the queue of frames that it has not read yet."""

    __slots__ = ("_on_stall", "_queue", "disconnected", "dismissed", "generation", "id", "rooms", "socket", "transport")

    def __init__(
        self,
        socket: FrameSocket,
        transport: Transport,
        on_stall: "Callable[[Client, deque[bytes]], None]",
        client_id: str,
    ) -> None:
        self.socket = socket
        self.transport = transport
        self.id = client_id
        self.rooms: set[str | None] = set()
        self.generation = 0
        """That of the hub when the client connected or got its last `resync`."""
        self.dismissed = False
        """The server has closed the connection."""
        self.disconnected = False
        """It has been removed from the hub."""
        self._on_stall = on_stall
        self._queue: deque[bytes] | None = None
        """None while the client reads fast enough."""

    def send(self, frame: bytes) -> None:
        """Writes a frame, or queues it behind others."""
        if self._queue is None:
            if self.socket.write_frame(frame):
                return
            self._queue = deque()
            self._queue.append(frame)
            self._on_stall(self, self._queue)
        else:
            self._queue.append(frame)

    @property
    def queued(self) -> int:
        """The number of queued frames."""
        return len(self._queue or ())

    def dismiss(self, code: int, reason: str) -> None:
        """Closes the connection; nothing more is written."""
        if not self.dismissed:
            self.dismissed = True
            self._queue = None
            self.socket.dismiss(code, reason)

    def drop_queue(self) -> None:
        self._queue = None


class Hub:
    """All clients of this process. Nothing here switches tasks, except for writing to slow clients."""

    def __init__(self, tasks: TaskGroup, metrics: Metrics, queue_limit: int, send_timeout_s: float) -> None:
        self.seq = 0
        """The number of the last event."""
        self.generation = 0
        """Incremented when the sequence of events starts again: with the first read, and when the database was
        restored."""
        self._tasks = tasks
        self._metrics = metrics
        self._queue_limit = queue_limit
        self._send_timeout_s = send_timeout_s
        self._clients: dict[Client, None] = {}
        self._counts = dict.fromkeys(Transport, 0)
        self._rooms: dict[str | None, dict[Client, None]] = {}
        self._recent: deque[Event] = deque()
        self._recent_bytes = 0
        self._recent_since = 0
        """`_recent` has all events after this number."""
        self._published = anyio.Event()
        for transport in Transport:
            self._count(transport, 0)  # so that both are exported from the start

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def public_seq(self) -> int:
        """The number of the last public event."""
        return public_number(self.seq)

    def connect(self, socket: FrameSocket, transport: Transport) -> Client:
        client = Client(socket, transport, self._stalled, secrets.token_urlsafe(12))
        client.generation = self.generation
        self._clients[client] = None
        self._count(transport, 1)
        return client

    def disconnect(self, client: Client) -> None:
        for room in tuple(client.rooms):
            self.leave(client, room)
        client.disconnected = True
        if client in self._clients:
            del self._clients[client]
            self._count(client.transport, -1)
        client.drop_queue()

    def _count(self, transport: Transport, change: int) -> None:
        self._counts[transport] += change
        self._metrics.sockets.labels(transport.name.lower()).set(self._counts[transport])

    def join(self, client: Client, room: str | None) -> None:
        if not client.disconnected:  # it may have been disconnected while the caller waited for the database
            client.rooms.add(room)
            self._rooms.setdefault(room, {})[client] = None
            if room is EVERYONE and client.generation != self.generation:
                self._send_resync(client)

    def _send_resync(self, client: Client) -> None:
        client.generation = self.generation
        client.send(resync(self.seq)[client.transport])

    def leave(self, client: Client, room: str | None) -> None:
        client.rooms.discard(room)
        members = self._rooms.get(room, {})
        members.pop(client, None)
        if not members:
            self._rooms.pop(room, None)

    def restart(self, events: Iterable[Event], seq: int) -> None:
        """As `set_recent`, and sends `resync` to every client in EVERYONE. Others get it when they join that room."""
        self.set_recent(events, seq)
        self.generation += 1
        for client in tuple(self._rooms.get(EVERYONE, ())):
            self._send_resync(client)
        self._wake_waiting()

    def set_recent(self, events: Iterable[Event], seq: int) -> None:
        """Replaces the recent events. `seq`: the number of the last event in the database."""
        self.clear_recent()
        self.seq = self._recent_since = seq
        for event in events:
            if not self._recent:
                self._recent_since = event.seq - 1
            self._add_recent(event)

    def clear_recent(self) -> None:
        """Drops the recent events, some of which may no longer be public. Replays read the database then."""
        self._recent.clear()
        self._recent_bytes = 0
        self._recent_since = self.seq

    def _add_recent(self, event: Event) -> None:
        self._recent.append(event)
        self._recent_bytes += event.size
        while len(self._recent) > RECENT_EVENTS or self._recent_bytes > RECENT_BYTES:
            dropped = self._recent.popleft()
            self._recent_since = dropped.seq
            self._recent_bytes -= dropped.size

    def publish(self, event: Event) -> None:
        """Sends an event to the clients in its room. An event that was published already is skipped."""
        if event.seq <= self.seq:
            return
        self.seq = event.seq
        self._add_recent(event)
        self.send(event.frames, event.room, event.origin)
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        """Wakes the tasks that wait in `reach`."""
        published, self._published = self._published, anyio.Event()
        published.set()

    def send(self, event_frames: Frames, room: str | None = EVERYONE, origin: str | None = None) -> None:
        """Sends an event to the clients that are in `room` now, except the socket `origin`."""
        members: Iterable[Client] = tuple(self._rooms.get(room, ()))
        if origin is not None:
            members = [client for client in members if client.id != origin]
        count = 0
        for client in members:
            client.send(event_frames[client.transport])
            count += 1
            if client.queued > self._queue_limit:
                self._dismiss(client, "too many frames are queued")
        self._metrics.frames.inc(count)

    def recent_after(self, seq: int) -> list[Event] | None:
        """The events after `seq`, or None where they are not all in memory."""
        if seq >= self.seq:
            return []
        if seq < self._recent_since:
            return None
        return [event for event in self._recent if event.seq > seq]

    async def reach(self, seq: int) -> None:
        """Waits until event `seq` has been published in this process."""
        while self.seq < seq:
            await self._published.wait()

    def _stalled(self, client: Client, queued: deque[bytes]) -> None:
        self._tasks.start_soon(self._catch_up, client, queued)

    async def _catch_up(self, client: Client, queued: deque[bytes]) -> None:
        while queued and not client.disconnected and not client.dismissed:
            with anyio.move_on_after(self._send_timeout_s) as limit:
                await client.socket.writable.wait()
            if limit.cancelled_caught:
                self._dismiss(client, "frames were not read in time")
                return
            while queued and client.socket.write_frame(queued[0]):
                queued.popleft()
        client.drop_queue()

    def _dismiss(self, client: Client, reason: str) -> None:
        if not client.dismissed:
            self._metrics.sockets_refused.labels("slow").inc()
        client.dismiss(TRY_AGAIN_LATER, reason)
        self.disconnect(client)
