"""A connected client of the live feed, and the queue of frames of a client that does not read fast enough."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from api.edge.websocket import Subscriber
from api.live.events import Transport


class Waitable(Protocol):
    """An event that is set while the socket accepts frames."""

    def is_set(self) -> bool: ...
    async def wait(self) -> object: ...


class FrameSocket(Protocol):
    """The attributes of a socket that a client uses (api/edge/websocket.py `Socket`)."""

    subscriber: Subscriber | None

    @property
    def writable(self) -> Waitable: ...
    @property
    def write(self) -> Callable[[bytes], object]: ...
    def dismiss(self, code: int, reason: str) -> None: ...


class SlowClients(NamedTuple):
    """How a client that does not read fast enough is handled."""

    queue_limit: int
    """The number of frames that may be queued."""
    send_timeout_s: float
    """The time in which a client must read some of what has been written."""
    disconnect: "Callable[[Client, str], None]"
    """Called at either limit, with the reason."""


class Client:
    """A connected client: its rooms, and the queue of frames that it has not read yet.

    `send` is the transport's own method while the client reads fast enough. So an event that is sent to thousands of
    clients costs one call for each.
    """

    __slots__ = (
        "_queue",
        "_slow",
        "_timer",
        "disconnected",
        "dismissed",
        "generation",
        "id",
        "rooms",
        "send",
        "socket",
        "transport",
    )

    def __init__(self, socket: FrameSocket, transport: Transport, client_id: str, slow: SlowClients) -> None:
        self.socket = socket
        self.transport = transport
        self.id = client_id
        self.rooms: set[str | None] = set()
        self.generation = 0
        """The `generation` of the hub when the client connected or got its last `resync`."""
        self.dismissed = False
        """The server has closed the connection."""
        self.disconnected = False
        """The client has been removed from the hub."""
        self.send: Callable[[bytes], object] = socket.write
        """Writes an encoded frame; queues it while the client does not read; discards it once the connection closes."""
        self._slow = slow
        self._queue: deque[bytes] | None = None
        """None while the client reads fast enough."""
        self._timer: asyncio.TimerHandle | None = None
        socket.subscriber = self
        if not socket.writable.is_set():
            self.writing_paused()

    @property
    def queued(self) -> int:
        """The number of queued frames."""
        return len(self._queue or ())

    def dismiss(self, code: int, reason: str) -> None:
        """Closes the connection; nothing more is written."""
        if not self.dismissed:
            self.dismissed = True
            self.writing_ended()
            self.socket.dismiss(code, reason)

    def writing_paused(self) -> None:
        """Queues frames from now on. While frames are queued, the client must read within `send_timeout_s`."""
        if self.send is _discard:
            return
        if self._queue is None:
            self._queue = deque()
            self.send = self._enqueue
        elif self._queue:
            self._start_timer()

    def writing_resumed(self) -> None:
        """Writes queued frames until there are none left, or writing is paused again."""
        if self._queue is None:
            return
        self._stop_timer()
        write = self.socket.write
        while self._queue and self.socket.writable.is_set():
            write(self._queue.popleft())
        if self.socket.writable.is_set():
            self._queue = None
            self.send = write

    def writing_ended(self) -> None:
        """Discards queued frames and all later ones."""
        self.send = _discard
        self._queue = None
        self._stop_timer()

    def _enqueue(self, frame: bytes) -> None:
        assert self._queue is not None
        self._queue.append(frame)
        if len(self._queue) > self._slow.queue_limit:
            self._slow.disconnect(self, "too many frames are queued")
        elif self._timer is None:
            self._start_timer()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(
            self._slow.send_timeout_s, self._slow.disconnect, self, "frames were not read in time"
        )

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _discard(_frame: bytes) -> None:
    """`send` of a client whose connection is closing."""
