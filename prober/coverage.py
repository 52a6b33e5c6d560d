"""The time that a check covers: from its slot to the next slot of its service that is probed.

If the attempts of a check outlast the interval, the following slots are skipped. They are not probed later, so the
verdict of the check applies to them too; otherwise downtime with retries would be unknown time.
"""

from prober.schedule import STEP_MS

MOST_SECONDS = 86_400
"""The longest interval that the database accepts."""


class Coverage:
    """The slots that one check covers. All times are milliseconds; moments are wall-clock time since the epoch."""

    __slots__ = ("_at_ms", "_interval_ms", "_released", "_until_ms")

    def __init__(self, at_ms: int, interval_ms: int) -> None:
        """`at_ms` is the check's own slot, `interval_ms` the interval of the grid that the slot belongs to."""
        self._at_ms = at_ms
        self._interval_ms = interval_ms
        self._until_ms = at_ms + interval_ms
        self._released = False

    def extend(self, at_ms: int, interval_ms: int) -> None:
        """Adds a slot that was skipped because the check was under way. `interval_ms` differs from that of the check if
        the service was changed meanwhile."""
        if not self._released and at_ms > self._at_ms:
            self._until_ms = at_ms + interval_ms

    def release(self) -> None:
        """The service was paused or deleted: slots that are skipped from now on are not added."""
        self._released = True

    def seconds(self, next_ms: int | None, began_ms: float, finished_ms: float, elapsed_ms: float) -> int:
        """The time that the check covers, in whole seconds: 1 to MOST_SECONDS.

        `next_ms` is the next slot of the schedule (None for a service that was paused or deleted). `began_ms` and
        `finished_ms` are read from the wall clock. `elapsed_ms` is the time between them by a steady clock.
        """
        passed = int((began_ms - self._at_ms + elapsed_ms) // self._interval_ms)
        own_end_ms = self._at_ms + (passed + 1) * self._interval_ms
        end_ms = self._until_ms
        step_ms = finished_ms - began_ms - elapsed_ms
        if step_ms < -STEP_MS:  # the wall clock was set back: the skipped slots come a second time
            end_ms = self._at_ms + self._interval_ms
        elif step_ms > STEP_MS:  # it was set forward: the slots in between did not exist
            end_ms = own_end_ms
        elif next_ms is not None and self._at_ms < next_ms < end_ms:  # the interval became shorter
            end_ms = next_ms
        elif next_ms is not None and end_ms <= finished_ms and not self._released:  # the schedule missed the last slots
            end_ms = max(end_ms, min(next_ms, own_end_ms))
        return min(max(1, (end_ms - self._at_ms) // 1000), MOST_SECONDS)
