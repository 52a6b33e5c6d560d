"""Rate limits: counted in the database, and exact under concurrency."""

from collections import Counter
from datetime import timedelta
from typing import Any

import anyio
import psycopg
import pytest

import sql
from api.edge.limits import Limits
from api.rest.errors import ApiError
from sla_monitor.settings.values import Limit

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
THREE = Limit(3, timedelta(minutes=15))


async def rewind(db: Db, by: str) -> None:
    """Makes all windows begin and end earlier by this time."""
    await db.execute("UPDATE rate_limits SET resets_at = resets_at - %s::interval", [by])


async def refusal(limits: Limits, client: str = "a", limit: Limit = THREE) -> ApiError:
    with pytest.raises(ApiError) as raised:
        await limits.take("login", client, limit)
    assert raised.value.status == 429
    return raised.value


async def test_a_window_begins_with_the_first_request(database: str, db: Db) -> None:
    async with sql.open_pool(database, application="test") as pool:
        limits = Limits(pool)
        responses = [await limits.take("login", "a", THREE) for _ in range(3)]
        assert [headers["RateLimit-Remaining"] for headers in responses] == ["2", "1", "0"]
        assert {headers["RateLimit-Limit"] for headers in responses} == {"3"}
        assert 870 <= int(responses[-1]["RateLimit-Reset"]) <= 900
        await rewind(db, "14 minutes")
        refused = await refusal(limits)
        assert 30 <= int(refused.headers["Retry-After"]) == int(refused.headers["RateLimit-Reset"]) <= 60
        assert refused.headers["RateLimit-Remaining"] == "0"
        await rewind(db, "1 minute")
        assert (await limits.take("login", "a", THREE))["RateLimit-Remaining"] == "2"


async def test_refused_requests_do_not_extend_the_window(database: str, db: Db) -> None:
    async with sql.open_pool(database, application="test") as pool:
        limits = Limits(pool)
        one = Limit(1, timedelta(minutes=1))
        await limits.take("login", "a", one)
        before = await (await db.execute("SELECT ctid, count, resets_at FROM rate_limits")).fetchall()
        for _ in range(20):
            await refusal(limits, limit=one)
        assert await (await db.execute("SELECT ctid, count, resets_at FROM rate_limits")).fetchall() == before


async def test_each_name_and_client_has_its_own_count(database: str) -> None:
    async with sql.open_pool(database, application="test") as pool:
        limits = Limits(pool)
        one = Limit(1, timedelta(minutes=1))
        for name, client in (("login", "a"), ("login", "b"), ("api", "a")):
            await limits.take(name, client, one)
        await refusal(limits, limit=one)


async def test_give_back_undoes_take(database: str) -> None:
    async with sql.open_pool(database, application="test") as pool:
        limits = Limits(pool)
        for _ in range(5):
            await limits.take("login", "a", THREE)
            await limits.give_back("login", "a")
        await limits.give_back("login", "a")  # gives back more than was taken, which does not raise the limit
        for _ in range(3):
            await limits.take("login", "a", THREE)
        await refusal(limits)
        await limits.give_back("login", "unknown")


async def test_concurrent_requests_are_counted_exactly(database: str) -> None:
    outcomes: Counter[bool] = Counter()
    limit = Limit(20, timedelta(minutes=1))

    async def take(limits: Limits) -> None:
        try:
            await limits.take("api", "a", limit)
        except ApiError:
            outcomes[False] += 1
        else:
            outcomes[True] += 1

    async with (
        sql.open_pool(database, application="one process") as one,
        sql.open_pool(database, application="another") as other,
        anyio.create_task_group() as tasks,
    ):
        for limits in (Limits(one), Limits(other)):
            for _ in range(40):
                tasks.start_soon(take, limits)
    assert outcomes == {True: 20, False: 60}


async def test_the_largest_limit_can_be_counted(database: str, db: Db) -> None:
    async with sql.open_pool(database, application="test") as pool:
        limits = Limits(pool)
        largest = Limit(1_000_000_000, timedelta(days=1))
        await limits.take("api", "a", largest)
        await db.execute("UPDATE rate_limits SET count = 1000000000")
        await refusal_of(limits, largest)
        await db.execute("UPDATE rate_limits SET count = 2147483647")
        await refusal_of(limits, largest)


async def refusal_of(limits: Limits, limit: Limit) -> None:
    with pytest.raises(ApiError):
        await limits.take("api", "a", limit)


async def test_expired_windows_are_deleted(database: str, db: Db) -> None:
    async with sql.open_pool(database, application="test") as pool:
        limits = Limits(pool)
        await db.execute(
            "INSERT INTO rate_limits "
            "SELECT 'api', 'other ' || n, 1, now() - interval '1 s' FROM generate_series(1, 25) AS n"
        )
        for number in range(3):
            await limits.take("api", f"client {number}", THREE)
        row = await (await db.execute("SELECT count(*) FROM rate_limits")).fetchone()
        assert row == (3,)
