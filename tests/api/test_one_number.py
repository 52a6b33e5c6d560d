"""One number everywhere: all surfaces show the uptime and the days of SLA accounting, before and after each change."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest

from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.api.conftest import Api, add_service
from tests.api.surfaces import (
    CODES,
    NOON,
    TODAY,
    UPTIMES,
    Codes,
    Db,
    codes_of_accounting,
    codes_of_calendar,
    sla_levels,
)
from tests.api.test_sla_figures import add_policy
from tests.pauses import pauses
from tests.sql.batches import Row, add_locations, fetch, record, row, set_clock, value
from tests.worker.working import Working, working

pytestmark = pytest.mark.engines("timescaledb", "postgresql")

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
FIRST = TODAY - 3 * DAY
MAINTENANCE = TODAY - 2 * DAY + timedelta(hours=10)
WINDOW = "00000000-0000-0000-0000-000000000001"
PATIENCE_S = 120.0


async def uptimes_of_days(api: Api, db: Db) -> None:
    """The uptimes of single days agree too, and no day that is not perfect shows 100.00."""
    [month] = (await api.get("/api/uptime/shop?months=1&startDate=2026-11-01"))["months"]
    days = {day["date"]: day["uptime"] for day in month["details"][-4:]}
    found = await fetch(db, "SELECT date::text, uptime::text FROM uptime_records ORDER BY date")
    assert dict(found) == days
    computed = await fetch(
        db,
        "SELECT day::text, uptime_percent(spent_seconds, up_seconds + degraded_seconds + down_seconds) "
        "FROM sla_computed_days('{shop}', '2026-11-01', '2026-11-30')",
    )
    assert dict(computed) == days
    assert all(
        (uptime == "100.00") == (code == "o")
        for uptime, code in zip(days.values(), await codes_of_calendar(api, db), strict=True)
    )


def checks(severity: Callable[[str, datetime], str | None]) -> list[Row]:
    """Checks of two locations every ten minutes until noon. None: no check."""
    found = []
    for location in ("local", "seoul"):
        at = FIRST
        while at < NOON:
            code = severity(location, at)
            if code is not None:
                found.append(row(at, code, service="shop", location=location, interval_seconds=600))
            at += 10 * MINUTE
    return found


def severity(location: str, at: datetime) -> str | None:
    hour, day = (at - FIRST) // timedelta(hours=1) % 24, (at - FIRST) // DAY
    if day == 0 and hour == 9:
        return "mo"  # an outage, of which half an hour is corrected
    if day == 1 and hour == 10 and at.minute < 30:
        return "mo"  # in maintenance that was not announced in time
    if day == 1 and hour == 15:
        return None  # a gap
    if day == 2 and hour == 7:
        return "po"  # degraded, which counts half
    if day == 3 and hour == 8 and location == "local":
        return "mo"  # the locations disagree
    return "o"


async def correct(db: Db, start: datetime, end: datetime, effect: str) -> None:
    await db.execute(
        """
        WITH correction AS (
            INSERT INTO sla_corrections
                (scope, subject, effect, category, reason, starts_at, ends_at, time_zone, author)
            VALUES ('service', 'shop', %(effect)s, 'other', 'Agreed', %(start)s, %(end)s, 'UTC', 'ann')
            RETURNING id
        )
        INSERT INTO sla_correction_spans SELECT id, tstzrange(%(start)s, %(end)s) FROM correction
        """,
        {"effect": effect, "start": start, "end": end},
    )


@pytest.fixture
async def watched(api: Api, db: Db, database: str) -> AsyncIterator[Working]:
    """A service with trouble on each of four days, at noon of the last one, and a worker."""
    await set_clock(db, FIRST)
    await add_service(db, "shop", name="Shop")
    await db.execute("DELETE FROM service_pauses")
    await add_locations(db, "local", "seoul")
    await add_policy(db, degraded_weight=0.5, announced_minutes=60)
    await set_clock(db, MAINTENANCE)
    await db.execute(
        "INSERT INTO maintenance_windows (id, title, affected_services, starts_at, ends_at, time_zone, author) "
        "VALUES (%s, 'Upgrade', '{shop}', %s, %s, 'UTC', 'ann')",
        [WINDOW, MAINTENANCE, MAINTENANCE + 30 * MINUTE],
    )
    await db.execute(
        "INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids) "
        "VALUES (%s, %s, %s, '{shop}')",
        [WINDOW, MAINTENANCE, MAINTENANCE + 30 * MINUTE],
    )
    rows = sorted(checks(severity), key=lambda one: (one.scheduled_at, one.location))
    for number in range(4):
        await set_clock(db, min(FIRST + (number + 1) * DAY - MINUTE, NOON))
        low, high = FIRST + number * DAY, FIRST + (number + 1) * DAY
        await record(db, [one for one in rows if one.scheduled_at is not None and low <= one.scheduled_at < high])
        async with working(database, "accounting") as worker:  # it announces each day while that is today
            await worker.wait_for_next_round("accounting")
    await correct(db, FIRST + timedelta(hours=9), FIRST + timedelta(hours=9, minutes=30), "up")
    async with working(database, "accounting", "aggregates") as worker:
        await worker.wait_for_next_round("aggregates")
        yield worker


async def shown(api: Api, db: Db) -> Mapping[str, Any]:
    """What each surface shows."""
    uptimes = {surface.__name__: await surface(api, db) for surface in UPTIMES}
    return uptimes | {surface.__name__: await surface(api, db) for surface in CODES}


async def agreed(api: Api, db: Db) -> tuple[str, Codes]:
    """The uptime and the codes that all surfaces show, once their cached responses and the feed have followed."""
    uptime, codes = await sla_levels(api, db), await codes_of_accounting(api, db)
    found: Mapping[str, Any] = {}
    with anyio.move_on_after(PATIENCE_S):
        for pause_s in pauses():
            found = await shown(api, db)
            if all(one in (uptime, codes) for one in found.values()):
                await uptimes_of_days(api, db)
                return uptime, codes
            await anyio.sleep(pause_s)
    raise AssertionError(f"not {uptime} and {codes} everywhere: {found}")


async def test_all_surfaces_show_the_same_number_after_each_change(api: Api, db: Db, watched: Working) -> None:
    before = await agreed(api, db)
    # Of 83 known hours two are lost: twice 30 minutes down, and two degraded hours, which count half.
    assert before == ("97.59", ["mo", "mo", "po", "po"])

    late = [
        row(TODAY - DAY + timedelta(hours=18), "mo", service="shop", location=location, interval_seconds=600)
        for location in ("local", "seoul")
    ]
    late = [one._replace(scheduled_at=one.scheduled_at + MINUTE) for one in late if one.scheduled_at is not None]
    await record(db, late)
    with_late = await agreed(api, db)
    assert with_late != before and with_late[1] == ["mo", "mo", "mo", "po"]

    await correct(db, TODAY - DAY + timedelta(hours=17), TODAY - DAY + timedelta(hours=19), "up")
    corrected = await agreed(api, db)
    assert corrected != with_late and corrected[1] == ["mo", "mo", "po", "po"]

    await db.execute(
        "UPDATE sla_corrections SET withdrawn_at = present(), withdrawn_by = 'ann' WHERE starts_at > %s", [TODAY - DAY]
    )
    assert await agreed(api, db) == with_late

    await db.execute("UPDATE maintenance_announcements SET announced_at = %s", [MAINTENANCE - DAY])
    announced = await agreed(api, db)
    assert announced != with_late and announced[1] == ["mo", "o", "mo", "po"]

    await db.execute(
        "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author, quorum) "
        "SELECT policy_id, 2, %s, 'Strict', 99.9, 'UTC', 'ann', 'one' FROM sla_policy_versions",
        [TODAY.date()],
    )
    strict = await agreed(api, db)
    assert strict != announced and strict[1] == ["mo", "o", "mo", "mo"]


async def test_retention_and_compression_change_no_figure(api: Api, db: Db, database: str, watched: Working) -> None:
    before = await agreed(api, db)
    days = await fetch(db, "SELECT * FROM sla_computed_days('{shop}', '2026-11-01', '2026-11-30') ORDER BY day")
    retained = Settings(retention=timedelta(days=30), compress_after=DAY)
    await migrate(database, retained)
    await set_clock(db, NOON + 100 * DAY)
    for job in await fetch(db, "SELECT to_regclass('timescaledb_information.jobs') IS NOT NULL"):
        if job[0]:
            [[number]] = await fetch(
                db,
                "SELECT job_id FROM timescaledb_information.jobs "
                "WHERE proc_name = 'policy_compression' AND hypertable_name = 'checks'",
            )
            await db.execute(f"CALL run_job({number})".encode())
            assert await value(db, "SELECT bool_or(is_compressed) FROM timescaledb_information.chunks")
    await watched.wait_for_next_round("aggregates")
    async with working(database, "partitions") as worker:
        await worker.wait_for_next_round("partitions")
    assert await value(db, "SELECT count(*) FROM checks") == 0
    assert (
        await fetch(db, "SELECT * FROM sla_computed_days('{shop}', '2026-11-01', '2026-11-14') ORDER BY day")
        == days[:-1]
    )
    await set_clock(db, NOON)
    await db.execute("SELECT pg_notify('sla_monitor', 'public-services')")
    assert await agreed(api, db) == before
    assert await fetch(db, "SELECT * FROM sla_computed_days('{shop}', '2026-11-01', '2026-11-30') ORDER BY day") == days
