"""Recurrence rules: their syntax, their occurrences, changes of clocks, and the cost of rules without occurrences."""

import datetime as datetime_module
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import dateutil.rrule
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sla_monitor.recurrence import (
    LONGEST,
    RuleError,
    Schedule,
    instant,
    kept,
    local_starts,
    occurrences,
    overlap,
    parse,
    require_time,
)

BERLIN, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
TWO_HOURS = timedelta(hours=2)


def local(*numbers: int) -> datetime:
    """Returns a local time without a zone."""
    return datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001  # year, month, day, hour, minute


def schedule(start: datetime, rule: str | None, length: timedelta = TWO_HOURS, zone: ZoneInfo = BERLIN) -> Schedule:
    """Returns a schedule; `start` is a local time in `zone`."""
    starts_at = start.replace(tzinfo=zone).astimezone(UTC)
    return Schedule(starts_at, starts_at + length, parse(rule) if rule else None, zone)


def clock(moment: datetime, zone: ZoneInfo = BERLIN) -> str:
    return moment.astimezone(zone).strftime("%m-%d %H:%M")


def test_occurrences_keep_their_local_time() -> None:
    # Clocks in Berlin go back on 25 October 2026 and forward on 28 March 2027.
    sundays = schedule(local(2026, 10, 18, 4), "FREQ=WEEKLY;BYDAY=SU")
    found = occurrences(sundays, datetime(2027, 4, 5, tzinfo=UTC))
    assert len(found) == 25
    assert {start.astimezone(BERLIN).time().hour for start, _ in found} == {4}
    assert {start.hour for start, _ in found} == {2, 3}
    assert {end - start for start, end in found} == {TWO_HOURS}


def test_a_start_in_skipped_time_moves_to_the_next_existing_moment() -> None:
    nightly = schedule(local(2027, 3, 27, 2, 30), "FREQ=DAILY;COUNT=3")
    starts = [clock(start) for start, _ in occurrences(nightly, datetime(2027, 5, 1, tzinfo=UTC))]
    assert starts == ["03-27 02:30", "03-28 03:00", "03-29 02:30"]
    # Lord Howe Island skips half an hour.
    assert clock(instant(local(2026, 10, 4, 2, 10), LORD_HOWE), LORD_HOWE) == "10-04 02:30"


def test_a_repeated_local_time_occurs_once_at_the_first_time() -> None:
    nightly = schedule(local(2026, 10, 24, 2, 30), "FREQ=DAILY;COUNT=3")
    starts = [start for start, _ in occurrences(nightly, datetime(2026, 12, 1, tzinfo=UTC))]
    assert [start.isoformat() for start in starts] == [
        "2026-10-24T00:30:00+00:00",
        "2026-10-25T00:30:00+00:00",
        "2026-10-26T01:30:00+00:00",
    ]


def test_the_first_occurrence_is_exactly_the_given_start() -> None:
    second_time = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 02:30 in Berlin for the second time
    with_start = Schedule(second_time, second_time + TWO_HOURS, parse("FREQ=DAILY;COUNT=2"), BERLIN)
    assert [start for start, _ in occurrences(with_start, datetime(2026, 12, 1, tzinfo=UTC))] == [
        second_time,
        datetime(2026, 10, 26, 1, 30, tzinfo=UTC),
    ]


def test_an_occurrence_of_a_day_is_cut_on_a_day_of_23_hours() -> None:
    always = schedule(local(2027, 3, 27, 12), "FREQ=DAILY;COUNT=3", timedelta(days=1))
    found = occurrences(always, datetime(2027, 5, 1, tzinfo=UTC))
    assert [end - start for start, end in found] == [timedelta(hours=23), timedelta(days=1), timedelta(days=1)]
    assert not overlap(always, datetime(2027, 5, 1, tzinfo=UTC))
    longer = schedule(local(2027, 3, 27, 12), "FREQ=DAILY;COUNT=3", timedelta(days=1, minutes=1))
    assert overlap(longer, datetime(2027, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("until", "zone", "count"), [("99991231T235959Z", "Pacific/Kiritimati", 3), ("00010101T000000Z", "America/Lima", 0)]
)
def test_until_accepts_the_first_and_last_dates_of_the_calendar(until: str, zone: str, count: int) -> None:
    nightly = schedule(local(2026, 11, 1, 2), f"FREQ=DAILY;UNTIL={until}", zone=ZoneInfo(zone))
    assert len(occurrences(nightly, nightly.starts_at + timedelta(days=2, hours=1))) == count


def test_until_is_local_time_unless_it_ends_with_z() -> None:
    def last(until: str) -> str:
        nightly = schedule(local(2026, 11, 1, 0, 30), f"FREQ=DAILY;UNTIL={until}")
        return clock(occurrences(nightly, datetime(2027, 1, 1, tzinfo=UTC))[-1].starts_at)

    assert last("20261105") == "11-05 00:30"
    assert last("20261105T003000") == "11-05 00:30"
    assert last("20261105T002959") == "11-04 00:30"
    assert last("20261104T233000Z") == "11-05 00:30"
    assert last("20261104T232959Z") == "11-04 00:30"


def test_a_schedule_without_a_rule_occurs_once() -> None:
    once = schedule(local(2026, 11, 1, 2), None)
    assert occurrences(once, datetime(2027, 1, 1, tzinfo=UTC)) == [(once.starts_at, once.ends_at)]
    assert not overlap(once, datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "weekly",
        "FREQ=",
        "FREQ=SECONDLY",
        "FREQ=MINUTELY",
        "FREQ=HOURLY",
        "FREQ=DAILY;FREQ=DAILY",
        "RRULE:",
        "FREQ=DAILY;;COUNT=2",
        "RRULE:RRULE:FREQ=DAILY",
        "DTSTART:20261130T020000Z RRULE:FREQ=DAILY",
        "FREQ=DAILY\nFREQ=DAILY",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=" + "9" * 400,
        "FREQ=DAILY;INTERVAL=\u0661",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=1000000",
        "FREQ=DAILY;COUNT=2;UNTIL=20270101",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;UNTIL=20261301",
        "FREQ=DAILY;UNTIL=00000101",
        "FREQ=DAILY;BYHOUR=1,2,3",
        "FREQ=DAILY;BYHOUR=24",
        "FREQ=DAILY;BYMINUTE=60",
        "FREQ=DAILY;BYDAY=2MO",
        "FREQ=DAILY;BYSETPOS=1",
        "FREQ=WEEKLY;BYMONTHDAY=1",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=WEEKLY;WKST=1",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYDAY=54MO",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=MONTHLY;BYYEARDAY=1",
        "FREQ=YEARLY;BYMONTH=13",
        "FREQ=YEARLY;BYWEEKNO=1",
        "FREQ=DAILY;BYDAY=" + ",".join(["MO"] * 200),
    ],
)
def test_an_invalid_rule_is_an_error(text: str) -> None:
    with pytest.raises(RuleError):
        parse(text)


@pytest.mark.parametrize(
    ("pasted", "bare"),
    [
        ("RRULE:FREQ=WEEKLY;BYDAY=SU", "FREQ=WEEKLY;BYDAY=SU"),
        ("rrule:freq=weekly;byday=su;", "freq=weekly;byday=su"),
        (" FREQ=WEEKLY; BYDAY=MO, TU ;\n", "FREQ=WEEKLY;BYDAY=MO,TU"),
        ("FREQ=WEEKLY;\r\n BYDAY=SU", "FREQ=WEEKLY;BYDAY=SU"),
        ("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0", "FREQ=DAILY"),
        ("FREQ=DAILY;byhour=02;COUNT=3", "FREQ=DAILY;COUNT=3"),
    ],
)
def test_prefixes_spaces_and_times_of_day_of_a_rule_are_removed(pasted: str, bare: str) -> None:
    assert kept(pasted) == bare
    assert msgspec.structs.replace(parse(pasted), times=()) == parse(bare)
    require_time(parse(pasted), local(2026, 11, 1, 2, 30))


@pytest.mark.parametrize("part", ["BYHOUR=3", "BYMINUTE=0", "BYSECOND=1"])
def test_the_time_of_day_of_a_rule_must_be_that_of_its_window(part: str) -> None:
    with pytest.raises(RuleError, match=part.partition("=")[0]):
        require_time(parse(f"FREQ=DAILY;{part}"), local(2026, 11, 1, 2, 30))


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=53MO",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "FREQ=YEARLY;INTERVAL=1000;BYYEARDAY=366",
        "FREQ=YEARLY;BYDAY=MO;BYSETPOS=366",
    ],
)
def test_a_rule_without_occurrences_is_searched_up_to_the_horizon_only(text: str) -> None:
    began = process_time()
    never = schedule(local(2026, 11, 23, 2), text)
    assert occurrences(never, datetime(2028, 1, 1, tzinfo=UTC)) == []
    assert process_time() - began < 0.5


def test_occurrences_end_with_the_calendar() -> None:
    last = schedule(local(9999, 12, 1), "FREQ=MONTHLY", zone=ZoneInfo("UTC"))
    assert len(list(local_starts(last, local(9999, 12, 31)))) == 1


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Draws rules of every supported kind."""

    def numbers(most: int, least: int = 1) -> st.SearchStrategy[str]:
        number = st.integers(least, most).filter(bool).map(str)
        return st.lists(number, min_size=1, max_size=4, unique=True).map(",".join)

    def days(nth: int) -> st.SearchStrategy[str]:
        # 2MO and TU are not mixed: dateutil requires both for such a list.
        prefix = st.integers(-nth, nth).filter(bool).map(str) if nth and draw(st.booleans()) else st.just("")
        day = st.tuples(prefix, st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])).map("".join)
        return st.lists(day, min_size=1, max_size=4, unique=True).map(",".join)

    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts: dict[str, Any] = {"INTERVAL": st.integers(1, 40).map(str), "BYMONTH": numbers(12)}
    parts["WKST"] = st.sampled_from(["MO", "SU", "TH"])
    parts["BYDAY"] = days(
        4 if frequency in ("MONTHLY", "YEARLY") else 0
    )  # dateutil is wrong for a fifth weekday in December
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
    """The module datetime as dateutil sees it, with an earlier end: it would otherwise search up to the year 9999."""

    MAXYEAR = 2036

    def __getattr__(self, name: str) -> Any:
        return getattr(datetime_module, name)


@given(rules(), st.datetimes(local(2024, 1, 1), local(2027, 1, 1)))
def test_occurrences_are_those_of_dateutil(text: str, first: datetime) -> None:
    first = first.replace(microsecond=0)
    upto = first + timedelta(days=3000)
    with mock.patch.object(dateutil.rrule, "datetime", EarlyEnd()):
        expected = dateutil.rrule.rrulestr(text, dtstart=first).between(first, upto, inc=True)
    assert list(local_starts(schedule(first, text, zone=ZoneInfo("UTC")), upto)) == expected


@given(st.datetimes(local(2000, 1, 1), local(2037, 1, 1)), st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE]))
def test_an_instant_has_the_local_time_or_follows_skipped_time(wanted: datetime, zone: ZoneInfo) -> None:
    wanted = wanted.replace(microsecond=0)
    moment = instant(wanted, zone)
    shown = moment.astimezone(zone).replace(tzinfo=None, fold=0)
    if shown != wanted:
        before = (moment - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
        assert before < wanted < shown
    else:
        assert moment <= wanted.replace(tzinfo=zone, fold=1).astimezone(UTC)


def test_no_occurrence_is_lost_between_two_horizons() -> None:
    nightly = schedule(local(2026, 11, 1, 2), "FREQ=DAILY", timedelta(hours=20))
    middle, end = datetime(2026, 12, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    whole = occurrences(nightly, end)
    assert occurrences(nightly, middle) == [found for found in whole if found.starts_at < middle]
    assert timedelta(days=1) < LONGEST
