"""Programs that change latest_checks without the recording lock, while a batch is recorded."""

import anyio

from tests.sql.batches import DAY, MINUTE, Connection, connected, fetch, now, record, row, set_clock, until_true

NOON = now().replace(hour=12, minute=0, second=0) - 2 * DAY
WAITING = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_a_row_that_is_changed_meanwhile_is_renewed(db: Connection, database: str) -> None:
    at = NOON - 2 * MINUTE
    await set_clock(db, NOON)
    await record(db, [row(at, location=location) for location in ("local", "seoul")])
    batch = [row(at + MINUTE, "mo", location="local"), row(at + MINUTE, location="seoul")]
    recorded: list[tuple[int, int, int]] = []

    async with connected(database) as other, connected(database) as watching, anyio.create_task_group() as group:

        async def record_in_the_other() -> None:
            recorded.append(await record(other, batch))

        async with db.transaction():
            await db.execute("UPDATE latest_checks SET expired = true WHERE location = 'local'")
            group.start_soon(record_in_the_other)
            await until_true(watching, WAITING)
    assert recorded == [(2, 0, 0)]
    assert await fetch(
        db,
        "SELECT location, scheduled_at, severity::text, day_worst::text, day_covered_seconds, day_down_seconds, "
        "expired FROM latest_checks ORDER BY 1",
    ) == [
        ("local", at + MINUTE, "mo", "mo", 120, 60, False),
        ("seoul", at + MINUTE, "o", "o", 120, 0, False),
    ]
