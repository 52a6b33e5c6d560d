"""Faults that this oracle has found, each with the least input that showed it; all of the answers are compared."""

import pytest

from tests.oracle.driver import Database
from tests.oracle.history import GoOn, History, Interrupt, Look, Record, Refresh
from tests.oracle.rows import Check
from tests.oracle.test_known_faults import at, batch, clock, story


def checks(*texts: str) -> Record:
    """`local 2026-05-01 05:00:00 o 900`: a location, a moment, a severity, and the seconds a check stands for."""
    made = []
    for location, day, time, severity, interval in map(str.split, texts):
        error = "timeout" if severity == "mo" else None
        made.append(Check("web", location, at(f"{day} {time}"), int(interval), severity, error_type=error))
    return Record(made)


LATE_BETWEEN = story(
    "UTC",
    *(clock("2026-11-02 14:00"), batch("2026-11-01", "04:30 o, 12:00 o, 13:00 mo, 2026-11-02 12:00 o")),
    batch("2026-11-01", "04:45 mo"),
)
ERROR_OF_TOMORROW = story(
    "America/Havana",
    clock("2006-10-29 05:00:30"),
    checks("local 2006-10-28 04:00:00 o 1", "local 2006-10-29 04:00:00 mo 4"),
)
LATE_ROW_OF_A_PAUSE = story(
    "UTC",
    *(clock("2026-05-02 04:00:02"), checks("local 2026-05-01 05:00:00 o 1"), Interrupt("web", "pause")),
    *(clock("2026-05-02 04:00:04"), checks("local 2026-05-01 05:00:01 o 1")),
)
DEAD_ON_ARRIVAL = story(
    "UTC",
    *(clock("2026-05-01 05:00:02"), checks("local 2026-05-01 05:00:00 o 1")),
    *(clock("2026-05-01 05:11:40"), checks("local 2026-05-01 05:00:01 o 1")),
    clock("2026-05-01 06:23:00"),
)
UNDER_WAY_WHEN_PAUSED = story(
    "UTC",
    *(clock("2026-05-01 04:00:02"), checks("local 2026-05-01 04:00:01 o 1")),
    *(clock("2026-05-01 04:00:04"), Interrupt("web", "pause")),
    *(clock("2026-05-01 04:00:06"), checks("local 2026-05-01 04:00:02 o 1")),
)
FAILED_WHEN_PAUSED = story(
    "UTC",
    *(clock("2026-05-01 04:00:02"), checks("local 2026-05-01 04:00:00 o 60")),
    *(clock("2026-05-01 04:01:04"), Interrupt("web", "pause")),
    *(clock("2026-05-01 04:01:06"), checks("local 2026-05-01 04:01:00 mo 60")),
    *(clock("2026-05-01 04:10:00"), GoOn("web")),
)
DUE_BEFORE_A_PAUSE = story(
    "UTC",
    *(clock("2026-05-01 04:05:00"), checks("local 2026-05-01 04:00:00 o 60"), Interrupt("web", "pause"), GoOn("web")),
    *(clock("2026-05-01 04:05:30"), checks("local 2026-05-01 04:03:00 o 60")),
)
STATE_TAKEN_BACK = story(
    "UTC",
    clock("2026-05-01 05:46:10"),
    checks("local 2026-05-01 05:00:00 po 86400", "fra-1 2026-05-01 05:45:00 o 900", "seoul 2026-05-01 05:46:00 mo 1"),
    *(clock("2026-05-01 06:01:20"), checks("fra-1 2026-05-01 06:00:00 mo 900")),
    clock("2026-05-02 05:00:43"),
    locations=("local", "seoul", "fra-1"),
)
SKIPPED_DATE = story(
    "Pacific/Apia",
    *(clock("2011-12-30 12:00:02"), batch("2011-12-30", "09:30 mo, 11:00 o"), Refresh()),
    *(clock("2011-12-31 11:24:05"), Look(), batch("2011-12-30", "09:40 mo, 11:10 o")),
)
FOUND = {
    "a late row between episodes": LATE_BETWEEN,
    "the last error of a day before a double midnight": ERROR_OF_TOMORROW,
    "since of a paused service follows late rows": LATE_ROW_OF_A_PAUSE,
    "a check that is over when it comes": DEAD_ON_ARRIVAL,
    "a check under way when its service is paused": UNDER_WAY_WHEN_PAUSED,
    "a failed check under way when its service is paused": FAILED_WHEN_PAUSED,
    "a check of before a pause that comes after it": DUE_BEFORE_A_PAUSE,
    "a state that is taken back": STATE_TAKEN_BACK,
    "the strip of a zone that skipped a date": SKIPPED_DATE,
}


@pytest.mark.parametrize("name", FOUND)
async def test_faults_that_the_oracle_found(played: Database, name: str) -> None:
    history: History = FOUND[name]
    await played.play(history)
