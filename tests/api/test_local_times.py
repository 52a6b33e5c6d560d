"""Local times in forms, and recurrence rules as fields of forms."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.console.local_times import LocalTimeError, moment_at, which, written
from api.console.repetition import KINDS, WEEKDAYS, Repetition, read
from sla_monitor.recurrence.rules import parse
from sla_monitor.texts.languages import texts

ZONES = (
    "UTC",
    "Asia/Seoul",
    "Europe/Berlin",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kathmandu",
)
zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.integers(978307200, 4070908800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(moments, zones)
def test_every_moment_can_be_entered_and_is_read_back(moment: datetime, zone: ZoneInfo) -> None:
    assert moment_at(written(moment, zone), zone, which(moment, zone)) == moment


@pytest.mark.parametrize(
    ("text", "zone", "problem"),
    [
        ("2027-03-28T02:30", "Europe/Berlin", "skipped"),
        ("2027-10-31T02:30", "Europe/Berlin", "twice"),
        ("2026-10-04T02:10", "Australia/Lord_Howe", "skipped"),
        ("2026-04-05T01:45", "Australia/Lord_Howe", "twice"),
        ("2011-12-30T12:00", "Pacific/Apia", "skipped"),
        ("", "UTC", "unreadable"),
        ("2027-02-30T00:00", "UTC", "unreadable"),
        ("2027-01-01T00:00Z", "UTC", "unreadable"),
        ("0001-01-01T00:00", "Asia/Seoul", "unreadable"),
    ],
)
def test_invalid_times_are_named(text: str, zone: str, problem: str) -> None:
    with pytest.raises(LocalTimeError) as error:
        moment_at(text, ZoneInfo(zone))
    assert error.value.wrong == problem


def test_the_two_meanings_of_a_repeated_time_are_an_hour_apart() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (moment_at("2027-10-31T02:30", berlin, one) for one in ("first", "second"))
    assert second - first == timedelta(hours=1)
    assert moment_at("2027-10-31T04:30", berlin, "second") == moment_at("2027-10-31T04:30", berlin)


days = st.dates(date(2026, 1, 1), date(2030, 12, 31))
repetitions = st.builds(
    Repetition,
    kind=st.sampled_from([kind for kind in KINDS if kind != "rule"]),
    every=st.integers(1, 12).map(str),
    days=st.sets(st.sampled_from(WEEKDAYS)).map(tuple),
    limit=st.sampled_from(["never", "until", "count"]),
    until=days.map(str),
    count=st.integers(1, 99).map(str),
)


@given(repetitions, days, st.sampled_from(["en", "ko"]))
def test_the_fields_of_the_form_become_a_rule_and_are_read_back(
    repetition: Repetition, first: date, language: str
) -> None:
    rule = repetition.rrule(first)
    again = read(rule, first)
    assert again.rrule(first) == rule
    if rule is not None:
        parse(rule)
        assert again.kind == repetition.kind
        assert again.described(texts(language, "UTC"), first)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=MONTHLY;BYDAY=-1FR",
        "FREQ=WEEKLY;BYDAY=MO;WKST=SU",
        "FREQ=DAILY;UNTIL=20270101T000000Z",
        "FREQ=DAILY;INTERVAL=1",
        "freq=daily",
    ],
)
def test_rules_that_the_form_cannot_show_are_unchanged(rule: str) -> None:
    found = read(rule, date(2027, 1, 4))
    assert (found.kind, found.rrule(date(2027, 1, 4))) == ("rule", rule)


@pytest.mark.parametrize(
    ("rule", "first", "words"),
    [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,WE;COUNT=5", date(2027, 1, 6), "Every 2 weeks · Sun, Wed · 5 times"),
        ("FREQ=WEEKLY", date(2027, 1, 6), "Every week · Wed"),
        ("FREQ=MONTHLY;BYDAY=2SU", date(2027, 1, 10), "Every month · on the second Sun"),
        ("FREQ=MONTHLY;BYDAY=-1SU", date(2027, 1, 31), "Every month · on the last Sun"),
        ("FREQ=DAILY;UNTIL=20270131", date(2027, 1, 6), "Every day · until Jan 31, 2027"),
        ("FREQ=YEARLY", date(2027, 1, 6), "FREQ=YEARLY"),
    ],
)
def test_a_rule_is_described_in_words(rule: str, first: date, words: str) -> None:
    assert read(rule, first).described(texts("en", "UTC"), first) == words
