"""The figures of the running day, which record_checks_v2() maintains in latest_checks, equal those of the raw checks
and rollups: with late and duplicate checks, checks of the future, and deletions. The status page reads only these."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.rows import TupleRow

from sla_monitor.settings import Settings
from sql.aggregates import refresh
from sql.migrate import migrate
from tests.sql.batches import (
    DAY,
    MINUTE,
    Connection,
    add_services,
    fetch,
    now,
    record,
    row,
    set_clock,
    value,
)

HOUR = timedelta(hours=1)
TODAY = now().astimezone(UTC).replace(hour=0, minute=0, second=0) - 2 * DAY
"""A past day: the tests set the clock of the database."""
NOON = TODAY + 12 * HOUR

COMPUTED = """
SELECT service_id,
       CASE WHEN sum(failed) > 0 THEN 'mo' WHEN sum(degraded) > 0 THEN 'po' ELSE 'o' END,
       sum(down_seconds)::bigint,
       sum(covered_seconds)::bigint
FROM (
    SELECT service_id, degraded, failed, down_seconds, covered_seconds
    FROM rollups
    WHERE tier = 'daily' AND bucket = %(low)s
    UNION ALL
    SELECT service_id, degraded, failed, down_seconds, covered_seconds
    FROM figures_of_checks(greatest(rollup_watermark(), %(low)s), %(high)s)
) AS parts
JOIN services ON id = service_id
GROUP BY service_id
ORDER BY service_id
"""
"""The expected result of figures_of_day() for existing services."""
MAINTAINED = """
SELECT service_id, worst::text, down_seconds, covered_seconds
FROM figures_of_day(%(low)s, %(high)s) JOIN services ON id = service_id
ORDER BY service_id
"""
NOT_MAINTAINED = "SELECT count(*) FROM latest_checks WHERE day_covered_seconds IS NULL"


@pytest.fixture
async def noon(db: Connection) -> AsyncIterator[Connection]:
    """A database whose clock is at noon. The first checks of the day are in the rollups, and the later ones are not."""
    await set_clock(db, TODAY + HOUR)
    await add_services(db, "other")
    await db.execute("UPDATE service_pauses SET paused_at = %s, resumed_at = %s", (TODAY - DAY, TODAY - DAY))
    await record(
        db, [row(TODAY + number * MINUTE, service=service) for service in ("web", "other") for number in range(30)]
    )
    await set_clock(db, NOON)
    assert await refresh(db)
    await record(
        db,
        [
            row(NOON - 10 * MINUTE + number * MINUTE, severity, location=location)
            for location in ("local", "seoul")
            for number, severity in enumerate(("o", "po", "o"))
        ],
    )
    yield db


async def figures(db: Connection, low: datetime = TODAY, high: datetime = TODAY + DAY) -> list[TupleRow]:
    """Returns the maintained figures, which must equal the computed ones."""
    values = {"low": low, "high": high}
    maintained = await (await db.execute(MAINTAINED.encode(), values)).fetchall()
    assert maintained == await (await db.execute(COMPUTED.encode(), values)).fetchall()
    return maintained


async def test_new_checks_are_counted(noon: Connection) -> None:
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "po", 0, 2160)]
    assert await value(noon, NOT_MAINTAINED) == 0


async def test_the_figures_are_read_without_the_raw_checks(noon: Connection) -> None:
    """Deleting the raw checks does not change the figures."""
    await noon.execute("CREATE TEMP TABLE taken AS SELECT * FROM checks")
    await noon.execute("DELETE FROM checks")
    assert await fetch(
        noon, "SELECT service_id, covered_seconds FROM figures_of_day(%s, %s) ORDER BY 1", (TODAY, TODAY + DAY)
    ) == [
        ("other", 1800),
        ("web", 2160),
    ]


async def test_late_checks_are_counted(noon: Connection) -> None:
    await record(noon, [row(TODAY + 40 * MINUTE, "mo"), row(NOON - 9.5 * MINUTE, interval_seconds=30)])
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 60, 2250)]


async def test_late_checks_of_yesterday_do_not_count_for_today(noon: Connection) -> None:
    await record(noon, [row(TODAY - MINUTE, "mo"), row(TODAY - 2 * MINUTE, "mo", service="other")])
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "po", 0, 2160)]


async def test_duplicates_are_counted_once(noon: Connection) -> None:
    late, new = row(TODAY + 40 * MINUTE, "mo"), row(NOON, "mo", location="seoul")
    assert await record(noon, [late, new, late, new]) == (2, 2, 0)
    assert await record(noon, [late, new]) == (0, 2, 0)
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 120, 2280)]


async def test_checks_inserted_in_sql_are_counted(noon: Connection) -> None:
    """They are not in latest_checks, so the INSERT of a later batch conflicts with them."""
    await noon.execute(
        "INSERT INTO checks SELECT service_id, location, scheduled_at + interval '4 minutes', finished_at, "
        "interval_seconds, status_code, success, severity, total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, "
        "attempts, error_type, error_message FROM checks WHERE location = 'seoul' AND severity = 'po'"
    )
    assert await record(
        noon, [row(NOON - 5 * MINUTE, location="seoul"), row(NOON - 4 * MINUTE, "mo", location="seoul")]
    ) == (1, 1, 0)
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 60, 2280)]


async def test_a_changed_interval_is_counted(noon: Connection) -> None:
    await record(noon, [row(NOON, interval_seconds=10), row(NOON + timedelta(seconds=10), "mo", interval_seconds=300)])
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 300, 2470)]


async def test_checks_of_a_paused_service_are_counted(noon: Connection) -> None:
    await noon.execute("UPDATE services SET enabled = false WHERE id = 'web'")
    await record(noon, [row(NOON, "mo")])
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 60, 2220)]


async def test_a_batch_across_midnight_counts_for_both_days(noon: Connection) -> None:
    midnight = TODAY + DAY
    await set_clock(noon, midnight + MINUTE)
    await record(
        noon,
        [row(midnight - MINUTE, "mo"), row(midnight), row(midnight + MINUTE, "po"), row(midnight, location="fra-1")],
    )
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 60, 2220)]
    assert await figures(noon, midnight, midnight + DAY) == [("web", "po", 0, 180)]


async def test_a_check_of_tomorrow_does_not_count_for_today(noon: Connection) -> None:
    """The clock of the prober is ahead."""
    midnight = TODAY + DAY
    await set_clock(noon, midnight - 2 * MINUTE)
    await record(noon, [row(midnight - 3 * MINUTE, "mo"), row(midnight + MINUTE)])
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 60, 2220)]


async def test_a_service_that_is_added_again_keeps_its_figures(noon: Connection) -> None:
    before = await figures(noon)
    await noon.execute("DELETE FROM services WHERE id = 'web'")
    assert await figures(noon) == before[:1]
    await add_services(noon, "web")
    assert await figures(noon) == before
    await record(noon, [row(NOON + MINUTE, "mo")])
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 60, 2220)]
    assert await value(noon, NOT_MAINTAINED) == 0
    await record(noon, [row(TODAY + 40 * MINUTE, location="seoul"), row(NOON + 2 * MINUTE, "mo")])
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 120, 2340)]


async def test_a_deleted_location_keeps_its_figures(noon: Connection) -> None:
    before = await figures(noon)
    await noon.execute("DELETE FROM locations WHERE id = 'seoul'")
    assert await figures(noon) == before


async def test_another_time_zone_recomputes_the_day(noon: Connection, database: str) -> None:
    """In a zone nine hours ahead, the last evening belongs to today."""
    await record(noon, [row(TODAY - 10 * HOUR, "mo"), row(TODAY - 2 * HOUR, "mo", interval_seconds=120)])
    await migrate(database, Settings(time_zone="Asia/Seoul"))
    assert await value(noon, NOT_MAINTAINED) == 0
    low = TODAY - 9 * HOUR
    assert await figures(noon, low, low + DAY) == [("other", "o", 0, 1800), ("web", "mo", 120, 2280)]
    await record(noon, [row(NOON, "mo"), row(TODAY + 40 * MINUTE)])
    assert await figures(noon, low, low + DAY) == [("other", "o", 0, 1800), ("web", "mo", 180, 2400)]


async def test_rebuilding_the_rollups_recomputes_the_figures(noon: Connection) -> None:
    await noon.execute("UPDATE latest_checks SET day_covered_seconds = 1, day_down_seconds = 1")
    for place in ("local", "seoul"):
        await fetch(noon, "SELECT rebuild_rollups('web', %s, %s, %s)", (place, TODAY, NOON))
    assert await fetch(
        noon, "SELECT covered_seconds FROM figures_of_day(%s, %s) WHERE service_id = 'web'", (TODAY, TODAY + DAY)
    ) == [(2160,)]


async def test_figures_missing_from_an_earlier_release_are_computed(noon: Connection) -> None:
    """They are computed at each read until a refresh stores them."""
    before = await figures(noon)
    await noon.execute("UPDATE latest_checks SET day_covered_seconds = NULL, day_down_seconds = NULL, day_worst = 'o'")
    assert await figures(noon) == before
    await record(noon, [row(NOON, "mo"), row(TODAY + 40 * MINUTE, "mo")])
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 120, 2280)]
    assert await value(noon, NOT_MAINTAINED) > 0
    assert await refresh(noon)
    assert await value(noon, NOT_MAINTAINED) == 0
    assert await figures(noon) == [("other", "o", 0, 1800), ("web", "mo", 120, 2280)]
