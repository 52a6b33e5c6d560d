"""Pauses for polling another process or a database that sends no event. A poll takes milliseconds of CPU time from the
polled process, so the pause grows from 10 ms to 100 ms: short waits end soon, and long waits cost little."""

from collections.abc import Iterator
from itertools import repeat

FIRST_S, FACTOR, LONGEST_S = 0.01, 1.5, 0.1


def pauses() -> Iterator[float]:
    """Yields seconds without end. The caller's loop has a deadline."""
    pause_s = FIRST_S
    while pause_s < LONGEST_S:
        yield pause_s
        pause_s *= FACTOR
    yield from repeat(LONGEST_S)
