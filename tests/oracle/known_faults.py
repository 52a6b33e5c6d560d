"""The histories of faults that were reported, with the expected values."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from tests.oracle.history import (
    Advance,
    Compare,
    DropOldRows,
    History,
    Interrupt,
    Lookup,
    Record,
    Refresh,
    Resume,
    Service,
    SetRetention,
    Step,
)
from tests.oracle.local_days import DAY, HOUR
from tests.oracle.moments import at
from tests.oracle.rows import Check

WEB = Service("web")
QUARTER = timedelta(minutes=15)
STATE = "SELECT state::text, since FROM service_states"
OUTAGES = "SELECT started_at, ended_at FROM outages ORDER BY 1"
DAYS = "SELECT date::text, uptime::text, status FROM uptime_records ORDER BY 1"
COUNTS = "SELECT day::text, checks, failed FROM service_days ORDER BY 1"


class Case(NamedTuple):
    """A history and the expected results of SQL statements after it."""

    name: str
    history: History
    expected: Sequence[tuple[str, Sequence[tuple[Any, ...]]]]


def batch(day: str, text: str, location: str = "local", ms: float | None = 120.5) -> Record:
    """Parses a batch such as `11:58 o, 11:59 mo`. A time can follow another day."""
    checks = []
    for one in text.split(", "):
        *other, time, severity = one.split()
        failed = severity == "mo"
        checks.append(
            Check(
                *("web", location, at(f"{other[0] if other else day} {time}"), 60, severity, None if failed else ms),
                error_type="timeout" if failed else None,
                error_message="no response" if failed else None,
            )
        )
    return Record(checks)


def state_history(zone: str, *steps: Step, locations: Sequence[str] = ("local",), **changes: Any) -> History:
    """Returns a history that begins at its first clock and ends with comparisons before and after a refresh."""
    begins = next(step.to for step in steps if isinstance(step, Advance))
    return History(zone, begins, [WEB], locations, [*steps, Compare(), Refresh(), Compare()], **changes)


def clock(text: str) -> Advance:
    return Advance(at(text))


REPLAYED = Case(
    "a replayed row does not hide the latest one",
    state_history(
        "UTC",
        *(clock("2026-05-01 11:58:02"), batch("2026-05-01", "11:58 o")),
        *(clock("2026-05-01 11:59:02"), batch("2026-05-01", "11:59 mo")),
        *(clock("2026-05-01 12:00:02"), batch("2026-05-01", "11:58 o, 12:00 o")),
        *(clock("2026-05-01 12:01:02"), batch("2026-05-01", "12:01 o")),
    ),
    [
        (STATE, [("operational", at("2026-05-01 12:00"))]),
        (OUTAGES, [(at("2026-05-01 11:59"), at("2026-05-01 12:00"))]),
    ],
)
REPLAYED_OUTAGE = Case(
    "an outage between a replayed row and a successful one",
    state_history(
        "UTC",
        *(clock("2026-05-01 11:40:02"), batch("2026-05-01", "11:40 mo")),
        *(clock("2026-05-01 11:41:02"), batch("2026-05-01", "11:41 o")),
        *(clock("2026-05-01 11:45:02"), batch("2026-05-01", "11:40 mo, 11:43 mo, 11:45 o")),
    ),
    [
        (
            OUTAGES,
            [
                (at("2026-05-01 11:40"), at("2026-05-01 11:41")),
                (at("2026-05-01 11:43"), at("2026-05-01 11:45")),
            ],
        )
    ],
)
REPEATED_HOUR = Case(
    "the checks of a repeated hour are not hidden",
    state_history(
        "Europe/Berlin", clock("2026-10-25 00:16"), batch("2026-10-24", "23:50 o, 2026-10-25 00:10 mo"), Refresh()
    ),
    [(DAYS, [("2026-10-25", "50.00", "mo")])],
)
FIRST_HOUR = Case(
    "the checks of the first hour after a change at midnight are not hidden",
    state_history("Africa/Cairo", clock("2026-04-24 21:31"), batch("2026-04-24", "12:00 o, 21:10 mo"), Refresh()),
    [(DAYS, [("2026-04-24", "100.00", "o"), ("2026-04-25", "0.00", "mo")])],
)
SANTIAGO = Case(
    "response times of a repeated hour",
    state_history(
        "America/Santiago",
        clock("2026-04-05 03:25"),
        batch("2026-04-05", "02:50 o, 03:10 o, 03:20 mo"),
        Refresh(),
        lookups=[
            Lookup("15m", at("2026-04-04 03:25"), at("2026-04-05 03:25"), QUARTER),
            Lookup("hourly", at("2026-04-04 03:25"), at("2026-04-05 03:25"), HOUR),
            Lookup("daily", at("2026-04-04 03:25"), at("2026-04-05 03:25"), DAY),
        ],
    ),
    [(COUNTS, [("2026-04-04", 3, 1)])],
)
HAVANA_LATE = Case(
    "a late row in a repeated midnight hour does not stop a refresh",
    state_history(
        "America/Havana",
        *(clock("2026-11-02 14:00"), batch("2026-11-01", "04:30 o, 12:00 o, 13:00 mo, 2026-11-02 12:00 o"), Refresh()),
        *(clock("2026-11-02 15:00"), batch("2026-11-01", "04:45 mo"), Refresh()),
        *(clock("2026-11-02 15:05"), batch("2026-10-30", "12:00 mo"), Refresh()),
    ),
    [(COUNTS, [("2026-10-30", 1, 1), ("2026-11-01", 4, 2), ("2026-11-02", 1, 0)])],
)
AZORES_LATE = Case(
    "a late row in a repeated hour after midnight in the Azores does not stop a refresh",
    state_history(
        "Atlantic/Azores",
        *(clock("2026-10-26 14:00"), batch("2026-10-25", "00:30 o, 01:30 o, 13:00 mo, 2026-10-26 12:00 o"), Refresh()),
        *(clock("2026-10-26 15:00"), batch("2026-10-25", "00:45 mo"), Refresh()),
        *(clock("2026-10-26 15:05"), batch("2026-10-20", "12:00 mo"), Refresh()),
    ),
    [(COUNTS, [("2026-10-20", 1, 1), ("2026-10-25", 4, 2), ("2026-10-26", 1, 0)])],
)
HAVANA_CALENDAR = Case(
    "a calendar and a window that begin with a repeated midnight",
    state_history(
        "America/Havana",
        clock("2026-11-02 15:00"),
        batch("2026-11-01", "04:30 o, 12:00 o, 13:00 mo, 2026-11-02 12:00 o"),
        lookups=[Lookup("daily", at("2026-11-01 04:00"), at("2026-11-02 05:00"), DAY)],
        calendars=[(1, date(2026, 11, 1)), (2, None)],
    ),
    [(DAYS, [("2026-11-01", "66.66", "mo"), ("2026-11-02", "100.00", "o")])],
)
AZORES_WINDOW = Case(
    "a window that ends on a day without a midnight",
    state_history(
        "Atlantic/Azores",
        clock("2026-03-30 12:00"),
        batch("2026-03-28", "12:00 o, 2026-03-29 12:00 o, 2026-03-30 00:30 o"),
        lookups=[Lookup("daily", at("2026-03-28 12:00"), at("2026-03-29 12:00"), DAY)],
    ),
    [(COUNTS, [("2026-03-28", 1, 0), ("2026-03-29", 1, 0), ("2026-03-30", 1, 0)])],
)
CHATHAM = Case(
    "hours of a zone at :45 during a change of clocks",
    state_history(
        "Pacific/Chatham",
        clock("2026-04-04 16:00"),
        batch("2026-04-04", "12:20 o, 14:05 mo, 14:20 o"),
        lookups=[Lookup("hourly", at("2026-04-04 12:15"), at("2026-04-04 15:15"), HOUR)],
    ),
    [(COUNTS, [("2026-04-05", 3, 1)])],
)
LATE_BEGINNING = Case(
    "a late row moves the beginning of a state",
    state_history(
        "UTC",
        *(clock("2026-05-01 11:59:02"), batch("2026-05-01", "11:59 o")),
        *(clock("2026-05-01 11:59:30"), batch("2026-05-01", "11:58 o")),
    ),
    [(STATE, [("operational", at("2026-05-01 11:58"))])],
)
LONG_GAP = Case(
    "an outage ends after a gap that is longer than the retention",
    state_history(
        "UTC",
        *(clock("2026-04-11 12:00:02"), batch("2026-04-11", "12:00 mo"), Refresh()),
        *(clock("2026-06-01 11:59:32"), Refresh()),
        batch("2026-06-01", "11:59:30 o"),
        locations=("local", "seoul"),
        retention=30 * DAY,
    ),
    [
        (OUTAGES, [(at("2026-04-11 12:00"), at("2026-06-01 11:59:30"))]),
        (STATE, [("operational", at("2026-06-01 11:59:30"))]),
    ],
)
DROPPED_GAP = Case(
    "an outage ends after a gap that is longer than the retention, its raw rows dropped",
    state_history(
        "UTC",
        *(clock("2026-04-11 12:00:02"), batch("2026-04-11", "12:00 mo"), Refresh()),
        *(clock("2026-06-01 11:59:32"), Refresh(), DropOldRows(), Compare()),
        batch("2026-06-01", "11:59:30 o"),
        locations=("local", "seoul"),
        retention=30 * DAY,
    ),
    [
        (OUTAGES, [(at("2026-04-11 12:00"), at("2026-06-01 11:59:30"))]),
        (STATE, [("operational", at("2026-06-01 11:59:30"))]),
    ],
)
SHORTENED = Case(
    "a retention that is shortened while late rows are waiting loses no day",
    state_history(
        "UTC",
        *(clock("2026-05-01 12:00:02"), batch("2026-05-01", "12:00 o"), Refresh()),
        *(batch("2026-03-20", "10:00 o, 11:00 mo"), SetRetention(7 * DAY), DropOldRows(), Refresh(), Compare()),
        clock("2026-05-02 13:00"),
    ),
    [(COUNTS, [("2026-03-20", 2, 1), ("2026-05-01", 1, 0)])],
)
PAUSED = Case(
    "a pause ends an outage",
    state_history(
        "UTC",
        *(clock("2026-05-01 12:00:02"), batch("2026-05-01", "11:59 o, 12:00 mo")),
        *(clock("2026-05-01 12:00:30"), Interrupt("web", "pause"), Compare()),
        clock("2026-05-01 13:00"),
    ),
    [
        (OUTAGES, [(at("2026-05-01 12:00"), at("2026-05-01 12:00:30"))]),
        (STATE, [("unknown", at("2026-05-01 12:00:30"))]),
    ],
)
DELETED = Case(
    "a service that is added again has its history, and no event shows a better day than the views",
    state_history(
        "UTC",
        *(clock("2026-05-01 12:00:02"), batch("2026-05-01", "11:59 o, 12:00 mo")),
        *(clock("2026-05-01 12:00:30"), Interrupt("web", "delete"), Compare()),
        *(clock("2026-05-01 12:03:30"), Resume("web"), Compare()),
        *(clock("2026-05-01 12:04:02"), batch("2026-05-01", "12:04 o")),
    ),
    [
        (DAYS, [("2026-05-01", "66.66", "mo")]),
        (OUTAGES, [(at("2026-05-01 12:00"), at("2026-05-01 12:00:30"))]),
        (STATE, [("operational", at("2026-05-01 12:04"))]),
        ("SELECT count(*) FROM events WHERE event = 'uptime-updated' AND data->>'status' = 'o'", [(0,)]),
    ],
)
CASES = (
    *(REPLAYED, REPLAYED_OUTAGE, REPEATED_HOUR, FIRST_HOUR, SANTIAGO, HAVANA_LATE, AZORES_LATE, HAVANA_CALENDAR),
    *(AZORES_WINDOW, CHATHAM, LATE_BEGINNING, LONG_GAP, DROPPED_GAP, SHORTENED, PAUSED, DELETED),
)
