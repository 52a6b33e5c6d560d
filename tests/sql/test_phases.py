"""Phases are younger than the other aggregates: what has been recorded without them is made for a month."""

from datetime import timedelta

from sla_monitor.settings import Settings
from sql.aggregates import refresh
from sql.migrate import migrate
from tests.sql.batches import DAY, MINUTE, Connection, ask, is_timescaledb, now, record, row, value

PHASES = ("phases_daily", "phases_hourly", "phases_15m")


async def forget_phases(db: Connection) -> None:
    """The database as the version before had it."""
    for name in PHASES:
        if await is_timescaledb(db):
            await db.execute(f"DROP MATERIALIZED VIEW {name}".encode())
        else:
            await db.execute(f"DROP TABLE materialized_{name} CASCADE".encode())
    await db.execute("DELETE FROM schema_versions WHERE name LIKE 'aggregates/phases%'")


async def test_an_upgrade_makes_the_phases_of_the_last_month_and_touches_no_other_figure(
    db: Connection, database: str
) -> None:
    start = now().replace(hour=3, minute=0, second=0)
    rows = [row(start - days * DAY + minute * MINUTE) for days in (90, 20, 3, 1) for minute in range(5)]
    rows += [row(now() - 2 * MINUTE), row(now() - MINUTE, "mo")]
    await record(db, rows)
    assert await refresh(db)
    await forget_phases(db)
    days = "SELECT * FROM checks_daily ORDER BY bucket"
    before = await ask(db, days)

    migrated = await migrate(database, Settings())
    assert {f"aggregates/{name}" for name in PHASES} <= set(migrated.applied)
    assert await refresh(db)

    assert await ask(db, days) == before
    for name in PHASES:
        found = await ask(
            db,
            f"SELECT sum(checks), sum(sum_ms), sum(sum_dns_ms), sum(sum_connect_ms), sum(sum_tls_ms), "
            f"sum(sum_first_byte_ms) FROM {name} WHERE bucket > now() - interval '31 days'",
        )
        assert found == [(16, 16 * 120.5, 16.0, 32.0, 0.0, 1600.0)], name
    assert await value(db, "SELECT count(*) FROM touched_ranges") == 0


async def test_a_new_installation_has_nothing_to_make(db: Connection) -> None:
    assert await value(db, "SELECT count(*) FROM touched_ranges") == 0


async def test_only_good_checks_that_were_measured_count(db: Connection) -> None:
    at = now() - timedelta(minutes=2)
    await record(
        db,
        [
            row(at - 3 * MINUTE, "po", tls_ms=8.0),
            row(at - 2 * MINUTE, first_byte_ms=None),
            row(at - MINUTE, "mo", total_ms=99.0),
            row(at, total_ms=None),
        ],
    )
    for name in PHASES:
        assert await ask(db, f"SELECT sum(checks), sum(sum_ms), sum(sum_tls_ms) FROM {name}") == [(1, 3500.0, 8.0)]
