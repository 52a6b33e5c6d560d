"""The grid: which service is due now. Pure: the caller brings the clock.

Slot k of a service is at `phase + k * interval` milliseconds since the Unix epoch, where the phase is a
hash of the service's id: the same in every process and on every day, so slots never drift, a restart keeps
them, and many services spread evenly over the interval. A slot's time is a check's `scheduled_at`, hence
its key.

What was not started in time is counted as missed and never caught up: after a pause of ten minutes each
service goes on with its next slot in the future, and the ten minutes stay unknown.
"""

from collections.abc import Mapping
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from typing import NamedTuple

GRACE_MS = 5_000
"""A slot is started at most this late (or half an interval, if that is less), else it is missed. It bounds
the burst after a pause: 10,000 services a minute are 833 starts at most."""

STEP_MS = 1_000
"""A wall clock that went back by more than this was set; by less, it is waited for."""

FIRST_LIMIT = 100
FIRST_PACE_MS = 10
FIRST_REACH_MS = 300_000
"""A new service fills its current slot at once, so that its first figure is there in seconds: up to
FIRST_LIMIT of them at a time, FIRST_PACE_MS apart, if the slot is not older than FIRST_REACH_MS. All others
wait for the grid."""


class Slot(NamedTuple):
    """One check to be started: of which service, for which point of the grid, and when it was to start."""

    service_id: str
    at_ms: int
    due_ms: int


def phase_ms(service_id: str, interval_ms: int) -> int:
    """Where in its interval a service's slots lie; stable for good, since rows of the past were keyed by
    it."""
    digest = blake2b(service_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % interval_ms


def slot_after(service_id: str, interval_ms: int, now_ms: int) -> int:
    """The first slot of the service after `now_ms`."""
    phase = phase_ms(service_id, interval_ms)
    return now_ms + interval_ms - (now_ms - phase) % interval_ms


def grace_ms(interval_ms: int) -> int:
    """How late a slot may still be started."""
    return min(GRACE_MS, interval_ms // 2)


class Schedule:
    """The next slot of every service, in a heap. All times are wall-clock milliseconds since the epoch."""

    def __init__(self) -> None:
        self.missed = 0
        self._intervals: dict[str, int] = {}
        self._next: dict[str, int] = {}
        # (due, slot, service): an entry whose slot is no longer the service's next one is passed over
        self._heap: list[tuple[int, int, str]] = []
        self._now_ms = 0

    def __len__(self) -> int:
        return len(self._intervals)

    def replace(self, intervals_ms: Mapping[str, int], now_ms: int) -> None:
        """Replaces the services. One whose interval has not changed keeps its next slot."""
        firsts = 0
        for service_id in self._intervals.keys() - intervals_ms.keys():
            del self._intervals[service_id], self._next[service_id]
        for service_id, interval in intervals_ms.items():
            known = self._intervals.get(service_id)
            if known == interval:
                continue
            self._intervals[service_id] = interval
            following = slot_after(service_id, interval, now_ms)
            due = now_ms + firsts * FIRST_PACE_MS
            at_once = known is None and firsts < FIRST_LIMIT and due < following
            if at_once and now_ms - (following - interval) <= FIRST_REACH_MS:
                firsts += 1
                self._plan(service_id, following - interval, due)
            else:
                self._plan(service_id, following, following)
        if len(self._heap) > 2 * len(self._next) + 1000:
            self._heap = [entry for entry in self._heap if self._next.get(entry[2]) == entry[1]]
            heapify(self._heap)

    def due(self, now_ms: int) -> list[Slot]:
        """Removes and returns the slots that are due, earliest first; slots that are too late are counted in
        `missed`."""
        if now_ms < self._now_ms - STEP_MS:
            self._restart(now_ms)
        self._now_ms = now_ms
        slots = []
        while self._heap and self._heap[0][0] <= now_ms:
            due, at, service_id = heappop(self._heap)
            if self._next.get(service_id) != at:
                continue
            interval = self._intervals[service_id]
            passed = max(0, now_ms - at) // interval
            if passed:
                at = due = at + passed * interval
            self.missed += passed
            if now_ms - due <= grace_ms(interval):
                slots.append(Slot(service_id, at, due))
            else:
                self.missed += 1
            self._plan(service_id, at + interval, at + interval)
        return slots

    def next_ms(self) -> int | None:
        """The time of the next slot; None without services."""
        return self._heap[0][0] if self._heap else None

    def next_slot(self, service_id: str) -> int | None:
        """The point of the grid that `due` hands out next for this service; None for one that is not scheduled."""
        return self._next.get(service_id)

    def _plan(self, service_id: str, at_ms: int, due_ms: int) -> None:
        self._next[service_id] = at_ms
        heappush(self._heap, (due_ms, at_ms, service_id))

    def _restart(self, now_ms: int) -> None:
        """The wall clock was set back: without this the prober would be silent until the old time comes
        again.

        Slots between the two times come a second time; their rows carry the same key, and the first one
        stays.
        """
        self._heap.clear()
        for service_id, interval in self._intervals.items():
            following = slot_after(service_id, interval, now_ms)
            self._plan(service_id, following, following)
