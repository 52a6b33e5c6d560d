"""Faults that the oracle has found, each with its minimal history. All figures are compared."""

import pytest

from tests.oracle.driver import Database
from tests.oracle.history import Compare, History, Interrupt, Record, Refresh, Resume
from tests.oracle.known_faults import batch, clock, state_history
from tests.oracle.moments import at
from tests.oracle.rows import Check


def checks(*texts: str) -> Record:
    """Parses checks such as `local 2026-05-01 05:00:00 o 900`: location, time, severity and interval in seconds."""
    parsed = []
    for location, day, time, severity, interval in map(str.split, texts):
        error = "timeout" if severity == "mo" else None
        parsed.append(Check("web", location, at(f"{day} {time}"), int(interval), severity, error_type=error))
    return Record(parsed)


LATE_BETWEEN = state_history(
    "UTC",
    *(clock("2026-11-02 14:00"), batch("2026-11-01", "04:30 o, 12:00 o, 13:00 mo, 2026-11-02 12:00 o")),
    batch("2026-11-01", "04:45 mo"),
)
ERROR_OF_TOMORROW = state_history(
    "America/Havana",
    clock("2006-10-29 05:00:30"),
    checks("local 2006-10-28 04:00:00 o 1", "local 2006-10-29 04:00:00 mo 4"),
)
LATE_ROW_OF_A_PAUSE = state_history(
    "UTC",
    *(clock("2026-05-02 04:00:02"), checks("local 2026-05-01 05:00:00 o 1"), Interrupt("web", "pause")),
    *(clock("2026-05-02 04:00:04"), checks("local 2026-05-01 05:00:01 o 1")),
)
EXPIRED_WHEN_RECORDED = state_history(
    "UTC",
    *(clock("2026-05-01 05:00:02"), checks("local 2026-05-01 05:00:00 o 1")),
    *(clock("2026-05-01 05:11:40"), checks("local 2026-05-01 05:00:01 o 1")),
    clock("2026-05-01 06:23:00"),
)
RUNNING_WHEN_PAUSED = state_history(
    "UTC",
    *(clock("2026-05-01 04:00:02"), checks("local 2026-05-01 04:00:01 o 1")),
    *(clock("2026-05-01 04:00:04"), Interrupt("web", "pause")),
    *(clock("2026-05-01 04:00:06"), checks("local 2026-05-01 04:00:02 o 1")),
)
FAILED_WHEN_PAUSED = state_history(
    "UTC",
    *(clock("2026-05-01 04:00:02"), checks("local 2026-05-01 04:00:00 o 60")),
    *(clock("2026-05-01 04:01:04"), Interrupt("web", "pause")),
    *(clock("2026-05-01 04:01:06"), checks("local 2026-05-01 04:01:00 mo 60")),
    *(clock("2026-05-01 04:10:00"), Resume("web")),
)
DUE_BEFORE_A_PAUSE = state_history(
    "UTC",
    *(clock("2026-05-01 04:05:00"), checks("local 2026-05-01 04:00:00 o 60"), Interrupt("web", "pause"), Resume("web")),
    *(clock("2026-05-01 04:05:30"), checks("local 2026-05-01 04:03:00 o 60")),
)
STATE_REVOKED = state_history(
    "UTC",
    clock("2026-05-01 05:46:10"),
    checks("local 2026-05-01 05:00:00 po 86400", "fra-1 2026-05-01 05:45:00 o 900", "seoul 2026-05-01 05:46:00 mo 1"),
    *(clock("2026-05-01 06:01:20"), checks("fra-1 2026-05-01 06:00:00 mo 900")),
    clock("2026-05-02 05:00:43"),
    locations=("local", "seoul", "fra-1"),
)
SKIPPED_DATE = state_history(
    "Pacific/Apia",
    *(clock("2011-12-30 12:00:02"), batch("2011-12-30", "09:30 mo, 11:00 o"), Refresh()),
    *(clock("2011-12-31 11:24:05"), Compare(), batch("2011-12-30", "09:40 mo, 11:10 o")),
)
GAP_WITHIN_A_BATCH = state_history(
    "UTC",
    *(clock("2026-05-01 05:00:02"), checks("local 2026-05-01 05:00:00 o 86400")),
    clock("2026-05-04 05:00:02"),
    checks("local 2026-05-02 05:00:00 o 86400", "local 2026-05-04 05:00:00 o 86400"),
)
LATE_ROW_AFTER_A_DELETION = state_history(
    "UTC",
    *(clock("2026-05-02 05:00:02"), checks("local 2026-05-02 05:00:00 o 1", "seoul 2026-05-02 05:00:00 mo 1")),
    *(Interrupt("web", "delete"), clock("2026-05-02 05:00:04"), Resume("web")),
    *(checks("local 2026-05-02 05:00:02 o 1", "seoul 2026-05-01 05:00:00 o 1"), Compare()),
    *(clock("2026-05-02 05:00:06"), checks("seoul 2026-05-02 05:00:04 o 1")),
    locations=("local", "seoul"),
)
CHECK_OF_TOMORROW = state_history(
    "America/Havana",
    clock("2004-03-28 04:58:20"),
    checks("local 2004-03-28 05:00:00 o 1"),
)
LATE_ROW_IN_A_LONG_INTERVAL = state_history(
    "UTC",
    clock("2026-05-01 06:00:02"),
    checks(
        "local 2026-05-01 05:00:00 o 3600",
        "local 2026-05-01 05:05:00 o 300",
        "local 2026-05-01 05:10:00 o 300",
        "local 2026-05-01 05:15:00 o 300",
        "local 2026-05-01 05:20:00 o 300",
        "local 2026-05-01 05:25:00 o 300",
        "local 2026-05-01 05:30:00 o 300",
        "local 2026-05-01 06:00:00 o 3600",
    ),
    checks("local 2026-05-01 05:35:00 o 900"),
    clock("2026-05-01 06:06:40"),
)
FOUND = {
    "a late row between episodes": LATE_BETWEEN,
    "the last error of a day before a double midnight": ERROR_OF_TOMORROW,
    "a late row moves the beginning of the state of a paused service": LATE_ROW_OF_A_PAUSE,
    "a check that has expired when it is recorded": EXPIRED_WHEN_RECORDED,
    "a check that runs when its service is paused": RUNNING_WHEN_PAUSED,
    "a failed check that runs when its service is paused": FAILED_WHEN_PAUSED,
    "a check from before a pause that is recorded after it": DUE_BEFORE_A_PAUSE,
    "a state that a later check revokes": STATE_REVOKED,
    "the strip of a zone that skipped a date": SKIPPED_DATE,
    "a gap of a day after the first check of a batch": GAP_WITHIN_A_BATCH,
    "a late row of a service that was entered again": LATE_ROW_AFTER_A_DELETION,
    "a late row between checks of other intervals": LATE_ROW_IN_A_LONG_INTERVAL,
    "a check of tomorrow by the clock of a prober that is ahead": CHECK_OF_TOMORROW,
}


@pytest.mark.parametrize("name", FOUND)
async def test_the_figures_of_a_fault_are_those_of_the_oracle(installation: Database, name: str) -> None:
    history: History = FOUND[name]
    await installation.play(history)
