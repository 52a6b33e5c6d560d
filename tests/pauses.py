"""Between two looks at what has no event: another process, a database. A look costs milliseconds of CPU, taken from
what is waited for: so who waits long looks ten times a second, and who does not is not kept waiting."""

from collections.abc import Iterator
from itertools import repeat

FIRST_S, FACTOR, LONGEST_S = 0.01, 1.5, 0.1


def pauses() -> Iterator[float]:
    """Seconds, without an end: the loop that takes them has a deadline."""
    pause_s = FIRST_S
    while pause_s < LONGEST_S:
        yield pause_s
        pause_s *= FACTOR
    yield from repeat(LONGEST_S)
