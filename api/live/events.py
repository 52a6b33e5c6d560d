"""Events, encoded once for all clients, and the most recent of them."""

from collections import deque
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

import msgspec

from api.edge.websocket import text_frame

PUBLIC_STEP = 2**16
"""Sequence numbers of public events are multiples of this; those of internal events lie between them
(sql/functions/events.sql)."""
MAX_SEQ = 2**63 - 1
RECENT_EVENTS = 1000
RECENT_BYTES = 16 * 2**20
"""The limits of `RecentEvents`: events, and bytes of their frames."""


def public_number(seq: int) -> int:
    """The highest public number that is not above `seq`. Anonymous clients get public numbers only: the numbers between
    them would reveal how many internal events there are."""
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
    """One row of `events`, encoded. `origin`: the id of the socket that caused the event and does not get it."""

    seq: int
    room: str | None
    frames: Frames
    origin: str | None = None

    @property
    def size(self) -> int:
        """The bytes of its frames."""
        return len(self.frames.ws) + len(self.frames.socketio)


class RecentEvents:
    """The most recent events, in memory, so that many clients that reconnect at once cause no queries."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._since = 0
        """All events after this number are in memory."""

    def replace(self, events: Iterable[Event], seq: int) -> None:
        """Replaces all events. `seq`: the number of the last event in the database."""
        self.clear(seq)
        for event in events:
            if not self._events:
                self._since = event.seq - 1
            self.add(event)

    def clear(self, seq: int) -> None:
        """Removes all. `seq`: the number of the last event."""
        self._events.clear()
        self._bytes = 0
        self._since = seq

    def add(self, event: Event) -> None:
        """Adds the event with the highest number. The oldest ones above the limits are removed."""
        self._events.append(event)
        self._bytes += event.size
        while len(self._events) > RECENT_EVENTS or self._bytes > RECENT_BYTES:
            removed = self._events.popleft()
            self._since = removed.seq
            self._bytes -= removed.size

    def after(self, seq: int) -> list[Event] | None:
        """The events after `seq`; None if some of them are not in memory."""
        if seq < self._since:
            return None
        return [event for event in self._events if event.seq > seq]
