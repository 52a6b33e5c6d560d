"""Random recurrence rules have the occurrences that dateutil computes."""

import datetime as datetime_module
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo, available_timezones

import dateutil.rrule
import dateutil.tz
from hypothesis import given
from hypothesis import strategies as st

from sla_monitor.formats.time_zones import LOCAL_NAMES
from sla_monitor.recurrence.occurrences import Schedule, instant, local_starts, occurrences
from sla_monitor.recurrence.rules import parse
from tests.api.schedules import local, schedule


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Draws valid rules of every kind."""

    def numbers(most: int, least: int = 1) -> st.SearchStrategy[str]:
        number = st.integers(least, most).filter(bool).map(str)
        return st.lists(number, min_size=1, max_size=4, unique=True).map(",".join)

    def days(nth: int) -> st.SearchStrategy[str]:
        # No list such as 2MO,TU: dateutil finds only days that match both items.
        prefix = st.integers(-nth, nth).filter(bool).map(str) if nth and draw(st.booleans()) else st.just("")
        day = st.tuples(prefix, st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])).map("".join)
        return st.lists(day, min_size=1, max_size=4, unique=True).map(",".join)

    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts: dict[str, Any] = {"INTERVAL": st.integers(1, 40).map(str), "BYMONTH": numbers(12)}
    parts["WKST"] = st.sampled_from(["MO", "SU", "TH"])
    parts["BYDAY"] = days(
        4 if frequency in ("MONTHLY", "YEARLY") else 0
    )  # dateutil raises an error for 5MO in December
    if frequency != "WEEKLY":
        parts["BYMONTHDAY"] = numbers(31, -31)
    if frequency == "YEARLY":
        parts["BYYEARDAY"] = numbers(366, -366)
    chosen = {name: draw(values) for name, values in parts.items() if draw(st.booleans())}
    if any(name.startswith("BY") for name in chosen) and frequency != "WEEKLY" and draw(st.booleans()):
        chosen["BYSETPOS"] = draw(numbers(10, -10))
    limit = draw(st.sampled_from(["", ";COUNT=5", ";UNTIL=20280229T020000"]))
    return f"FREQ={frequency}" + "".join(f";{name}={value}" for name, value in chosen.items()) + limit


class EarlyEnd:
    """Replaces the module datetime in dateutil. Its calendar ends early, because dateutil searches up to the last
    year."""

    MAXYEAR = 2036

    def __getattr__(self, name: str) -> Any:
        return getattr(datetime_module, name)


@given(rules(), st.datetimes(local(2024, 1, 1), local(2027, 1, 1)))
def test_a_rule_has_the_occurrences_that_dateutil_computes(text: str, first: datetime) -> None:
    first = first.replace(microsecond=0)
    upto = first + timedelta(days=3000)
    with mock.patch.object(dateutil.rrule, "datetime", EarlyEnd()):
        expected = dateutil.rrule.rrulestr(text, dtstart=first).between(first, upto, inc=True)
    assert list(local_starts(schedule(first, text, zone=ZoneInfo("UTC")), upto)) == expected


ZONES = sorted(available_timezones() - LOCAL_NAMES)
ZONES_WITH_CHANGES = [
    name for name in ZONES if len({datetime(2027, month, 1, tzinfo=ZoneInfo(name)).utcoffset() for month in (1, 7)}) > 1
]


@cache
def clock_changes(zone: ZoneInfo) -> list[datetime]:
    """Returns the local times at which the UTC offset of a zone changes from 2020 to 2031, with the old offset."""

    def offset(minutes: int) -> timedelta | None:
        return (start + timedelta(minutes=minutes)).astimezone(zone).utcoffset()

    start, day = datetime(2020, 1, 1, tzinfo=UTC), 24 * 60
    found = []
    for earlier in range(0, 12 * 365 * day, day):
        if offset(earlier) != offset(earlier + day):
            minute = bisect_left(range(earlier, earlier + day), True, key=lambda at: offset(at) != offset(earlier))
            before = (start + timedelta(minutes=earlier)).astimezone(zone).replace(tzinfo=None)
            found.append(before + timedelta(minutes=minute))
    return found


@st.composite
def near_clock_changes(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """Draws a zone and a local time within 90 minutes of one of its clock changes, if it has any."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES_WITH_CHANGES) | st.sampled_from(ZONES)))
    change = draw(st.sampled_from(clock_changes(zone) or [local(2027, 1, 1)]))
    return zone, change + timedelta(minutes=draw(st.integers(-90, 90)))


@given(near_clock_changes())
def test_a_local_time_is_the_moment_that_dateutil_computes(case: tuple[ZoneInfo, datetime]) -> None:
    zone, time = case
    expected = dateutil.tz.resolve_imaginary(time.replace(tzinfo=zone)).astimezone(UTC)
    assert instant(time, zone) == expected


@given(near_clock_changes(), st.integers(1, 3), st.timedeltas(timedelta(), timedelta(days=9)))
def test_occurrences_around_a_clock_change_are_those_of_dateutil(
    case: tuple[ZoneInfo, datetime], interval: int, limit: timedelta
) -> None:
    """The rule has an UNTIL in UTC near the change. The local time of the first occurrence exists; later ones may fall
    into a gap."""
    zone, time = case
    starts_at = instant(time - timedelta(days=interval), zone)
    until = (starts_at + limit).replace(second=0)
    text = f"FREQ=DAILY;INTERVAL={interval};UNTIL={until:%Y%m%dT%H%M%SZ}"
    nightly = Schedule(starts_at, starts_at + timedelta(minutes=5), parse(text), zone)
    expected = {
        dateutil.tz.resolve_imaginary(start).astimezone(UTC)
        for start in dateutil.rrule.rrulestr(text, dtstart=starts_at.astimezone(zone))
    }
    assert [start for start, _ in occurrences(nightly, until + timedelta(days=9))] == sorted(expected)
