"""Who hears what: rooms, their clients, and one event to all of them.

An event is encoded once for each of the two doors (`/ws` and Socket.IO) and written straight into every transport that
takes it; only a client that does not read fast enough gets a task of its own, a bounded queue, and `send_timeout_s` to
catch up before it is dismissed. So one stalled client costs the others nothing, and 5,000 that read cost one loop.
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
INSIDE_OF = {room: f"{room}-inside" for room in PUBLIC_ROOMS}
"""Where it is told what happens to private services: whoever is logged in is there with the room itself."""
PUBLIC_STEP = 2**16
"""What strangers may hear of has a number that this divides, all else one between (sql/functions/events.sql)."""
EVERYONE = None
"""The room of events that have none: each client is put into it when it has caught up with them."""
ANONYMOUS = "anonymous"
STAFF = "staff"
"""Every client is in one of these two, by who it is; nobody can ask to be."""
OUTSIDE = PUBLIC_ROOMS | {EVERYONE, ANONYMOUS}
"""The rooms that strangers can be in."""
REMEMBERED = 1000
"""Events kept in memory, so that a thousand clients that reconnect at once ask the database nothing."""
REMEMBERED_BYTES = 16 * 2**20
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
MAX_SEQ = 2**63 - 1


def public_number(seq: int) -> int:
    """The last number up to `seq` that strangers may know: those between tell how much happens inside."""
    return seq - seq % PUBLIC_STEP


class Transport(IntEnum):
    """How a client is spoken to; the index of its frame in `Frames`."""

    WS = 0
    SOCKETIO = 1


class Frames(NamedTuple):
    """One event, ready for the wire of either door."""

    ws: bytes
    socketio: bytes


def frames(event: str, data: object, seq: int) -> Frames:
    """`data` is encoded once; it may be `msgspec.Raw`."""
    name, body = msgspec.json.encode(event), msgspec.json.encode(data)
    return Frames(
        text_frame(b'{"event":%b,"data":%b,"seq":%d}' % (name, body, seq)), text_frame(b"42[%b,%b]" % (name, body))
    )


def resync(seq: int) -> Frames:
    """That REST is to be asked again: what happened up to `seq` can no longer be told event by event."""
    return frames("resync", {"reason": "what happened since is no longer kept"}, public_number(seq))


class Event(msgspec.Struct, frozen=True):
    """One row of `events`, and the frames that tell of it; the socket `origin` is not told."""

    seq: int
    room: str | None
    frames: Frames
    origin: str | None = None

    @property
    def size(self) -> int:
        """The bytes of its frames."""
        return len(self.frames.ws) + len(self.frames.socketio)


class FrameSocket(Protocol):
    """What the hub needs of a connection (api/edge/server.py `Socket`)."""

    @property
    def writable(self) -> "Waitable": ...
    def write_frame(self, frame: bytes) -> bool: ...
    def dismiss(self, code: int, reason: str) -> None: ...


class Waitable(Protocol):
    """An event that is set while the transport takes more."""

    async def wait(self) -> object: ...


class Client:
    """One connection: the rooms it is in, and what waits for it while it does not read."""

    __slots__ = ("_on_stall", "_waiting", "dismissed", "door", "gone", "id", "numbering", "rooms", "socket")

    def __init__(
        self, socket: FrameSocket, door: Transport, on_stall: "Callable[[Client, deque[bytes]], None]", client_id: str
    ) -> None:
        self.socket = socket
        self.door = door
        self.id = client_id
        self.rooms: set[str | None] = set()
        self.numbering = 0
        """The hub's when it was told last that REST is to be asked."""
        self.dismissed = False
        self.gone = False
        """It is no longer in the hub, and does not come back."""
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
        self.numbering = 0
        """How often the numbers have begun: with the first events that were read, and anew when the database was
        restored."""
        self._tasks = tasks
        self._metrics = metrics
        self._queue_limit = queue_limit
        self._send_timeout_s = send_timeout_s
        self._clients: dict[Client, None] = {}
        self._counts = dict.fromkeys(Transport, 0)
        self._rooms: dict[str | None, dict[Client, None]] = {}
        self._remembered: deque[Event] = deque()
        self._remembered_bytes = 0
        self._reaches_back_to = 0
        """Memory has all that came after this number."""
        self._published = anyio.Event()
        for door in Transport:
            self._count(door, 0)

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def public_seq(self) -> int:
        """What strangers may know of `seq`."""
        return public_number(self.seq)

    def connect(self, socket: FrameSocket, door: Transport) -> Client:
        client = Client(socket, door, self._stalled, secrets.token_urlsafe(12))
        client.numbering = self.numbering
        self._clients[client] = None
        self._count(door, 1)
        return client

    def disconnect(self, client: Client) -> None:
        for room in tuple(client.rooms):
            self.leave(client, room)
        client.gone = True
        if client in self._clients:
            del self._clients[client]
            self._count(client.door, -1)
        client.caught_up()

    def _count(self, door: Transport, change: int) -> None:
        self._counts[door] += change
        self._metrics.sockets.labels(door.name.lower()).set(self._counts[door])

    def join(self, client: Client, room: str | None) -> None:
        if not client.gone:  # it may have been dismissed while something was asked for it
            client.rooms.add(room)
            self._rooms.setdefault(room, {})[client] = None
            if room is EVERYONE and client.numbering != self.numbering:
                self._ask_again(client)

    def _ask_again(self, client: Client) -> None:
        client.numbering = self.numbering
        client.offer(resync(self.seq)[client.door])

    def leave(self, client: Client, room: str | None) -> None:
        client.rooms.discard(room)
        members = self._rooms.get(room, {})
        members.pop(client, None)
        if not members:
            self._rooms.pop(room, None)

    def start_over(self, events: Iterable[Event], seq: int) -> None:
        """As `remember`, and tells every client that it may have missed something: those that are not among everyone
        yet will be told when they are."""
        self.remember(events, seq)
        self.numbering += 1
        for client in tuple(self._rooms.get(EVERYONE, ())):
            self._ask_again(client)
        self._tell_waiting()

    def remember(self, events: Iterable[Event], seq: int) -> None:
        """Starts where the database stands: `events` are its last ones, `seq` is the number of the very last."""
        self.forget()
        self.seq = self._reaches_back_to = seq
        for event in events:
            if not self._remembered:
                self._reaches_back_to = event.seq - 1
            self._keep(event)

    def forget(self) -> None:
        """What was told may have been withdrawn since: from here on the database is asked."""
        self._remembered.clear()
        self._remembered_bytes = 0
        self._reaches_back_to = self.seq

    def _keep(self, event: Event) -> None:
        self._remembered.append(event)
        self._remembered_bytes += event.size
        while len(self._remembered) > REMEMBERED or self._remembered_bytes > REMEMBERED_BYTES:
            forgotten = self._remembered.popleft()
            self._reaches_back_to = forgotten.seq
            self._remembered_bytes -= forgotten.size

    def publish(self, event: Event) -> None:
        """Hands one event to everyone who should hear it; numbers that were published already are passed over."""
        if event.seq <= self.seq:
            return
        self.seq = event.seq
        self._keep(event)
        self.tell(event.frames, event.room, event.origin)
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        """Those who wait in `reach` look again."""
        published, self._published = self._published, anyio.Event()
        published.set()

    def tell(self, told: Frames, room: str | None = EVERYONE, origin: str | None = None) -> None:
        """One event to all who are in a room now, but for the socket it came from."""
        members: Iterable[Client] = tuple(self._rooms.get(room, ()))
        if origin is not None:
            members = [client for client in members if client.id != origin]
        count = 0
        for client in members:
            client.offer(told[client.door])
            count += 1
            if client.waiting > self._queue_limit:
                self._dismiss(client, "too many frames are waiting")
        self._metrics.frames.inc(count)

    def remembered_after(self, seq: int) -> list[Event] | None:
        """The events after `seq`, or None when memory does not reach back that far."""
        if seq >= self.seq:
            return []
        if seq < self._reaches_back_to:
            return None
        return [event for event in self._remembered if event.seq > seq]

    async def reach(self, seq: int) -> None:
        """Returns once event `seq` has been published here."""
        while self.seq < seq:
            await self._published.wait()

    def _stalled(self, client: Client, waiting: deque[bytes]) -> None:
        self._tasks.start_soon(self._catch_up, client, waiting)

    async def _catch_up(self, client: Client, waiting: deque[bytes]) -> None:
        while waiting and not client.gone and not client.dismissed:
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
