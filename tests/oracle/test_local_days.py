"""The local days of the oracle: irregular days of real zones, and properties of every zone in the tz database."""

import hashlib
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import TZPATH, available_timezones

import pytest

from tests.campaigns import Share
from tests.oracle.local_days import DAY, HOUR, LocalDays, days_of_month, local_days, months_from
from tests.oracle.moments import UNUSUAL_ZONES, at

QUARTER_S = 900
FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2039, 12, 31)


@pytest.mark.parametrize(
    ("zone", "day", "starts", "ends"),
    [
        ("UTC", "2026-02-28", "2026-02-28 00:00", "2026-03-01 00:00"),
        ("Asia/Kolkata", "2026-01-01", "2025-12-31 18:30", "2026-01-01 18:30"),
        ("Asia/Kathmandu", "2026-01-01", "2025-12-31 18:15", "2026-01-01 18:15"),
        # 23 and 25 hours
        ("Europe/Berlin", "2026-03-29", "2026-03-28 23:00", "2026-03-29 22:00"),
        ("Europe/Berlin", "2026-10-25", "2026-10-24 22:00", "2026-10-25 23:00"),
        # a change by half an hour
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04 13:00", "2026-04-05 13:30"),
        # midnight is repeated, and the day begins at the first one
        ("America/Havana", "2026-11-01", "2026-11-01 04:00", "2026-11-02 05:00"),
        ("Atlantic/Azores", "2026-10-25", "2026-10-25 00:00", "2026-10-26 01:00"),
        # midnight is skipped, and the day begins at one o'clock
        ("Africa/Cairo", "2026-04-24", "2026-04-23 22:00", "2026-04-24 21:00"),
        ("Atlantic/Azores", "2026-03-29", "2026-03-29 01:00", "2026-03-30 00:00"),
        # the last hour of the day is repeated after the first minute of the next day
        ("America/St_Johns", "2010-11-06", "2010-11-06 02:30", "2010-11-07 02:30"),
        ("America/St_Johns", "2010-11-07", "2010-11-07 02:30", "2010-11-08 03:30"),
        # 23:00 is repeated: the last day of summer time has 25 hours
        ("America/Santiago", "2026-04-04", "2026-04-04 03:00", "2026-04-05 04:00"),
        # skipped dates
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-29", "2011-12-29 10:00", "2011-12-30 10:00"),
        ("Pacific/Kwajalein", "1993-08-21", "1993-08-21 12:00", "1993-08-21 12:00"),
    ],
)
def test_bounds_of_irregular_days(zone: str, day: str, starts: str, ends: str) -> None:
    assert local_days(zone).bounds(date.fromisoformat(day)) == (at(starts), at(ends))


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("Europe/Berlin", "2026-10-24 21:59:59.999999", "2026-10-24"),
        ("Europe/Berlin", "2026-10-24 22:00", "2026-10-25"),
        # the local time is 23:30 of the 6th again, and the day is the 7th
        ("America/St_Johns", "2010-11-07 02:45", "2010-11-07"),
        ("Pacific/Apia", "2011-12-30 09:59", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30 10:00", "2011-12-31"),
    ],
)
def test_the_date_of_a_time(zone: str, moment: str, day: str) -> None:
    assert local_days(zone).date_of(at(moment)) == date.fromisoformat(day)


def test_changes_of_clocks_and_skipped_dates() -> None:
    [spring, autumn] = [change for change in local_days("Atlantic/Azores").changes if change.at.year == 2026]
    assert (spring.at, spring.before, spring.after) == (at("2026-03-29 01:00"), -HOUR, timedelta())
    assert (autumn.at, autumn.touches_midnight) == (at("2026-10-25 01:00"), True)
    assert not any(change.touches_midnight for change in local_days("Europe/Berlin").changes)
    assert local_days("Pacific/Apia").skipped(FIRST_DAY, LAST_DAY) == [date(2011, 12, 30)]


def test_months_and_their_days() -> None:
    assert months_from(date(2025, 11, 17), 3) == [date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1)]
    assert len(days_of_month(date(2024, 2, 1))) == 29


def distinct_zones() -> list[str]:
    """Returns one name for each distinct zone of the tz database."""
    distinct: dict[str, str] = {}
    for zone in sorted(available_timezones()):
        files = [Path(folder, zone) for folder in TZPATH if Path(folder, zone).exists()]
        rules = hashlib.sha256(files[0].read_bytes()).hexdigest() if files else zone
        distinct.setdefault(rules, zone)
    return sorted(distinct.values())


def off_the_quarters(days: LocalDays) -> set[tuple[str, date]]:
    """Returns the days of one zone that do not begin at a whole quarter of an hour. Checks each start with zoneinfo."""
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


@pytest.mark.parametrize("zone", UNUSUAL_ZONES)
def test_days_of_unusual_zones_begin_at_whole_quarters_of_an_hour(zone: str) -> None:
    assert not off_the_quarters(local_days(zone))


@pytest.mark.campaign
def test_days_of_every_zone_begin_at_whole_quarters_of_an_hour(budget: Share) -> None:
    """Every day from 1990 to 2039 of each zone that the budget allows."""
    for zone in budget.each(distinct_zones()):
        assert not off_the_quarters(LocalDays(zone)), zone


@pytest.mark.campaign
def test_every_change_of_clocks_is_found(budget: Share) -> None:
    """A search in steps of half an hour finds the same changes as one in steps of six hours."""
    for zone in budget.each(distinct_zones()):
        assert LocalDays(zone, HOUR / 2).changes == LocalDays(zone).changes, zone
