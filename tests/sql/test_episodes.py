"""Episodes: the states of each location in contiguous spans with exact bounds, their rebuild, and the ids of
outages."""

from datetime import datetime, timedelta

from psycopg.rows import TupleRow

import sql
from tests.sql.batches import (
    DAY,
    MINUTE,
    Connection,
    add_services,
    fetch,
    now,
    outages,
    record,
    row,
    set_clock,
    state,
    value,
)

EPISODES = (
    "SELECT starts_at, ends_at, state::text, error_type FROM episodes WHERE service_id = 'web' AND location = 'local' "
    "ORDER BY starts_at"
)
OUTAGE_IDS = "SELECT id, started_at, ended_at FROM outages ORDER BY started_at"


async def episodes(db: Connection) -> list[TupleRow]:
    return await fetch(db, EPISODES)


async def are_contiguous(db: Connection) -> bool:
    """Returns whether each episode begins where the previous one ends and the last one is open."""
    return bool(
        await value(
            db,
            """SELECT bool_and(ends_at IS NOT DISTINCT FROM following)
               FROM (SELECT ends_at,
                            lead(starts_at) OVER (PARTITION BY service_id, location ORDER BY starts_at) AS following
                     FROM episodes) AS spans""",
        )
    )


def at_start() -> datetime:
    return now() - 30 * MINUTE


async def test_a_check_is_valid_until_the_next_one_or_the_end_of_its_interval(db: Connection) -> None:
    start = at_start()
    await set_clock(db, start + 6 * MINUTE + timedelta(seconds=1))
    rows = [
        row(start),
        row(start + MINUTE),
        row(start + 3 * MINUTE, "mo"),
        row(start + 4 * MINUTE, "mo"),
        row(start + 5 * MINUTE, "po"),
    ]
    await record(db, rows)
    assert await episodes(db) == [
        (start, start + 2 * MINUTE, "operational", None),
        (start + 2 * MINUTE, start + 3 * MINUTE, "unknown", None),
        (start + 3 * MINUTE, start + 5 * MINUTE, "outage", "timeout"),
        (start + 5 * MINUTE, None, "degraded", None),
    ]
    assert await are_contiguous(db)


async def test_a_check_with_the_same_result_writes_no_episode(db: Connection) -> None:
    """The most frequent case."""
    start = at_start()
    await set_clock(db, start + timedelta(seconds=1))
    await record(db, [row(start)])
    before = await fetch(db, "SELECT xmin, * FROM episodes")
    for minute in range(1, 5):
        await set_clock(db, start + minute * MINUTE + timedelta(seconds=1))
        await record(db, [row(start + minute * MINUTE)])
    assert await fetch(db, "SELECT xmin, * FROM episodes") == before


async def test_rebuild_episodes_restores_a_window(db: Connection) -> None:
    start = at_start()
    rows = [row(start + minute * MINUTE, "mo" if minute in (5, 6, 15) else "o") for minute in range(25) if minute != 10]
    await record(db, rows)
    await fetch(db, "SELECT expire_states()")
    before = await episodes(db), await outages(db), await state(db)
    assert len(before[0]) >= 7

    await db.execute("UPDATE episodes SET state = 'degraded' WHERE state = 'outage'")
    await db.execute("DELETE FROM episodes WHERE state = 'unknown' AND ends_at IS NOT NULL")
    await db.execute("CALL rebuild_episodes('web', %s, %s)", (start, now()))

    assert (await episodes(db), await outages(db), await state(db)) == before
    assert await are_contiguous(db)


class TestOutageIds:
    async def test_an_outage_keeps_its_id_when_late_checks_move_its_bounds(self, db: Connection) -> None:
        start = at_start()
        await record(db, [row(start), row(start + 5 * MINUTE, "mo"), row(start + 9 * MINUTE)])
        [(outage_id, *_)] = await fetch(db, OUTAGE_IDS)
        await record(db, [row(start + 3 * MINUTE, "mo")])
        await record(db, [row(start + 7 * MINUTE)])
        assert await fetch(db, OUTAGE_IDS) == [(outage_id, start + 3 * MINUTE, start + 7 * MINUTE)]

    async def test_merged_outages_keep_the_older_id(self, db: Connection) -> None:
        start = at_start()
        two = [
            row(start + 2 * MINUTE, "mo"),
            row(start + 3 * MINUTE),
            row(start + 6 * MINUTE, "mo"),
            row(start + 8 * MINUTE),
        ]
        await record(db, two)
        (first, *_), (second, *_) = await fetch(db, OUTAGE_IDS)
        assert first < second
        # Two more locations with failed checks all the time outvote the successful check in between.
        for place in ("seoul", "fra-1"):
            await record(db, [row(start + minute * MINUTE, "mo", location=place) for minute in range(2, 8)])
        found = await fetch(db, OUTAGE_IDS)
        assert [one[0] for one in found] == [first]
        assert found[0][1] == start + 2 * MINUTE

    async def test_the_first_part_of_a_split_outage_keeps_the_id(self, db: Connection) -> None:
        start = at_start()
        await record(db, [row(start + minute * MINUTE, "mo") for minute in (0, 1, 3, 4)] + [row(start + 5 * MINUTE)])
        [(outage_id, *_)] = await fetch(db, OUTAGE_IDS)
        await record(db, [row(start + 2 * MINUTE)])
        found = await fetch(db, OUTAGE_IDS)
        assert [(one[1], one[2]) for one in found] == [
            (start, start + 2 * MINUTE),
            (start + 3 * MINUTE, start + 5 * MINUTE),
        ]
        assert found[0][0] == outage_id
        assert found[1][0] > outage_id


class TestPauses:
    """A pause or a deletion ends an outage at that time; a gap does not."""

    async def test_a_pause_makes_a_service_unknown_and_ends_its_outage(self, db: Connection) -> None:
        start = at_start()
        await set_clock(db, start + 10 * timedelta(seconds=1))
        await record(db, [row(start, "mo")])
        paused = start + timedelta(seconds=30)
        await set_clock(db, paused)
        await db.execute("UPDATE services SET enabled = false WHERE id = 'web'")
        assert await outages(db) == [(start, paused)]
        assert await state(db) == ("unknown", paused)
        assert await episodes(db) == [(start, paused, "outage", "timeout"), (paused, None, "unknown", None)]

        back = start + 20 * MINUTE
        await set_clock(db, back)
        await db.execute("UPDATE services SET enabled = true WHERE id = 'web'")
        await set_clock(db, back + timedelta(seconds=2))
        await record(db, [row(back, "mo")])
        assert await outages(db) == [(start, paused), (back, None)]
        assert await state(db) == ("outage", back)
        assert await are_contiguous(db)

    async def test_a_deleted_service_that_is_added_again_has_its_history(self, db: Connection) -> None:
        start = at_start()
        await record(db, [row(start + minute * MINUTE, "mo" if minute < 3 else "o") for minute in range(5)])
        before = await fetch(db, "SELECT day, checks, failed, status FROM service_days")
        gone = start + 5 * MINUTE
        await set_clock(db, gone)
        await db.execute("DELETE FROM services WHERE id = 'web'")
        assert await fetch(db, "SELECT day, checks, failed, status FROM service_days") == before, (
            "the view keeps the history"
        )
        assert await value(db, "SELECT count(*) FROM service_status") == 0

        await set_clock(db, start + 15 * MINUTE)
        await add_services(db, "web")
        assert await fetch(db, "SELECT day, checks, failed, status FROM service_days") == before
        await set_clock(db, start + 16 * MINUTE + timedelta(seconds=1))
        await record(db, [row(start + 16 * MINUTE)])
        assert (await state(db))[0] == "operational"
        assert await outages(db) == [(start, start + 3 * MINUTE)]
        assert await are_contiguous(db)


async def test_announced_maintenance_does_not_change_uptime(db: Connection) -> None:
    """A failed check is downtime during maintenance as well."""
    midday = (now() - 2 * DAY).replace(hour=12, minute=0, second=0)
    await db.execute(
        """WITH planned AS (
               INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author)
               VALUES ('Move', '{web}', %s, %s, 'UTC', 'tests') RETURNING id, starts_at, ends_at
           )
           INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids)
           SELECT id, starts_at, ends_at, '{web}' FROM planned""",
        (midday, midday + DAY / 4),
    )
    await record(db, [row(midday + minute * MINUTE, "mo" if minute < 5 else "o") for minute in range(20)])
    assert await value(db, "SELECT uptime::text FROM uptime_records") == "75.00"


async def test_all_systems_weigh_each_service_by_its_monitored_time(db: Connection) -> None:
    await add_services(db, "mail")
    midday = (now() - 2 * DAY).replace(hour=12, minute=0, second=0)
    await record(db, [row(midday + minute * MINUTE) for minute in range(30)])
    await record(db, [row(midday + minute * MINUTE, "mo", service="mail") for minute in range(10)])
    cursor = await db.execute(sql.query("uptime/period"), {"days": 7, "service_id": None})
    [(_, uptime)] = await cursor.fetchall()
    assert uptime == "75.00", "30 of 40 monitored minutes, not the mean of 100 and 0"
