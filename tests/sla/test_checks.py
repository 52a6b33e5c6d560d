"""Counts of checks, percentiles and the objective of a period: from raw checks, and from every tier of the rollups."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.servers import Server
from tests.sql.batches import (
    DAY,
    MINUTE,
    Connection,
    add_locations,
    add_services,
    connected,
    fetch,
    record,
    row,
    set_clock,
)

INDIA_MIDNIGHT = datetime(2026, 5, 31, 18, 30, tzinfo=UTC)
"""The start of 1 June in Asia/Kolkata."""
COLUMNS = "checks, failed_checks, checks_uptime, p50_ms, p95_ms, p99_ms, fast_share, objective_met"
LEVEL = f"SELECT {COLUMNS} FROM sla_levels('{{web}}', %s, %s, present())"


@pytest.fixture
async def india(engine: Server) -> AsyncIterator[Connection]:
    """A database with a policy in the zone Asia/Kolkata, with an objective of 95 percent in 400 ms."""
    url = engine.migrated_database()
    async with connected(url) as connection:
        await set_clock(connection, INDIA_MIDNIGHT + 3 * DAY)
        await add_locations(connection, "local")
        await add_services(connection, "web")
        await connection.execute(
            "WITH policy AS (INSERT INTO sla_policies (scope) VALUES ('everything') RETURNING id) "
            "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author, "
            "recorded_at, objective_ms, objective_share) "
            "SELECT id, 1, '2026-01-01', 'Terms', 99.9, 'Asia/Kolkata', 'Ann', '2026-01-01Z', 400, 95 FROM policy"
        )
        yield connection
    engine.drop(url)


async def record_day(connection: Connection, start: datetime) -> None:
    """Records a check a minute. Every tenth fails; of the others, 1,200 take 100 ms, 60 take 400 ms, 36 take 900 ms."""
    good = 0
    rows = []
    for minute in range(1440):
        at = start + minute * MINUTE
        if minute % 10 == 9:
            rows.append(row(at, "mo"))
        else:
            total_ms = 100.0 if good < 1200 else 400.0 if good < 1260 else 900.0
            rows.append(row(at, total_ms=total_ms, first_byte_ms=50.0))
            good += 1
    stored, _, _ = await record(connection, rows)
    assert stored == 1440


async def level(connection: Connection, first_day: date, last_day: date | None = None) -> Any:
    [found] = await fetch(connection, LEVEL, (first_day, last_day or first_day))
    return found


async def test_the_checks_of_a_local_day_are_exact_in_every_tier_and_without_raw_checks(india: Connection) -> None:
    for day in range(3):
        await record_day(india, INDIA_MIDNIGHT + day * DAY)
    first = date(2026, 6, 1)
    expected = (1440, 144, 90, Decimal("100.3269"), Decimal("395.8989"), 900, Decimal(126_000) / 1296, True)

    async def check() -> None:
        for day in (first, first + DAY):
            found = await level(india, day)
            assert found[:6] == expected[:6]
            assert abs(found[6] - expected[6]) < Decimal("1e-12")
            assert found[7] is True
        checks, failed, *_ = await level(india, date(2026, 5, 1), date(2026, 6, 30))
        assert (checks, failed) == (3 * 1440, 3 * 144)

    await check()
    await india.execute("CALL fold_checks()")
    await check()
    await india.execute("DELETE FROM checks WHERE scheduled_at < rollup_watermark()")
    await check()


async def test_a_single_time_is_every_percentile_and_meets_an_equal_objective(india: Connection) -> None:
    await record(india, [row(INDIA_MIDNIGHT + n * MINUTE, total_ms=400.0) for n in range(10)])
    _, _, uptime, *percentiles, share, met = await level(india, date(2026, 6, 1))
    assert (uptime, percentiles, share, met) == (100, [400, 400, 400], 100, True)


async def test_a_quarter_belongs_to_the_part_in_which_it_begins(india: Connection) -> None:
    """The service gets the tag at 00:07, so its part begins in a quarter, which does not count."""
    start = INDIA_MIDNIGHT + timedelta(minutes=7)
    await record(india, [row(INDIA_MIDNIGHT + n * MINUTE) for n in range(60)])
    await india.execute("UPDATE sla_policies SET scope = 'tag', subject = 'gold'")
    await india.execute("DELETE FROM service_memberships")
    await india.execute(
        "INSERT INTO service_memberships (service_id, valid, tags, interval_seconds, public) VALUES "
        "('web', tstzrange(NULL, %(at)s), '{}', 60, true), ('web', tstzrange(%(at)s, NULL), '{gold}', 60, true)",
        {"at": start},
    )
    checks, *_ = await level(india, date(2026, 6, 1))
    assert checks == 45
    await india.execute("CALL fold_checks()")
    assert (await level(india, date(2026, 6, 1)))[0] == 45
