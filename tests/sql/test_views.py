"""The views for analysts and Grafana: their columns are a stable interface, and their figures are those of the
checks."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.sql.batches import AGGREGATES, DAY, MINUTE, Connection, add_services, fetch, now, record, row, value

# The columns of the requirements, section 2.3; after the bar the columns that this program adds.
COLUMNS = {
    "watch_server_logs": "id service_id check_time status_code response_time is_success error_message error_type "
    "| location",
    "api_response_times": "id service_id response_time status_code endpoint method timestamp | location",
    "uptime_records": "id service_id date status response_time error_message created_at | uptime",
    "api_call_logs": "id service_id date total_calls success_calls error_calls avg_response_time max_response_time "
    "min_response_time created_at updated_at |",
    "service_days": "service_id day starts_at locations checks operational degraded failed status covered_seconds "
    "degraded_seconds down_seconds good sum_ms min_ms max_ms |",
    "service_status": "service_id name description group_name tags public enabled state since checked_at total_ms "
    "severity error_type error_message certificate_expires_at certificate_issuer |",
    "incident_history": "incident_id title status severity priority public reporter author day created_at "
    "identified_at resolved_at open_seconds updates affected_services |",
}
MIDNIGHT = now().replace(hour=0, minute=0, second=0) - 2 * DAY


async def test_the_views_have_the_documented_columns(db: Connection) -> None:
    found = await fetch(
        db,
        "SELECT table_name::text, string_agg(column_name, ' ' ORDER BY ordinal_position) "
        "FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ANY (%s) GROUP BY 1",
        (list(COLUMNS),),
    )
    assert {view: columns.split() for view, columns in found} == {
        view: columns.replace("|", "").split() for view, columns in COLUMNS.items()
    }


async def test_every_view_has_a_comment(db: Connection) -> None:
    without_comment = await fetch(
        db,
        "SELECT relname FROM pg_class WHERE relname = ANY (%s) AND coalesce(obj_description(oid, 'pg_class'), '') = ''",
        (list(COLUMNS),),
    )
    assert without_comment == []
    assert await value(db, "SELECT count(*) FROM pg_class WHERE relname = ANY (%s)", (list(COLUMNS),)) == len(COLUMNS)


class TestOneDay:
    """Four checks of a minute each of one location: two operational, one degraded, one failed."""

    @pytest.fixture(autouse=True)
    async def _checks(self, db: Connection) -> None:
        await record(
            db,
            [
                row(MIDNIGHT, total_ms=100.0),
                row(MIDNIGHT + MINUTE, total_ms=101.0, status_code=204),
                row(MIDNIGHT + 2 * MINUTE, "po", total_ms=4000.0),
                row(MIDNIGHT + 3 * MINUTE, "mo", status_code=503, total_ms=9000.0, error_type="http_error"),
            ],
        )

    async def test_watch_server_logs_lists_every_check(self, db: Connection) -> None:
        found = await fetch(
            db,
            "SELECT service_id, check_time, status_code, response_time, is_success, error_message, error_type, "
            "location FROM watch_server_logs ORDER BY check_time",
        )
        assert found == [
            ("web", MIDNIGHT, 200, 100, True, None, None, "local"),
            ("web", MIDNIGHT + MINUTE, 204, 101, True, None, None, "local"),
            ("web", MIDNIGHT + 2 * MINUTE, 200, 4000, True, None, None, "local"),
            ("web", MIDNIGHT + 3 * MINUTE, 503, 9000, False, "timed out after 7000 ms", "http_error", "local"),
        ]

    async def test_ids_are_unique_and_stable(self, db: Connection) -> None:
        statement = "SELECT id FROM watch_server_logs ORDER BY check_time"
        ids = await fetch(db, statement)
        assert len(set(ids)) == 4
        await record(db, [row(MIDNIGHT + 9 * MINUTE)])
        assert (await fetch(db, statement))[:4] == ids

    async def test_api_response_times_lists_successful_checks(self, db: Connection) -> None:
        found = await fetch(
            db,
            "SELECT service_id, response_time, status_code, endpoint, method, timestamp, location "
            "FROM api_response_times ORDER BY timestamp",
        )
        assert found == [
            ("web", 100, 200, "http://target/", "GET", MIDNIGHT, "local"),
            ("web", 101, 204, "http://target/", "GET", MIDNIGHT + MINUTE, "local"),
            ("web", 4000, 200, "http://target/", "GET", MIDNIGHT + 2 * MINUTE, "local"),
        ]

    async def test_uptime_records_has_status_and_uptime_of_a_day(self, db: Connection) -> None:
        found = await fetch(
            db, "SELECT service_id, date, status, response_time, error_message, created_at, uptime FROM uptime_records"
        )
        assert found == [("web", MIDNIGHT.date(), "mo", 1400, "timed out after 7000 ms", MIDNIGHT, Decimal("75.00"))]

    async def test_api_call_logs_counts_the_checks_of_a_day(self, db: Connection) -> None:
        found = await fetch(
            db,
            "SELECT service_id, date, total_calls, success_calls, error_calls, avg_response_time, max_response_time, "
            "min_response_time, created_at, updated_at FROM api_call_logs",
        )
        assert found == [("web", MIDNIGHT.date(), 4, 3, 1, 1400, 4000, 100, MIDNIGHT, MIDNIGHT + DAY)]

    async def test_service_days_has_the_sums_of_a_day(self, db: Connection) -> None:
        found = await fetch(
            db,
            "SELECT service_id, day, starts_at, checks, operational, degraded, failed, status, covered_seconds, "
            "degraded_seconds, down_seconds, good, sum_ms, min_ms, max_ms FROM service_days",
        )
        assert found == [("web", MIDNIGHT.date(), MIDNIGHT, 4, 2, 1, 1, "mo", 240, 60, 60, 3, 4201.0, 100.0, 4000.0)]

    async def test_a_second_location_adds_its_checks_and_seconds(self, db: Connection) -> None:
        await record(db, [row(MIDNIGHT + minute * MINUTE, location="seoul") for minute in range(4)])
        found = await fetch(
            db, "SELECT locations, checks, failed, status, covered_seconds, down_seconds FROM service_days"
        )
        assert found == [(2, 8, 1, "mo", 480, 60)]
        assert await fetch(db, "SELECT uptime FROM uptime_records") == [(Decimal("87.50"),)]
        await record(db, [row(MIDNIGHT - DAY)])
        assert await value(db, "SELECT avg(uptime)::text FROM uptime_records") == "93.7500000000000000"


async def test_a_day_of_failures_has_no_response_time(db: Connection) -> None:
    await record(db, [row(MIDNIGHT, "mo")])
    assert await fetch(db, "SELECT response_time, uptime, status FROM uptime_records") == [
        (None, Decimal("0.00"), "mo")
    ]
    assert await fetch(db, "SELECT avg_response_time, max_response_time FROM api_call_logs") == [(None, None)]


CURRENT_VIEWS = frozenset({"service_status"})
"""Views of existing services; all others contain the history."""


async def test_views_keep_the_history_of_a_deleted_service(db: Connection) -> None:
    await record(db, [row(MIDNIGHT), row(MIDNIGHT + MINUTE, "mo"), row(MIDNIGHT + 2 * MINUTE)])
    await db.execute(
        "WITH incident AS ("
        "    INSERT INTO incidents (title, severity, priority) VALUES ('Down', 'high', 'P1') RETURNING id) "
        "INSERT INTO incident_services SELECT id, 'web' FROM incident"
    )
    await db.execute(
        "WITH planned AS ("
        "    INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author) "
        "    VALUES ('Disks', '{web}', %(at)s, %(at)s + interval '1 hour', 'UTC', 'ann') RETURNING id) "
        "INSERT INTO maintenance_occurrences SELECT id, %(at)s, %(at)s + interval '1 hour', '{web}' FROM planned",
        {"at": MIDNIGHT},
    )

    conditions = dict.fromkeys(
        (*COLUMNS, *AGGREGATES, "maintenance_periods", "episodes", "outages"), "service_id = 'web'"
    )
    conditions["incident_history"] = "'web' = ANY (affected_services)"

    async def row_counts() -> dict[str, int]:
        return {
            view: await value(db, f"SELECT count(*) FROM {view} WHERE {condition}")
            for view, condition in conditions.items()
        }

    before = await row_counts()
    assert [view for view, count in before.items() if not count] == []
    await db.execute("DELETE FROM services WHERE id = 'web'")
    assert await row_counts() == before | dict.fromkeys(CURRENT_VIEWS, 0)
    assert await fetch(db, "SELECT DISTINCT endpoint, method FROM api_response_times") == [(None, None)]


async def test_service_status_shows_the_latest_check(db: Connection) -> None:
    await add_services(db, "fresh")
    at = now() - MINUTE
    await record(db, [row(at - MINUTE), row(at, "mo"), row(at, location="seoul"), row(at, location="fra-1")])
    found = await fetch(
        db,
        "SELECT service_id, name, public, enabled, state, checked_at, severity, error_type "
        "FROM service_status ORDER BY 1",
    )
    assert found == [
        ("fresh", "Fresh", True, True, "unknown", None, None, None),
        ("web", "Web", True, True, "degraded", at, "mo", "timeout"),
    ], "of checks at the same time the worst is shown"


async def test_uptime_is_rounded_down(db: Connection) -> None:
    for down, covered, text in (
        (0, 86_400, "100.00"),
        (1, 86_400, "99.99"),
        (1, 100_000_000, "99.99"),
        (0.01, 1000, "99.99"),
        (864, 86_400, "99.00"),
        (1, 3, "66.66"),
        (2, 3, "33.33"),
        (86_399, 86_400, "0.00"),
        (86_400, 86_400, "0.00"),
        (0, 0, "-"),
        (None, None, "-"),
        (0, None, "-"),
    ):
        found = await value(db, "SELECT uptime_percent(%s::numeric, %s::numeric)", (down, covered))
        assert found == text, (down, covered)


async def test_a_bin_contains_its_range_of_times(db: Connection) -> None:
    """Bin b contains times above 1.04^(b-1) and up to 1.04^b milliseconds. Every time has a bin."""
    found = await fetch(
        db,
        "SELECT ms, latency_bin(ms::real) "
        "FROM unnest('{0, 0.0625, 0.5, 1, 1.01, 120.5, 3000, 60000, 1e7}'::float8[]) AS ms",
    )
    for ms, number in found:
        clamped = max(ms, 0.0625)
        assert 1.04 ** (number - 1) < clamped * (1 + 1e-9)
        assert clamped <= 1.04**number * (1 + 1e-9)


async def test_iso_time_has_milliseconds_and_z(db: Connection) -> None:
    at = MIDNIGHT + timedelta(milliseconds=7)
    assert await value(db, "SELECT iso_time(%s)", (at,)) == f"{at:%Y-%m-%dT%H:%M:%S}.007Z"
