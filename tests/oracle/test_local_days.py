"""The oracle's days: known oddities of real zones, and what the product may assume of every zone there is."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import TZPATH, available_timezones

import pytest

from tests.campaigns import Share
from tests.oracle.local_days import DAY, HOUR, LocalDays, days_of_month, local_days, months_from
from tests.oracle.moments import ODD_ZONES

QUARTER_S = 900
FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2039, 12, 31)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day", "starts", "ends"),
    [
        ("UTC", "2026-02-28", "2026-02-28 00:00", "2026-03-01 00:00"),
        ("Asia/Kolkata", "2026-01-01", "2025-12-31 18:30", "2026-01-01 18:30"),
        ("Asia/Kathmandu", "2026-01-01", "2025-12-31 18:15", "2026-01-01 18:15"),
        # 23 and 25 hours
        ("Europe/Berlin", "2026-03-29", "2026-03-28 23:00", "2026-03-29 22:00"),
        ("Europe/Berlin", "2026-10-25", "2026-10-24 22:00", "2026-10-25 23:00"),
        # turned by half an hour
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04 13:00", "2026-04-05 13:30"),
        # midnight comes twice, and the day begins with the first one
        ("America/Havana", "2026-11-01", "2026-11-01 04:00", "2026-11-02 05:00"),
        ("Atlantic/Azores", "2026-10-25", "2026-10-25 00:00", "2026-10-26 01:00"),
        # there is no midnight, and the day begins at one o'clock
        ("Africa/Cairo", "2026-04-24", "2026-04-23 22:00", "2026-04-24 21:00"),
        ("Atlantic/Azores", "2026-03-29", "2026-03-29 01:00", "2026-03-30 00:00"),
        # one minute of the next day is seen before the last hour of this one comes again
        ("America/St_Johns", "2010-11-06", "2010-11-06 02:30", "2010-11-07 02:30"),
        ("America/St_Johns", "2010-11-07", "2010-11-07 02:30", "2010-11-08 03:30"),
        # 23:00 comes again: the last day of summer has 25 hours
        ("America/Santiago", "2026-04-04", "2026-04-04 03:00", "2026-04-05 04:00"),
        # a day that was skipped, one that two and a half others would fit around
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-29", "2011-12-29 10:00", "2011-12-30 10:00"),
        ("Pacific/Kwajalein", "1993-08-21", "1993-08-21 12:00", "1993-08-21 12:00"),
    ],
)
def test_bounds_of_odd_days(zone: str, day: str, starts: str, ends: str) -> None:
    assert local_days(zone).bounds(date.fromisoformat(day)) == (at(starts), at(ends))


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("Europe/Berlin", "2026-10-24 21:59:59.999999", "2026-10-24"),
        ("Europe/Berlin", "2026-10-24 22:00", "2026-10-25"),
        # clocks show 23:30 of the 6th again, and it is the 7th all the same
        ("America/St_Johns", "2010-11-07 02:45", "2010-11-07"),
        ("Pacific/Apia", "2011-12-30 09:59", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30 10:00", "2011-12-31"),
    ],
)
def test_dates_of_moments(zone: str, moment: str, day: str) -> None:
    assert local_days(zone).date_of(at(moment)) == date.fromisoformat(day)


def test_changes_and_skipped_dates() -> None:
    [spring, autumn] = [turn for turn in local_days("Atlantic/Azores").turns if turn.at.year == 2026]
    assert (spring.at, spring.before, spring.after) == (at("2026-03-29 01:00"), -HOUR, timedelta())
    assert (autumn.at, autumn.touches_midnight) == (at("2026-10-25 01:00"), True)
    assert not any(turn.touches_midnight for turn in local_days("Europe/Berlin").turns)
    assert local_days("Pacific/Apia").skipped(FIRST_DAY, LAST_DAY) == [date(2011, 12, 30)]


def test_months() -> None:
    assert months_from(date(2025, 11, 17), 3) == [date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1)]
    assert len(days_of_month(date(2024, 2, 1))) == 29


def unlike_zones() -> list[str]:
    """One name for each set of rules, of all names in the tz database."""
    unlike: dict[str, str] = {}
    for zone in sorted(available_timezones()):
        files = [Path(folder, zone) for folder in TZPATH if Path(folder, zone).exists()]
        rules = hashlib.sha256(files[0].read_bytes()).hexdigest() if files else zone
        unlike.setdefault(rules, zone)
    return sorted(unlike.values())


def off_the_quarters(days: LocalDays) -> set[tuple[str, date]]:
    """The days of one zone that begin within a quarter of an hour; each date and moment is looked at by itself."""
    found = set()
    day = FIRST_DAY
    while day <= LAST_DAY:
        starts = days.starts(day)
        assert days.offset(starts) is not None and (starts + days.offset(starts)).date() >= day
        just_before = starts - timedelta(microseconds=1)
        assert (just_before + days.offset(just_before)).date() < day
        if starts.timestamp() % QUARTER_S:
            found.add((days.zone, day))
        day += DAY
    return found


@pytest.mark.parametrize("zone", ODD_ZONES)
def test_days_of_odd_zones_begin_at_whole_quarters_of_an_hour(zone: str) -> None:
    assert not off_the_quarters(local_days(zone))


@pytest.mark.campaign
def test_days_of_every_zone_begin_at_whole_quarters_of_an_hour(budget: Share) -> None:
    """Of each zone that is tried, every day from 1990 to 2039."""
    for zone in budget.each(unlike_zones()):
        assert not off_the_quarters(LocalDays(zone)), zone


@pytest.mark.campaign
def test_no_change_of_clocks_is_overlooked(budget: Share) -> None:
    """Looking each half an hour finds no more of them than looking four times a day."""
    for zone in budget.each(unlike_zones()):
        assert LocalDays(zone, HOUR / 2).turns == LocalDays(zone).turns, zone
