"""The schema `analytics`: its views and functions can be used with rights on this schema only, and their figures are
those of the product."""

import secrets
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

import sql
from sql.schema import ANALYTICS
from tests.sql.batches import DAY, MINUTE, QUARTER, Connection, fetch, now, quarter, record, row, value

FUNCTIONS = ("latencies_v1", "latency_series_v1", "sla_v1", "sla_groups_v1")
VIEWS = [name for name in ANALYTICS if name not in ("schema", *FUNCTIONS)]
MIDNIGHT = now().replace(hour=0, minute=0, second=0) - 2 * DAY


@pytest.fixture
async def checks(db: Connection) -> None:
    """Three days of checks from two locations: good, degraded, failed and late ones, folded up to the last quarter."""
    start = MIDNIGHT - DAY
    rows = [
        row(at, "mo", location=location)
        if n % 11 == 0
        else row(at, "po" if n % 7 == 0 else "o", location=location, total_ms=50.0 + n)
        for location in ("local", "seoul")
        for n in range(3 * 24 * 60 // 7)
        for at in [start + n * 7 * MINUTE]
    ]
    latest = quarter(now())
    await record(db, rows)
    await db.execute("CALL fold_checks()")
    await record(
        db, [row(latest - 40 * MINUTE), row(latest), row(latest - 3 * QUARTER + MINUTE, "mo", location="fra-1")]
    )


@pytest.mark.usefixtures("checks")
class TestFigures:
    async def test_quarters_are_those_of_the_rollups(self, db: Connection) -> None:
        columns = (
            "service_id, location, {}, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, "
            "{}, {}, min_ms, max_ms"
        )
        analysts = columns.format("starts_at", "timed_checks", "round(avg_ms::numeric, 6)")
        product = columns.format("bucket", "good", "round((sum_ms / nullif(good, 0))::numeric, 6)")
        found = await fetch(db, f"SELECT {analysts} FROM analytics.buckets_v1 ORDER BY 1, 2, 3")
        assert found == await fetch(db, f"SELECT {product} FROM checks_15m ORDER BY 1, 2, 3")
        assert len(found) > 500
        analysts = "location, starts_at, phased_checks, avg_dns_ms, avg_connect_ms, avg_tls_ms, avg_first_byte_ms"
        product = (
            "location, bucket, checks, sum_dns_ms / checks, sum_connect_ms / checks, sum_tls_ms / checks, "
            "sum_first_byte_ms / checks"
        )
        found = await fetch(db, f"SELECT {analysts} FROM analytics.buckets_v1 WHERE phased_checks > 0 ORDER BY 1, 2")
        assert found == await fetch(db, f"SELECT {product} FROM phases_15m ORDER BY 1, 2")

    async def test_days_are_those_of_the_product(self, db: Connection) -> None:
        columns = (
            "service_id, day, starts_at, locations, checks, degraded, failed, covered_seconds, degraded_seconds, "
            "down_seconds, "
        )
        analysts = columns + "timed_checks, round(avg_ms::numeric, 6), min_ms, max_ms"
        product = columns + "good, round((sum_ms / good)::numeric, 6), min_ms, max_ms"
        found = await fetch(db, f"SELECT {analysts} FROM analytics.days_v1 ORDER BY 1, 2")
        assert found == await fetch(db, f"SELECT {product} FROM service_days ORDER BY 1, 2")
        assert len(found) >= 3

    @pytest.mark.parametrize(
        ("low", "high"),
        [
            (MIDNIGHT + 10 * QUARTER, MIDNIGHT + 30 * QUARTER),
            (MIDNIGHT - DAY + 5 * QUARTER, MIDNIGHT + DAY + 3 * QUARTER),
            (MIDNIGHT, MIDNIGHT + DAY),
            (MIDNIGHT - 10 * DAY, quarter(now()) + DAY),
        ],
    )
    async def test_percentiles_are_those_of_the_api(self, db: Connection, low: datetime, high: datetime) -> None:
        async with db.cursor(row_factory=dict_row) as cursor:
            parameters = {"service_id": "web", "step": high - low, "start": low, "end": high}
            await cursor.execute(sql.query("response_times/raw"), parameters)
            api = await cursor.fetchone()
        assert api is not None
        expected = [api[name] for name in ("checks", "errors", "avg", "min", "max", "p50", "p95", "p99")]
        # A window is widened to whole quarters of an hour.
        for start, end in ((low, high), (low + MINUTE, high - MINUTE)):
            [found] = await fetch(
                db,
                "SELECT checks, failed, round(avg_ms::numeric, 4)::float8, min_ms, max_ms, "
                "round(p50_ms::numeric, 4)::float8, round(p95_ms::numeric, 4)::float8, "
                "round(p99_ms::numeric, 4)::float8 "
                "FROM analytics.latencies_v1('web', %s, %s)",
                (start, end),
            )
            assert list(found) == expected

    async def test_steps_have_the_percentiles_of_their_windows(self, db: Connection) -> None:
        low, high = MIDNIGHT + MINUTE, MIDNIGHT + DAY
        series = "analytics.latency_series_v1('web', %s, %s, interval '50 min')"
        found = await fetch(db, f"SELECT * FROM {series}", (low, high))
        assert [at for at, *_ in found] == [MIDNIGHT + n * 4 * QUARTER for n in range(24)]
        hours = "generate_series(%s::timestamptz, %s, interval '1 hour') AS at"
        figures = "analytics.latencies_v1('web', at, at + interval '1 hour') AS figures"
        single = await fetch(db, f"SELECT at, figures.* FROM {hours}, {figures}", (MIDNIGHT, high - MINUTE))
        assert found == single


async def test_a_window_without_checks_has_one_row(db: Connection) -> None:
    found = await fetch(
        db, "SELECT checks, timed_checks, p95_ms FROM analytics.latencies_v1('web', '-infinity', 'infinity')"
    )
    assert found == [(0, 0, None)]


async def test_a_quarter_that_is_partly_folded_is_one_row(db: Connection) -> None:
    await record(db, [row(MIDNIGHT + n * MINUTE, "mo" if n == 9 else "o", total_ms=100.0 + n) for n in range(15)])
    middle = MIDNIGHT + 8 * MINUTE
    await db.execute("SELECT fold_range(%s, %s)", (MIDNIGHT, middle))
    await db.execute("UPDATE rollup_state SET watermark = %s", (middle,))
    columns = "starts_at, checks, failed, covered_seconds, down_seconds, timed_checks, avg_ms, min_ms, max_ms"
    assert await fetch(db, f"SELECT {columns} FROM analytics.buckets_v1") == [
        (MIDNIGHT, 15, 1, 900, 60, 14, (sum(range(100, 115)) - 109) / 14, 100.0, 114.0)
    ]
    assert await fetch(db, "SELECT day, checks, failed, observed_uptime::float8 FROM analytics.days_v1") == [
        (MIDNIGHT.date(), 15, 1, 100 * 14 / 15)
    ]


@pytest.fixture
async def analyst(db: Connection) -> AsyncIterator[Connection]:
    """A session with rights on the schema `analytics` only, not even on the schema `public`."""
    role = Identifier(f"analyst_{secrets.token_hex(4)}")
    await db.execute(SQL("CREATE ROLE {}").format(role))
    await db.execute(SQL("GRANT USAGE ON SCHEMA analytics TO {}").format(role))
    await db.execute(SQL("GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO {}").format(role))
    await db.execute(SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA analytics TO {}").format(role))
    await db.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    await db.execute(SQL("SET ROLE {}").format(role))
    await db.execute("SET search_path = analytics")
    yield db
    await db.execute("RESET ROLE")
    await db.execute(SQL("DROP OWNED BY {}").format(role))
    await db.execute(SQL("DROP ROLE {}").format(role))


@pytest.fixture
async def policy(db: Connection) -> None:
    """A policy for everything."""
    await db.execute(
        "WITH policy AS (INSERT INTO sla_policies (scope) VALUES ('everything') RETURNING id) "
        "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author, "
        "                                 objective_ms, objective_share) "
        "SELECT id, 1, '2020-01-01', 'All', 99.5, 'Europe/Berlin', 'ann', 300, 95 FROM policy"
    )


@pytest.mark.usefixtures("checks", "policy")
async def test_service_levels_are_those_of_the_accounting(db: Connection) -> None:
    period = (MIDNIGHT.date() - DAY, MIDNIGHT.date())
    async with db.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("SELECT * FROM sla_levels('{web}', %s, %s, present())", period)
        [level] = await cursor.fetchall()
        await cursor.execute("SELECT * FROM analytics.sla_v1(%s, %s)", period)
        [found] = await cursor.fetchall()
        await cursor.execute("SELECT * FROM analytics.sla_groups_v1(%s, %s)", period)
        [group] = await cursor.fetchall()
    assert (found.pop("policy_version"), found.pop("policy_name")) == (level.pop("version"), "All")
    assert (found.pop("name"), found.pop("group_name")) == ("Web", None)
    assert found == level
    assert level["objective_met"] is not None
    assert 0 < level["uptime"] < 100
    assert {name: group[name] for name in ("uptime", "target", "spent_seconds", "outages")} == {
        name: level[name] for name in ("uptime", "target", "spent_seconds", "outages")
    }
    await db.execute("DELETE FROM services")
    assert await fetch(db, "SELECT service_id, name FROM analytics.sla_v1(%s, %s)", period) == [("web", None)]


async def test_applied_versions_are_those_of_the_accounting(db: Connection, policy: None) -> None:
    await db.execute(
        "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author) "
        "SELECT id, version, day, 'All', 99, 'Asia/Kolkata', 'ann' "
        "FROM sla_policies, "
        "     (VALUES (2, date '2024-01-01'), (3, '2023-06-01'), (4, '2025-01-01')) AS later (version, day)"
    )
    analysts = "SELECT version, applies_from, applies_until FROM analytics.policies_v1 WHERE applies_from IS NOT NULL"
    product = "SELECT version, lower(during), upper(during) FROM sla_versions('infinity')"
    found = await fetch(db, f"{analysts} ORDER BY 1")
    assert [version for version, _, _ in found] == [1, 3, 4]
    assert found == await fetch(db, f"{product} ORDER BY 1")


async def test_maintenance_has_its_first_announcement(db: Connection) -> None:
    await db.execute(
        "WITH planned AS ("
        "    INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author) "
        "    VALUES ('Disks', '{web}', %(at)s, %(at)s + interval '1 hour', 'UTC', 'ann') RETURNING id) "
        "INSERT INTO maintenance_occurrences SELECT id, %(at)s, %(at)s + interval '1 hour', '{web}' FROM planned",
        {"at": MIDNIGHT},
    )
    await db.execute("UPDATE maintenance_announcements SET announced_at = %s", (MIDNIGHT - DAY,))
    await db.execute("UPDATE maintenance_occurrences SET ends_at = ends_at + interval '1 hour'")
    assert await value(db, "SELECT count(*) FROM maintenance_announcements") == 2
    assert await fetch(
        db, "SELECT service_id, seconds, announced_at, notice_seconds FROM analytics.maintenance_v1"
    ) == [("web", 7200, MIDNIGHT - DAY, 86400)]


@pytest.mark.usefixtures("checks", "policy")
async def test_an_analyst_needs_rights_on_this_schema_only(analyst: Connection) -> None:
    counts = {name: await value(analyst, f"SELECT count(*) FROM {name}") for name in VIEWS}
    assert counts["services_v1"] == 1
    assert counts["probers_v1"] == 3
    assert counts["checks_v1"] > 1000
    assert counts["buckets_v1"] > 500
    assert counts["days_v1"] >= 3
    assert counts["episodes_v1"] > 100
    assert counts["outages_v1"] > 10
    assert counts["worker_v1"] == 1
    await fetch(analyst, "SELECT * FROM worker_v1, policies_v1, corrections_v1, maintenance_v1, incidents_v1")
    found = await value(analyst, "SELECT checks FROM latencies_v1('web', %s, 'infinity')", (MIDNIGHT,))
    assert found == await value(analyst, "SELECT count(*) FROM checks_v1 WHERE scheduled_at >= %s", (MIDNIGHT,))
    period = (MIDNIGHT.date() - DAY, MIDNIGHT.date())
    assert await fetch(analyst, "SELECT service_id, name FROM sla_v1(%s, %s)", period) == [("web", "Web")]
    assert await fetch(analyst, "SELECT group_name, services FROM sla_groups_v1(%s, %s)", period) == [(None, 1)]
