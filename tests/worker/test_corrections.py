"""Occurrences of corrections with endless rules are stored when they begin; one that fails does not stop others."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

import sql
from tests.sql.batches import Connection, connected, fetch
from worker.corrections import POSTPONED, extend_corrections

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)


async def due_correction(db: Connection, reason: str, **columns: str) -> None:
    """Inserts a daily correction of ten days ago, of which no occurrence is stored."""
    values = {"starts_at": (NOON - 10 * DAY).isoformat(), "rrule": "FREQ=DAILY", "time_zone": "UTC"} | columns
    await db.execute(
        "INSERT INTO sla_corrections (scope, effect, category, reason, starts_at, ends_at, rrule, time_zone, author, "
        "due_at) VALUES ('everything', 'up', 'other', %(reason)s, %(starts_at)s, "
        "%(starts_at)s::timestamptz + interval '1 hour', %(rrule)s, %(time_zone)s, 'kim', %(starts_at)s)",
        values | {"reason": reason},
    )


async def stored(db: Connection) -> dict[str, int]:
    """The number of stored occurrences by the reason of the correction."""
    found = await fetch(
        db,
        "SELECT reason, count(*) FROM sla_correction_spans JOIN sla_corrections ON id = correction_id GROUP BY reason",
    )
    return dict(found)


async def test_one_of_several_workers_stores_what_has_begun(database: str) -> None:
    async with (
        connected(database) as db,
        sql.open_pool(database, application="one") as one,
        sql.open_pool(database, application="two") as two,
    ):
        await due_correction(db, "daily")
        await due_correction(db, "weekly", rrule="FREQ=WEEKLY")
        extended: list[int] = []

        async def extend(pool: sql.Pool, now: datetime) -> None:
            extended.append(await extend_corrections(pool, now))

        for now, counts in ((NOON, {"daily": 10, "weekly": 2}), (NOON + DAY / 2, {"daily": 11, "weekly": 2})):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(extend, one, now)
                tasks.start_soon(extend, two, now)
            assert await stored(db) == counts
        assert sum(extended) == 3
        due = await fetch(db, "SELECT reason, due_at FROM sla_corrections ORDER BY reason")
        assert due == [("daily", NOON + DAY), ("weekly", NOON + 4 * DAY)]


@pytest.mark.parametrize(
    "invalid",
    [{"time_zone": "Mars/Olympus"}, {"rrule": "FREQ=SOMETIMES"}, {"starts_at": "0001-01-01 00:00+00 BC"}],
)
async def test_an_invalid_correction_is_logged_and_postponed(
    database: str, invalid: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(database) as db:
        await due_correction(db, "invalid", **invalid)
        await due_correction(db, "good")
        async with sql.open_pool(database, application="extending") as pool:
            assert await extend_corrections(pool, NOON) == 1
            assert await extend_corrections(pool, NOON) == 0
        assert await stored(db) == {"good": 10}
        assert caplog.text.count("cannot be extended") == 1
        assert await fetch(db, "SELECT due_at FROM sla_corrections WHERE reason = 'invalid'") == [(NOON + POSTPONED,)]
