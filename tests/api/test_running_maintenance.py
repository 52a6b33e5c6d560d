"""Maintenance windows that run: the states of services, and changes that keep the past."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.api.conftest import Api, Check, add_service, create_user, now, record, until
from tests.api.windows import DAY, HOUR, body, create_window, iso
from tests.worker.working import working

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def states(api: Api) -> dict[str, str]:
    return {one["id"]: one["status"] for one in (await api.get("/api/system-status"))["services"]}


@pytest.fixture
async def maintenance_duty(database: str) -> AsyncIterator[None]:
    async with working(database, "maintenance"):
        yield


@pytest.mark.engines("timescaledb", "postgresql")
async def test_a_service_is_under_maintenance_while_a_window_runs(api: Api, db: Db, maintenance_duty: None) -> None:
    for service in ("shop", "pay", "off"):
        await add_service(db, service, enabled=service != "off")
    await record(db, [Check("shop", now(), ms=None), Check("pay", now())])
    reporter = await create_user(db, "reporter")
    assert (await api.get("/api/system-status"))["overallStatus"] == "outage"
    planned = body(now() - timedelta(seconds=5), affectedServices=["shop", "off"])
    created = await create_window(api, reporter, planned)
    assert created["status"] == "running"

    async def runs() -> bool:
        return (await states(api))["shop"] == "maintenance"

    await until(runs)
    status = await api.get("/api/system-status")
    assert status["overallStatus"] == "operational"
    assert await states(api) == {"shop": "maintenance", "pay": "operational", "off": "unknown"}
    assert [one["id"] for one in status["maintenance"]] == [created["id"]]

    # Ended early: the checks decide the state again, and the window remains readable.
    path = f"/api/maintenance/{created['id']}"
    response = await api.http.put(path, json={"endsAt": iso(now())}, headers=reporter.headers)
    assert response.json()["maintenance"]["status"] == "over", response.text

    async def over() -> bool:
        return (await states(api))["shop"] == "outage"

    await until(over)
    cursor = await db.execute(
        "SELECT data ->> 'status' FROM events "
        "WHERE event = 'status-update' AND data ->> 'serviceId' = 'shop' ORDER BY seq"
    )
    assert [state for (state,) in await cursor.fetchall()] == ["outage", "maintenance", "outage"]


async def test_changes_of_a_window_keep_its_past(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await add_service(db, "pay")
    reporter = await create_user(db, "reporter")
    begun = datetime.now(UTC).replace(microsecond=0) - HOUR
    created = await create_window(api, reporter, body(begun, timedelta(hours=3), rrule="FREQ=DAILY"))
    # Makes the window look as if it had been created before it began and had also run yesterday.
    await db.execute("UPDATE maintenance_occurrences SET starts_at = %s WHERE starts_at <= now()", [begun])
    await db.execute(
        "INSERT INTO maintenance_occurrences "
        "SELECT window_id, starts_at - interval '1 day', ends_at - interval '1 day', service_ids "
        "FROM maintenance_occurrences WHERE starts_at = %s",
        [begun],
    )

    async def periods(service: str) -> list[tuple[timedelta, timedelta]]:
        cursor = await db.execute(
            "SELECT starts_at, ends_at FROM maintenance_periods WHERE service_id = %s AND starts_at < now() ORDER BY 1",
            [service],
        )
        return [(starts - begun, ends - begun) for starts, ends in await cursor.fetchall()]

    yesterday, today = (-DAY, -DAY + 3 * HOUR), (timedelta(), 3 * HOUR)
    assert await periods("shop") == [yesterday, today]
    path = f"/api/maintenance/{created['id']}"

    # The same schedule changes nothing. A longer one extends the running occurrence and not the past one.
    for length in (3, 4):
        change = {"startsAt": iso(begun), "endsAt": iso(begun + length * HOUR), "rrule": "FREQ=DAILY"}
        assert (await api.http.put(path, json=change, headers=reporter.headers)).status_code == 200
        assert await periods("shop") == [yesterday, (timedelta(), length * HOUR)]

    # A change of the services applies from now on.
    await api.http.put(path, json={"affectedServices": ["pay"]}, headers=reporter.headers)
    [_, (start, end)], [(start_of_rest, end_of_rest)] = await periods("shop"), await periods("pay")
    assert (start, end_of_rest) == (timedelta(), 4 * HOUR)
    assert end == start_of_rest
    assert timedelta() < end - HOUR < timedelta(minutes=1)

    assert (await api.http.delete(path, headers=reporter.headers)).status_code == 204
    assert (await api.http.get(path, headers=reporter.headers)).status_code == 404
    assert await periods("shop") == [yesterday, (start, end)]
    [(_, end_of_rest)] = await periods("pay")
    assert end_of_rest < 2 * HOUR
    future = await db.execute("SELECT FROM maintenance_occurrences WHERE ends_at > now()")
    assert await future.fetchall() == []
