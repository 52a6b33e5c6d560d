"""Faults of figures and states that were reported, with their histories and the expected values. Each history is also
compared with the oracle."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from tests.oracle.compare_queries import query, query_response_times
from tests.oracle.driver import Database
from tests.oracle.history import (
    Lookup,
    Record,
)
from tests.oracle.known_faults import (
    AZORES_WINDOW,
    CASES,
    CHATHAM,
    HAVANA_CALENDAR,
    QUARTER,
    Case,
    clock,
    state_history,
)
from tests.oracle.local_days import DAY, HOUR
from tests.oracle.moments import at
from tests.oracle.rows import Check
from tests.sql.batches import fetch


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_figures_of_a_reported_fault_are_correct(installation: Database, case: Case) -> None:
    await installation.play(case.history)
    for statement, rows in case.expected:
        assert await fetch(installation.connection, statement) == rows, statement


async def test_the_calendar_of_havana_has_a_day_of_25_hours(installation: Database) -> None:
    await installation.play(HAVANA_CALENDAR.history)
    columns = "day uptime checks"
    wanted = {"service_id": "web", "months": 1, "start_date": date(2026, 11, 1), "internal": False}
    [month, first, *_] = await query(installation.connection, "uptime/months", columns, **wanted)
    assert (month, first) == ((None, "75.00", 4), (date(2026, 11, 1), "66.66", 3))


@pytest.mark.parametrize(
    ("case", "number", "counts"),
    [
        (AZORES_WINDOW, 0, {None: 2, "2026-03-28 01:00": 1, "2026-03-29 01:00": 1}),
        (HAVANA_CALENDAR, 0, {None: 3, "2026-11-01 04:00": 3}),
        (CHATHAM, 0, {None: 3, "2026-04-04 12:15": 1, "2026-04-04 13:15": 1, "2026-04-04 14:15": 1}),
    ],
    ids=["Azores", "Havana", "Chatham"],
)
async def test_the_counts_of_windows_are_those_of_local_days_and_hours(
    installation: Database, case: Case, number: int, counts: dict[str | None, int]
) -> None:
    await installation.play(case.history)
    found = await query_response_times(installation.connection, "web", case.history.lookups[number], "time checks")
    assert dict(found) == {at(time) if time else None: count for time, count in counts.items()}


@pytest.mark.parametrize(
    ("times", "p50", "p95"),
    [([98.4375] * 88 + [1000.0], 98.4375, 98.4375), ([10.0, 1000.0], 10.0, 1000.0)],
    ids=["88 and one", "two far apart"],
)
async def test_percentiles_are_equal_at_every_step(
    installation: Database, times: Sequence[float], p50: float, p95: float
) -> None:
    """Within 2 % of the exact value, and identical from raw checks and from each tier."""
    noon = at("2026-05-01 12:00")
    checks = [
        Check("web", "local", noon + number * timedelta(seconds=10), 10, "o", ms) for number, ms in enumerate(times)
    ]
    steps = {"raw": timedelta(minutes=14), "15m": QUARTER, "hourly": HOUR, "daily": DAY}
    windows = [Lookup(tier, noon, noon + QUARTER, step) for tier, step in steps.items()]  # type: ignore[arg-type]
    await installation.play(state_history("UTC", clock("2026-05-01 12:20"), Record(checks), lookups=windows))
    results = set()
    for window in windows:
        results.add((await query_response_times(installation.connection, "web", window, "p50 p95"))[0])
    [(found_p50, found_p95)] = results
    assert found_p50 == pytest.approx(p50, rel=0.02)
    assert found_p95 == pytest.approx(p95, rel=0.02)
