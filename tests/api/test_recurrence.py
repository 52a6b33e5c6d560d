"""Recurrence rules: valid and invalid rules, clock changes, and a bound for the computation."""

from datetime import UTC, datetime, timedelta
from time import process_time
from zoneinfo import ZoneInfo

import msgspec
import pytest

from sla_monitor.recurrence.occurrences import LONGEST, Schedule, local_starts, occurrences, overlap, stored_occurrences
from sla_monitor.recurrence.rules import RuleError, parse, require_time, stored
from tests.api.schedules import BERLIN, TWO_HOURS, local, schedule


def local_text(moment: datetime, zone: ZoneInfo = BERLIN) -> str:
    """Returns the local time of a moment, such as `03-27 02:30`."""
    return moment.astimezone(zone).strftime("%m-%d %H:%M")


def test_the_local_time_of_occurrences_does_not_change_with_the_utc_offset() -> None:
    # In Berlin, clocks are set back on 25 October 2026 and forward on 28 March 2027.
    sundays = schedule(local(2026, 10, 18, 4), "FREQ=WEEKLY;BYDAY=SU")
    found = occurrences(sundays, datetime(2027, 4, 5, tzinfo=UTC))
    assert len(found) == 25
    assert {start.astimezone(BERLIN).time().hour for start, _ in found} == {4}
    assert {start.hour for start, _ in found} == {2, 3}
    assert {end - start for start, end in found} == {TWO_HOURS}


@pytest.mark.parametrize(
    ("zone", "start", "in_the_gap"),
    [
        ("Europe/Berlin", local(2027, 3, 27, 2, 30), "2027-03-28T01:30:00+00:00"),
        ("Europe/London", local(2027, 3, 27, 1, 30), "2027-03-28T01:30:00+00:00"),
        ("America/New_York", local(2027, 3, 13, 2, 59), "2027-03-14T07:59:00+00:00"),
        ("America/Santiago", local(2027, 9, 4, 0, 15), "2027-09-05T04:15:00+00:00"),
        ("Australia/Lord_Howe", local(2026, 10, 3, 2, 10), "2026-10-03T15:40:00+00:00"),  # the gap is half an hour
    ],
)
def test_a_local_time_that_does_not_exist_has_the_offset_before_the_gap(
    zone: str, start: datetime, in_the_gap: str
) -> None:
    nightly = schedule(start, "FREQ=DAILY;COUNT=3", zone=ZoneInfo(zone))
    found = occurrences(nightly, nightly.starts_at + timedelta(days=30))
    assert found[1].starts_at.isoformat() == in_the_gap
    assert [end - start for start, end in found] == [TWO_HOURS] * 3
    assert [local_text(found[n].starts_at, nightly.zone)[-5:] for n in (0, 2)] == [start.strftime("%H:%M")] * 2


def test_a_date_that_a_zone_skips_has_no_occurrence() -> None:
    daily = schedule(local(2011, 12, 29, 10), "FREQ=DAILY;COUNT=4", zone=ZoneInfo("Pacific/Apia"))
    starts = [local_text(start, daily.zone) for start, _ in occurrences(daily, datetime(2012, 2, 1, tzinfo=UTC))]
    assert starts == ["12-29 10:00", "12-31 10:00", "01-01 10:00"]


def test_only_the_first_moment_of_a_repeated_local_time_is_an_occurrence() -> None:
    nightly = schedule(local(2026, 10, 24, 2, 30), "FREQ=DAILY;COUNT=3")
    starts = [start for start, _ in occurrences(nightly, datetime(2026, 12, 1, tzinfo=UTC))]
    assert [start.isoformat() for start in starts] == [
        "2026-10-24T00:30:00+00:00",
        "2026-10-25T00:30:00+00:00",
        "2026-10-26T01:30:00+00:00",
    ]


def test_the_first_occurrence_begins_at_the_start_of_the_schedule() -> None:
    second_moment = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # the second of the two moments at which it is 02:30
    nightly = Schedule(second_moment, second_moment + TWO_HOURS, parse("FREQ=DAILY;COUNT=2"), BERLIN)
    assert [start for start, _ in occurrences(nightly, datetime(2026, 12, 1, tzinfo=UTC))] == [
        second_moment,
        datetime(2026, 10, 26, 1, 30, tzinfo=UTC),
    ]


def test_an_occurrence_that_lasts_a_day_ends_before_the_next_one_on_a_day_of_23_hours() -> None:
    always = schedule(local(2027, 3, 27, 12), "FREQ=DAILY;COUNT=3", timedelta(days=1))
    found = occurrences(always, datetime(2027, 5, 1, tzinfo=UTC))
    assert [end - start for start, end in found] == [timedelta(hours=23), timedelta(days=1), timedelta(days=1)]
    assert not overlap(always, datetime(2027, 5, 1, tzinfo=UTC))
    longer = schedule(local(2027, 3, 27, 12), "FREQ=DAILY;COUNT=3", timedelta(days=1, minutes=1))
    assert overlap(longer, datetime(2027, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("until", "zone", "count"), [("99991231T235959Z", "Pacific/Kiritimati", 3), ("00010101T000000Z", "America/Lima", 0)]
)
def test_until_can_be_the_first_or_last_moment_of_the_calendar(until: str, zone: str, count: int) -> None:
    nightly = schedule(local(2026, 11, 1, 2), f"FREQ=DAILY;UNTIL={until}", zone=ZoneInfo(zone))
    assert len(occurrences(nightly, nightly.starts_at + timedelta(days=2, hours=1))) == count


def test_until_is_a_local_time_unless_it_ends_with_z() -> None:
    def last(until: str) -> str:
        nightly = schedule(local(2026, 11, 1, 0, 30), f"FREQ=DAILY;UNTIL={until}")
        return local_text(occurrences(nightly, datetime(2027, 1, 1, tzinfo=UTC))[-1].starts_at)

    assert last("20261105") == "11-05 00:30"
    assert last("20261105T003000") == "11-05 00:30"
    assert last("20261105T002959") == "11-04 00:30"
    assert last("20261104T233000Z") == "11-05 00:30"
    assert last("20261104T232959Z") == "11-04 00:30"


@pytest.mark.parametrize(
    ("first", "until", "starts"),
    [
        # 02:30 is 01:30 UTC on the day on which clocks are set forward from 02:00 to 03:00.
        (local(2027, 3, 27, 2, 30), "20270328T012959Z", ["03-27 02:30"]),
        (local(2027, 3, 27, 2, 30), "20270328T013000Z", ["03-27 02:30", "03-28 03:30"]),
        # 01:15 UTC is the second 02:15 on the day on which clocks are set back from 03:00 to 02:00.
        (local(2026, 10, 24, 2, 30), "20261025T011500Z", ["10-24 02:30", "10-25 02:30"]),
        (local(2026, 10, 24, 2, 30), "20261025T002959Z", ["10-24 02:30"]),
    ],
)
def test_until_in_utc_is_compared_with_moments(first: datetime, until: str, starts: list[str]) -> None:
    nightly = schedule(first, f"FREQ=DAILY;UNTIL={until}")
    found = occurrences(nightly, datetime(2027, 6, 1, tzinfo=UTC))
    assert [local_text(start) for start, _ in found] == starts


def test_a_schedule_without_a_rule_has_one_occurrence() -> None:
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
def test_an_invalid_rule_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        parse(text)


@pytest.mark.parametrize(
    ("pasted", "normalised"),
    [
        ("RRULE:FREQ=WEEKLY;BYDAY=SU", "FREQ=WEEKLY;BYDAY=SU"),
        ("rrule:freq=weekly;byday=su;", "freq=weekly;byday=su"),
        (" FREQ=WEEKLY; BYDAY=MO, TU ;\n", "FREQ=WEEKLY;BYDAY=MO,TU"),
        ("FREQ=WEEKLY;\r\n BYDAY=SU", "FREQ=WEEKLY;BYDAY=SU"),
        ("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0", "FREQ=DAILY"),
        ("FREQ=DAILY;byhour=02;COUNT=3", "FREQ=DAILY;COUNT=3"),
    ],
)
def test_a_pasted_rule_is_normalised(pasted: str, normalised: str) -> None:
    assert stored(pasted) == normalised
    assert msgspec.structs.replace(parse(pasted), times=()) == parse(normalised)
    require_time(parse(pasted), local(2026, 11, 1, 2, 30))


@pytest.mark.parametrize("part", ["BYHOUR=3", "BYMINUTE=0", "BYSECOND=1"])
def test_a_rule_with_a_time_of_day_other_than_that_of_its_window_is_refused(part: str) -> None:
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
def test_a_rule_without_occurrences_is_computed_in_bounded_time(text: str) -> None:
    began = process_time()
    never = schedule(local(2026, 11, 23, 2), text)
    assert occurrences(never, datetime(2028, 1, 1, tzinfo=UTC)) == []
    assert process_time() - began < 0.5


def test_the_end_of_the_calendar_is_no_error() -> None:
    last = schedule(local(9999, 12, 1), "FREQ=MONTHLY", zone=ZoneInfo("UTC"))
    assert len(list(local_starts(last, local(9999, 12, 31)))) == 1


def test_a_later_horizon_does_not_change_earlier_occurrences() -> None:
    nightly = schedule(local(2026, 11, 1, 2), "FREQ=DAILY", timedelta(hours=20))
    middle, end = datetime(2026, 12, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    whole = occurrences(nightly, end)
    assert occurrences(nightly, middle) == [found for found in whole if found.starts_at < middle]
    assert timedelta(days=1) < LONGEST


def test_the_next_occurrence_of_an_endless_rule_is_due_when_it_begins() -> None:
    nightly = schedule(local(2026, 10, 24, 2), "FREQ=DAILY")
    third = datetime(2026, 10, 26, 1, tzinfo=UTC)  # 02:00 after the end of summer time
    found, due_at = stored_occurrences(nightly, third)
    assert ([local_text(one.starts_at) for one in found], due_at) == (["10-24 02:00", "10-25 02:00"], third)
    found, due_at = stored_occurrences(nightly, third + timedelta(seconds=1))
    assert (len(found), due_at) == (3, third + timedelta(days=1))
    never = schedule(local(2026, 10, 24, 2), "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")
    assert stored_occurrences(never, third) == ([], None)


def test_all_occurrences_of_a_rule_with_an_end_are_stored() -> None:
    before = datetime(2026, 1, 1, tzinfo=UTC)
    for rule, count in (("FREQ=DAILY;COUNT=3", 3), ("FREQ=DAILY;UNTIL=20261027", 4), (None, 1)):
        found, due_at = stored_occurrences(schedule(local(2026, 10, 24, 2), rule), before)
        assert (len(found), due_at) == (count, None)
