"""The grid of slots, and the services that are due. Pure: the caller passes the time.

Slot k of a service is at `phase + k * interval` milliseconds since the Unix epoch, where the phase is a
hash of the service's id. It is the same in every process and on every day, so slots never drift, a restart does not
change them, and many services are spread evenly over the interval. The time of a slot is the `scheduled_at` of its
check, which is part of the key of its row.

Slots that were not started in time are counted as missed and never started later: after a pause of ten minutes
each service continues with its next slot in the future, and the ten minutes stay unknown.
"""

from collections.abc import Mapping
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from typing import NamedTuple

GRACE_MS = 5_000
"""The maximum delay of a start (or half an interval, if that is less); later slots are missed. It limits the
number of starts after a pause: to 833 for 10,000 services that are checked once a minute."""

STEP_MS = 1_000
"""If the wall clock is set back by more than this, the schedule is restarted. If it is set back by less, slots are due
when the clock reaches their time again."""

FIRST_LIMIT = 100
FIRST_PACE_MS = 10
FIRST_REACH_MS = 300_000
"""A new service is checked for its current slot at once, so that it has a result within seconds: up to
FIRST_LIMIT services at a time, FIRST_PACE_MS apart, if the slot is not older than FIRST_REACH_MS. All others
wait for their next slot."""


class Slot(NamedTuple):
    """One check to start: its service, its point of the grid, and the time at which it is due."""

    service_id: str
    at_ms: int
    due_ms: int


def phase_ms(service_id: str, interval_ms: int) -> int:
    """The offset of a service's slots in its interval. It must never change: stored rows are keyed by it."""
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
        # (due, slot, service): an entry whose slot is no longer the service's next one is skipped
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
        """The next point of the grid for this service; None if it is not scheduled."""
        return self._next.get(service_id)

    def _plan(self, service_id: str, at_ms: int, due_ms: int) -> None:
        self._next[service_id] = at_ms
        heappush(self._heap, (due_ms, at_ms, service_id))

    def _restart(self, now_ms: int) -> None:
        """Schedules all services again after the wall clock was set back. Otherwise no slot would be due until the
        clock reaches the old time.

        The slots between the two times are due a second time. Of two rows with the same key the first one is kept.
        """
        self._heap.clear()
        for service_id, interval in self._intervals.items():
            following = slot_after(service_id, interval, now_ms)
            self._plan(service_id, following, following)
