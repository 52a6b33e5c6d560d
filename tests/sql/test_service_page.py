"""The queries of the page of a service, with the row types that the page reads."""

from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pytest
from psycopg.rows import class_row

import sql
from sla_monitor.settings import Settings
from sql.aggregates import refresh
from sql.migrate import migrate
from tests.sql.batches import DAY, MINUTE, Connection, Row, add_services, now, quarter, record, row

pytestmark = pytest.mark.one_quarter

RowType = TypeVar("RowType")
HOUR = timedelta(hours=1)


class Page(msgspec.Struct):
    id: str
    name: str
    description: str | None
    group: str | None
    state: str
    since: datetime
    checked_at: datetime | None
    interval_seconds: int
    certificate_expires_at: datetime | None
    certificate_issuer: str | None
    public: bool
    enabled: bool


class Uptime(msgspec.Struct):
    days: int
    starts_at: datetime
    uptime: str
    coverage: float
    downtime_seconds: int
    first_at: datetime | None


class Outage(msgspec.Struct):
    started_at: datetime
    ended_at: datetime | None
    duration_seconds: int
    error_type: str | None
    error_message: str | None


class LatestCheck(msgspec.Struct):
    scheduled_at: datetime
    location: str
    severity: str
    status_code: int | None
    total_ms: float | None
    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    attempts: int
    error_type: str | None
    error_message: str | None


async def query(db: Connection, name: str, row_type: type[RowType], **values: Any) -> list[RowType]:
    """Runs the query like sql.database.rows(): the columns must be exactly the fields of the row type."""
    async with db.cursor(row_factory=class_row(row_type)) as cursor:
        await cursor.execute(sql.query(name), {"service_id": "web", **values})
        return await cursor.fetchall()


async def uptimes(db: Connection, service: str = "web") -> dict[int, Uptime]:
    found = await query(db, "service_page/uptimes", Uptime, service_id=service)
    return {one.days: one for one in found}


def every_quarter(start: datetime, end: datetime, severity: str = "o", **changes: Any) -> list[Row]:
    """Returns one check per quarter of an hour."""
    quarters = int((end - start) / (15 * MINUTE))
    return [row(start + n * 15 * MINUTE, severity, interval_seconds=900, **changes) for n in range(quarters)]


class TestUptimes:
    async def test_without_checks_there_is_no_uptime(self, db: Connection) -> None:
        found = await uptimes(db)
        assert list(found) == [1, 7, 30, 90, 365]
        assert {(one.uptime, one.coverage, one.downtime_seconds, one.first_at) for one in found.values()} == {
            ("-", 0.0, 0, None)
        }

    async def test_the_last_24_hours_are_a_rolling_window(self, db: Connection) -> None:
        edge = quarter(now())
        await record(
            db,
            [
                *every_quarter(edge - 48 * HOUR, edge - 25 * HOUR, "mo"),
                *every_quarter(edge - 24 * HOUR, edge - 21 * HOUR, "mo"),
                *every_quarter(edge - 21 * HOUR, edge),
            ],
        )
        day = (await uptimes(db))[1]
        assert day.starts_at == edge - 24 * HOUR
        assert (day.uptime, day.downtime_seconds, day.first_at) == ("87.50", 3 * 3600, edge - 24 * HOUR)
        assert day.coverage == pytest.approx(24 * HOUR / (now() - day.starts_at), abs=0.001)

    @pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Australia/Lord_Howe"])
    async def test_the_longer_windows_are_local_days(self, db: Connection, database: str, zone: str) -> None:
        """The uptime of 90 days is that of the status page."""
        await migrate(database, Settings(time_zone=zone))
        ends_of_windows = (*range(9), 28, 29, 30, 31, 88, 89, 90, 91, 363, 364, 365, 366)
        hours = [now() - days * DAY - n * 3 * HOUR for days in ends_of_windows for n in range(8)]
        rows = [row(at, "mo" if n % 9 == 0 else "o", interval_seconds=1800) for n, at in enumerate(hours)]
        await record(db, rows)
        assert await refresh(db)
        found = await uptimes(db)

        for days, window in found.items():
            if days > 1:
                inside = [one for one in rows if one.scheduled_at and one.scheduled_at >= window.starts_at]
                down = sum(one.severity == "mo" for one in inside)
                assert window.downtime_seconds == down * 1800, days
                assert window.uptime == f"{10000 * (len(inside) - down) // len(inside) / 100:.2f}", days
                elapsed = (now() - window.starts_at).total_seconds()
                assert window.coverage == pytest.approx(len(inside) * 1800 / elapsed, abs=0.001), days
                first = min(one.scheduled_at for one in inside if one.scheduled_at)
                assert window.first_at and first - DAY < window.first_at <= first, days
        async with db.cursor() as cursor:
            await cursor.execute(sql.query("status/system_status"))
            names = [column.name for column in cursor.description or ()]
            status = dict(zip(names, (await cursor.fetchall())[0], strict=True))
        assert found[90].uptime == status["uptime"]

    async def test_downtime_is_the_mean_of_the_locations_and_coverage_the_highest(self, db: Connection) -> None:
        edge = quarter(now())
        await record(
            db,
            [
                *every_quarter(edge - 6 * HOUR, edge, "mo"),
                *every_quarter(edge - 6 * HOUR, edge, location="seoul"),
                *every_quarter(edge - 3 * HOUR, edge, location="fra-1"),
            ],
        )
        day = (await uptimes(db))[1]
        assert day.uptime == "60.00"
        assert day.downtime_seconds == 3 * 1800 + 3 * 1200, "half of three hours, and a third of three hours"
        assert day.coverage == pytest.approx(6 * HOUR / (now() - day.starts_at), abs=0.001)

    async def test_checks_of_another_service_do_not_count(self, db: Connection) -> None:
        await add_services(db, "mail")
        await record(db, [row(now() - MINUTE, "mo", service="mail")])
        assert (await uptimes(db))[7].uptime == "-"
        assert (await uptimes(db, "mail"))[7].uptime == "0.00"


class TestOutages:
    async def test_outages_are_listed_newest_first_in_pages(self, db: Connection) -> None:
        start = now() - 3 * HOUR
        for outage in range(5):
            at = start + outage * 30 * MINUTE
            await record(db, [row(at, "mo"), row(at + MINUTE, "mo"), row(at + 3 * MINUTE)])
        await record(db, [row(now() - 2 * MINUTE, "mo", error_type="http_error", error_message="503")])

        first = await query(db, "service_page/outages", Outage, limit=2, offset=0)
        assert first[0].ended_at is None
        assert first[0].duration_seconds == pytest.approx(120, abs=5), "up to the current time"
        assert (first[0].error_type, first[0].error_message) == ("http_error", "503")
        assert first[1] == Outage(
            *(start + 2 * HOUR, start + 2 * HOUR + 3 * MINUTE, 180, "timeout", "timed out after 7000 ms")
        )
        rest = await query(db, "service_page/outages", Outage, limit=10, offset=2)
        assert [one.started_at for one in rest] == [start + n * 30 * MINUTE for n in (3, 2, 1, 0)]

        cursor = await db.execute(sql.query("service_page/outage_count"), {"service_id": "web"})
        assert await cursor.fetchall() == [(6,)]

    async def test_without_outages_the_list_is_empty(self, db: Connection) -> None:
        assert await query(db, "service_page/outages", Outage, limit=10, offset=0) == []
        cursor = await db.execute(sql.query("service_page/outage_count"), {"service_id": "web"})
        assert await cursor.fetchall() == [(0,)]


class TestLatestChecks:
    async def test_the_newest_checks_of_all_locations_are_listed(self, db: Connection) -> None:
        await add_services(db, "mail")
        at = now() - MINUTE
        await record(db, [row(at - n * MINUTE, tls_ms=4.0) for n in range(60)])
        await record(db, [row(at - n * 10 * MINUTE, "mo", location="seoul", attempts=3) for n in range(20)])
        await record(db, [row(at, service="mail"), row(at - 8 * DAY, location="fra-1")])

        found = await query(db, "service_page/latest_checks", LatestCheck, limit=50)

        assert len(found) == 50
        assert [(one.scheduled_at, one.location) for one in found[:3]] == [
            (at, "local"),
            (at, "seoul"),
            (at - MINUTE, "local"),
        ]
        assert [one.location for one in found].count("seoul") == 5
        assert found[0] == LatestCheck(at, "local", "o", 200, 120.5, 1.0, 2.0, 4.0, 100.0, 1, None, None)
        assert found[1] == LatestCheck(
            *(at, "seoul", "mo", None, None, 1.0, 2.0, None, 100.0, 3, "timeout", "timed out after 7000 ms")
        )

    async def test_checks_older_than_a_week_are_not_listed(self, db: Connection) -> None:
        at = now()
        await record(db, [row(at - 6 * DAY), row(at - 8 * DAY)])
        found = await query(db, "service_page/latest_checks", LatestCheck, limit=50)
        assert [one.scheduled_at for one in found] == [at - 6 * DAY]


class TestPage:
    async def test_a_service_with_checks_has_state_and_certificate(self, db: Connection) -> None:
        await db.execute("UPDATE services SET description = 'All of it', group_name = 'Front', interval_seconds = 30")
        at, expires_at = now() - MINUTE, now() + 40 * DAY
        await record(db, [row(at, certificate_expires_at=expires_at, certificate_issuer="Acme")])
        assert await query(db, "service_page/page", Page) == [
            Page("web", "Web", "All of it", "Front", "operational", at, at, 30, expires_at, "Acme", True, True)
        ]

    async def test_a_new_service_is_unknown(self, db: Connection) -> None:
        await add_services(db, "fresh", public=False)
        [page] = await query(db, "service_page/page", Page, service_id="fresh")
        assert (page.state, page.checked_at, page.certificate_expires_at, page.public) == ("unknown", None, None, False)

    async def test_a_missing_service_has_no_row(self, db: Connection) -> None:
        assert await query(db, "service_page/page", Page, service_id="missing") == []
