"""The hub: clients, their rooms, and the delivery of events to them.

An event is encoded once for each transport (`/ws` and Socket.IO) and written directly to every connection. Only a
client that does not read fast enough gets a queue (client.py), so it does not delay the others.
"""

import secrets
from collections.abc import Iterable

import anyio

from api.edge.websocket import TRY_AGAIN_LATER
from api.live.client import Client, FrameSocket, SlowClients
from api.live.events import Event, Frames, RecentEvents, Transport, public_number, resync
from api.live.room_names import EVERYONE
from api.metrics import Metrics

Members = tuple[dict[Client, None], ...]
"""The clients in a room, by transport. A dict keeps the order in which they joined."""
_NO_MEMBERS: Members = tuple({} for _ in Transport)


class Hub:
    """All clients of this process. Only `wait_for` switches tasks."""

    def __init__(self, metrics: Metrics, queue_limit: int, send_timeout_s: float) -> None:
        self.seq = 0
        """The number of the last event."""
        self.generation = 0
        """Incremented when the sequence of events starts again: with the first read, and when the database was
        restored."""
        self._metrics = metrics
        self._slow = SlowClients(queue_limit, send_timeout_s, self._disconnect_slow)
        self._clients: dict[Client, None] = {}
        self._counts = dict.fromkeys(Transport, 0)
        self._rooms: dict[str | None, Members] = {}
        self._recent = RecentEvents()
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
        """Adds a client. It is in no room yet."""
        client = Client(socket, transport, secrets.token_urlsafe(12), self._slow)
        client.generation = self.generation
        self._clients[client] = None
        self._count(transport, 1)
        return client

    def disconnect(self, client: Client) -> None:
        """Removes a client from all rooms. Nothing more is written to it."""
        for room in tuple(client.rooms):
            self.leave(client, room)
        client.disconnected = True
        if client in self._clients:
            del self._clients[client]
            self._count(client.transport, -1)
        client.writing_ended()

    def _count(self, transport: Transport, change: int) -> None:
        self._counts[transport] += change
        self._metrics.sockets.labels(transport.name.lower()).set(self._counts[transport])

    def join(self, client: Client, room: str | None) -> None:
        """Adds a client to a room. It gets the events that are published from now on."""
        if not client.disconnected:  # the client may have been disconnected while the caller waited for the database
            client.rooms.add(room)
            if room not in self._rooms:
                self._rooms[room] = tuple({} for _ in Transport)
            self._rooms[room][client.transport][client] = None
            if room is EVERYONE and client.generation != self.generation:
                self._send_resync(client)

    def _send_resync(self, client: Client) -> None:
        client.generation = self.generation
        client.send(resync(self.seq)[client.transport])

    def leave(self, client: Client, room: str | None) -> None:
        """Removes a client from a room."""
        client.rooms.discard(room)
        members = self._rooms.get(room, _NO_MEMBERS)
        members[client.transport].pop(client, None)
        if not any(members):
            self._rooms.pop(room, None)

    def restart(self, recent: Iterable[Event], seq: int) -> None:
        """Replaces the recent events and sends `resync` to every client in EVERYONE; others get it when they join that
        room. `seq`: the number of the last event in the database."""
        self.seq = seq
        self._recent.replace(recent, seq)
        self.generation += 1
        for members in self._rooms.get(EVERYONE, _NO_MEMBERS):
            for client in tuple(members):
                self._send_resync(client)
        self._wake_waiting()

    def clear_recent(self) -> None:
        """Removes the recent events, some of which may no longer be public. Replays then read the database."""
        self._recent.clear(self.seq)

    def publish(self, event: Event) -> None:
        """Sends an event to the clients in its room. An event that was published already is skipped."""
        if event.seq <= self.seq:
            return
        self.seq = event.seq
        self._recent.add(event)
        self.send(event.frames, event.room, event.origin)
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        """Wakes the tasks that wait in `wait_for`."""
        published, self._published = self._published, anyio.Event()
        published.set()

    def send(self, event_frames: Frames, room: str | None = EVERYONE, origin: str | None = None) -> None:
        """Sends an event to the clients that are in `room` now, except the socket `origin`."""
        count = 0
        for frame, members in zip(event_frames, self._rooms.get(room, _NO_MEMBERS), strict=True):
            others = tuple(members) if origin is None else [client for client in members if client.id != origin]
            for client in others:
                client.send(frame)
            count += len(others)
        self._metrics.frames.inc(count)

    def recent_after(self, seq: int) -> list[Event] | None:
        """The events after `seq`; None if some of them are not in memory."""
        return [] if seq >= self.seq else self._recent.after(seq)

    async def wait_for(self, seq: int) -> None:
        """Waits until event `seq` has been published in this process."""
        while self.seq < seq:
            await self._published.wait()

    def _disconnect_slow(self, client: Client, reason: str) -> None:
        """Disconnects a client that does not read."""
        if not client.dismissed:
            self._metrics.sockets_refused.labels("slow").inc()
        client.dismiss(TRY_AGAIN_LATER, reason)
        self.disconnect(client)
