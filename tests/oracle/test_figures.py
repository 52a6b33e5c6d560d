"""The figures of the oracle, with expected values written by hand: sums, days, uptimes, windows, percentiles."""

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction

import pytest

from tests.oracle.figures import Cell, calendar, phases, rollup, service_days, uptime, windows
from tests.oracle.local_days import DAY, HOUR, local_days
from tests.oracle.moments import at
from tests.oracle.response_times import bin_of, middle, percentile, point, series, widened
from tests.oracle.rows import Check, Counts, Registered, StoredChecks, oldest_accepted, sixteenths

SECOND = timedelta(seconds=1)


def check(moment: str, severity: str = "o", ms: float | None = None, **changes: object) -> Check:
    return Check("web", "local", at(moment), severity=severity, total_ms=ms)._replace(**changes)  # type: ignore[arg-type]


def test_uptime_is_rounded_down() -> None:
    assert uptime(0, 60) == "100.00"
    assert uptime(1, 1000000) == "99.99"
    assert uptime(2, 3) == "33.33"
    assert uptime(60, 60) == "0.00"
    assert uptime(599, 600) == "0.16"
    assert uptime(0, 0) == "-"


def test_the_first_check_of_a_key_is_stored_and_invalid_ones_are_parked() -> None:
    store = StoredChecks()
    first = check("2026-05-01 12:00")
    registered = Registered({"web"}, ["local"])
    present = at("2026-05-01 12:10")
    oldest = oldest_accepted(present, 30 * DAY, None)
    assert oldest == at("2026-04-02 12:10")
    batch = [
        first,
        first._replace(severity="mo"),
        first._replace(at=at("2026-05-01 12:15")),
        first._replace(at=at("2026-05-01 12:15:01")),
        first._replace(at=oldest),
        first._replace(at=oldest - SECOND),
        first._replace(service="missing"),
        first._replace(location="nowhere"),
    ]
    assert store.record(batch, registered, present, oldest) == Counts(stored=3, duplicates=1, parked=4)
    assert store.checks[first.key].severity == "o"


def test_raw_rows_are_complete_since_the_shortest_retention() -> None:
    assert oldest_accepted(at("2026-05-01 00:00"), 30 * DAY, at("2026-04-20 00:00")) == at("2026-04-21 00:00")


def test_times_are_stored_in_sixteenths() -> None:
    assert sixteenths(0.03125) == 0
    assert sixteenths(0.09375) == 0.125
    assert sixteenths(0.1) == 0.125
    assert sixteenths(9999999) == 9999999
    assert sixteenths(None) is None


def test_a_rollup_has_a_row_for_each_service_location_and_bucket() -> None:
    rows = [
        check("2026-05-01 11:59:59", "o", 10),
        check("2026-05-01 12:00", "po", 30, interval=30),
        check("2026-05-01 12:14:59", "mo", 99, interval=120),
        check("2026-05-01 12:10", "o", 5, location="seoul"),
    ]
    found = rollup(rows, "15m", local_days("UTC"))
    assert found[at("2026-05-01 11:45"), "web", "local"] == (1, 1, 0, 0, "o", 60, 0, 0, 1, 10, 10, 10)
    assert found[at("2026-05-01 12:00"), "web", "local"] == (2, 0, 1, 1, "mo", 150, 30, 120, 1, 30, 30, 30)
    assert found[at("2026-05-01 12:00"), "web", "seoul"] == (1, 1, 0, 0, "o", 60, 0, 0, 1, 5, 5, 5)
    [hour] = [
        sums for (bucket, _, place), sums in rollup(rows, "hourly", local_days("UTC")).items() if place == "seoul"
    ]
    assert hour.sum_ms == 5


def test_phases_are_those_of_successful_checks_with_a_first_byte() -> None:
    rows = [
        check("2026-05-01 12:00", "o", 100, dns_ms=1.0, first_byte_ms=50.0),
        check("2026-05-01 12:01", "o", 200, tls_ms=4.0, first_byte_ms=60.0),
        check("2026-05-01 12:02", "o", 400),
        check("2026-05-01 12:03", "mo", 800, first_byte_ms=1.0),
    ]
    assert phases(rows, "daily", local_days("UTC")) == {
        (at("2026-05-01 00:00"), "web", "local"): (2, 300, 1, 0, 4, 110)
    }
    assert point(rows).phases == (0.5, 0, 2, 55, 92.5)


# In Havana, 1 November has 25 hours, from 04:00 UTC to 05:00 UTC of the next day.
HAVANA = [
    check("2026-11-01 04:30"),
    check("2026-11-01 12:00"),
    check("2026-11-01 13:00", "mo", error_message="gone"),
    check("2026-11-02 12:00"),
]


def test_days_and_months_with_a_repeated_midnight() -> None:
    days = local_days("America/Havana")
    by_day = service_days(HAVANA, days)
    first = by_day["web", date(2026, 11, 1)]
    assert (first.starts_at, first.sums.checks, first.error_message) == (at("2026-11-01 04:00"), 3, "gone")
    cells = calendar(by_day.values(), days, at("2026-11-02 15:00"), 1, date(2026, 11, 1))
    november = date(2026, 11, 1)
    assert cells[0] == Cell(november, None, "mo", "75.00", 4, Fraction(60))
    assert cells[1] == Cell(november, november, "mo", "66.66", 3, Fraction(60))
    assert [cell.status for cell in cells[2:5]] == ["o", "e", "e"]
    assert len(cells) == 31


def test_months_without_a_start_end_with_the_current_one() -> None:
    cells = calendar([], local_days("UTC"), at("2026-01-15 12:00"), 3, None)
    assert [cell.month for cell in cells if cell.day is None] == [
        date(2025, 11, 1),
        date(2025, 12, 1),
        date(2026, 1, 1),
    ]
    assert {cell.status for cell in cells if cell.month.month == 12} == {"nd"}


def test_the_downtime_of_a_day_is_the_mean_of_the_locations() -> None:
    rows = [check("2026-05-01 12:00", "mo"), check("2026-05-01 12:00", location="seoul")]
    [day] = service_days(rows, local_days("UTC")).values()
    assert day.downtime == Fraction(30)


def test_uptimes_of_windows() -> None:
    """24 hours are whole quarters. The coverage is that of the location with the highest coverage."""
    rows = [
        check("2026-04-30 11:59:59", "mo", interval=60),
        check("2026-04-30 12:00", "mo", interval=60),
        check("2026-05-01 12:00", "o", interval=60),
        check("2026-05-01 12:00", "mo", interval=20, location="seoul"),
    ]
    day, week, *_, year = windows(rows, local_days("UTC"), at("2026-05-01 12:01"))
    assert (day.starts_at, day.uptime, day.downtime) == (at("2026-04-30 12:00"), "42.85", Fraction(70))
    assert day.coverage == 0.0013  # 120 of 86,460 seconds
    assert (week.starts_at, week.uptime) == (at("2026-04-25 00:00"), "30.00")
    assert (week.downtime, week.first_at) == (Fraction(130), at("2026-04-30 00:00"))
    assert year.starts_at == at("2025-05-02 00:00")


@pytest.mark.parametrize("ms", [0.0625, 0.5, 1, 1.0625, 10, 98.4375, 104, 1000, 1e7])
def test_the_middle_of_a_bin_is_within_two_percent(ms: float) -> None:
    number = bin_of(ms)
    assert number is not None and 1.04 ** (number - 1) < ms * (1 + 1e-12) and ms <= 1.04**number * (1 + 1e-12)
    assert middle(ms) == pytest.approx(ms, rel=0.02)


def test_zero_has_its_own_bin() -> None:
    assert (bin_of(0), middle(0)) == (None, 0)


@pytest.mark.parametrize(
    ("times", "percent", "expected"),
    [
        ([98.4375] * 88 + [1000], 95, 98.4375),  # the middle of the bin is below the minimum
        ([10, 1000], 50, 10.0),
        ([10, 1000], 99, 1000.0),
        ([90, 100, 110], 50, 1.04**117.5),
        ([5], 50, 5.0),
        ([0, 0, 100], 50, 0.0),
        (list(range(1, 21)), 95, 1.04**75.5),  # the 19th value
    ],
)
def test_percentiles_are_within_two_percent_and_the_measured_range(
    times: Sequence[float], percent: int, expected: float
) -> None:
    found = percentile(times, percent)
    assert found == pytest.approx(expected, rel=0.02)
    assert min(times) <= found <= max(times)


def test_windows_are_widened_to_buckets() -> None:
    utc = local_days("UTC")
    low, high = at("2026-05-01 12:07"), at("2026-05-01 14:15:01")
    assert widened("raw", low, high, utc) == (low, high)
    assert widened("15m", low, high, utc) == (at("2026-05-01 12:00"), at("2026-05-01 14:30"))
    assert widened("hourly", low, high, utc) == (at("2026-05-01 12:00"), at("2026-05-01 15:00"))
    assert widened("daily", low, at("2026-05-02 00:00"), utc) == (at("2026-05-01 00:00"), at("2026-05-02 00:00"))
    kolkata, chatham = local_days("Asia/Kolkata"), local_days("Pacific/Chatham")
    assert widened("hourly", low, high, kolkata) == (at("2026-05-01 11:30"), at("2026-05-01 14:30"))
    assert widened("hourly", low, high, chatham) == (at("2026-05-01 11:15"), at("2026-05-01 14:15") + HOUR)


def test_a_series_of_days_has_no_point_for_a_skipped_date() -> None:
    apia = local_days("Pacific/Apia")
    rows = [check("2011-12-30 09:59"), check("2011-12-30 10:00", "mo"), check("2012-01-01 12:00")]
    found = series(rows, "daily", at("2011-12-30 01:00"), at("2012-01-02 00:00"), DAY, apia)
    assert (found.low, found.high) == (at("2011-12-29 10:00"), at("2012-01-02 10:00"))
    assert {time: (one.checks, one.errors) for time, one in found.points.items()} == {
        at("2011-12-29 10:00"): (1, 0),
        at("2011-12-30 10:00"): (1, 1),
        at("2012-01-01 10:00"): (1, 0),
    }
    assert found.whole.checks == 3
