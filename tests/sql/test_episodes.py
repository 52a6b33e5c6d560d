"""Episodes: what each location saw, in contiguous spans with exact bounds; rebuilt for any window; outages with ids."""

from datetime import datetime, timedelta

from psycopg.rows import TupleRow

import sql
from tests.sql.batches import (
    DAY,
    MINUTE,
    Connection,
    add_services,
    ask,
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
    return await ask(db, EPISODES)


async def contiguous(db: Connection) -> bool:
    """Each begins where the one before it ends, and the last one goes on."""
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


async def test_a_check_speaks_until_the_next_one_or_the_end_of_its_interval(db: Connection) -> None:
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
    assert await contiguous(db)


async def test_a_check_that_says_the_same_writes_no_episode(db: Connection) -> None:
    """The usual minute."""
    start = at_start()
    await set_clock(db, start + timedelta(seconds=1))
    await record(db, [row(start)])
    before = await ask(db, "SELECT xmin, * FROM episodes")
    for minute in range(1, 5):
        await set_clock(db, start + minute * MINUTE + timedelta(seconds=1))
        await record(db, [row(start + minute * MINUTE)])
    assert await ask(db, "SELECT xmin, * FROM episodes") == before


async def test_a_window_is_rebuilt_by_one_call(db: Connection) -> None:
    start = at_start()
    rows = [row(start + minute * MINUTE, "mo" if minute in (5, 6, 15) else "o") for minute in range(25) if minute != 10]
    await record(db, rows)
    await ask(db, "SELECT expire_states()")
    before = await episodes(db), await outages(db), await state(db)
    assert len(before[0]) >= 7

    await db.execute("UPDATE episodes SET state = 'degraded' WHERE state = 'outage'")
    await db.execute("DELETE FROM episodes WHERE state = 'unknown' AND ends_at IS NOT NULL")
    await db.execute("CALL rebuild_episodes('web', %s, %s)", (start, now()))

    assert (await episodes(db), await outages(db), await state(db)) == before
    assert await contiguous(db)


class TestOutageIds:
    async def test_an_outage_keeps_its_id_when_late_checks_move_its_bounds(self, db: Connection) -> None:
        start = at_start()
        await record(db, [row(start), row(start + 5 * MINUTE, "mo"), row(start + 9 * MINUTE)])
        [(known, *_)] = await ask(db, OUTAGE_IDS)
        await record(db, [row(start + 3 * MINUTE, "mo")])
        await record(db, [row(start + 7 * MINUTE)])
        assert await ask(db, OUTAGE_IDS) == [(known, start + 3 * MINUTE, start + 7 * MINUTE)]

    async def test_outages_that_become_one_keep_the_older_id(self, db: Connection) -> None:
        start = at_start()
        two = [
            row(start + 2 * MINUTE, "mo"),
            row(start + 3 * MINUTE),
            row(start + 6 * MINUTE, "mo"),
            row(start + 8 * MINUTE),
        ]
        await record(db, two)
        (first, *_), (second, *_) = await ask(db, OUTAGE_IDS)
        assert first < second
        # Two more locations that have seen it down all the while: the good check between is outvoted.
        for place in ("seoul", "fra-1"):
            await record(db, [row(start + minute * MINUTE, "mo", location=place) for minute in range(2, 8)])
        found = await ask(db, OUTAGE_IDS)
        assert [one[0] for one in found] == [first]
        assert found[0][1] == start + 2 * MINUTE

    async def test_a_good_check_in_the_middle_leaves_the_id_to_the_first_part(self, db: Connection) -> None:
        start = at_start()
        await record(db, [row(start + minute * MINUTE, "mo") for minute in (0, 1, 3, 4)] + [row(start + 5 * MINUTE)])
        [(known, *_)] = await ask(db, OUTAGE_IDS)
        await record(db, [row(start + 2 * MINUTE)])
        found = await ask(db, OUTAGE_IDS)
        assert [(one[1], one[2]) for one in found] == [
            (start, start + 2 * MINUTE),
            (start + 3 * MINUTE, start + 5 * MINUTE),
        ]
        assert found[0][0] == known
        assert found[1][0] > known


class TestPauses:
    """Decided: a pause or a deletion ends an outage at that moment; a gap does not."""

    async def test_a_paused_service_is_unknown_and_its_outage_over(self, db: Connection) -> None:
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
        assert await contiguous(db)

    async def test_a_service_that_is_deleted_and_entered_again_has_its_history_back(self, db: Connection) -> None:
        start = at_start()
        await record(db, [row(start + minute * MINUTE, "mo" if minute < 3 else "o") for minute in range(5)])
        before = await ask(db, "SELECT day, checks, failed, status FROM service_days")
        gone = start + 5 * MINUTE
        await set_clock(db, gone)
        await db.execute("DELETE FROM services WHERE id = 'web'")
        assert await ask(db, "SELECT day, checks, failed, status FROM service_days") == before, "analysts keep it"
        assert await value(db, "SELECT count(*) FROM service_status") == 0

        await set_clock(db, start + 15 * MINUTE)
        await add_services(db, "web")
        assert await ask(db, "SELECT day, checks, failed, status FROM service_days") == before
        await set_clock(db, start + 16 * MINUTE + timedelta(seconds=1))
        await record(db, [row(start + 16 * MINUTE)])
        assert (await state(db))[0] == "operational"
        assert await outages(db) == [(start, start + 3 * MINUTE)]
        assert await contiguous(db)


async def test_announced_maintenance_does_not_change_uptime(db: Connection) -> None:
    """Decided, until the accounting makes it a policy: a failed check is down time during maintenance too."""
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


async def test_all_systems_weigh_each_service_by_how_long_it_was_watched(db: Connection) -> None:
    await add_services(db, "mail")
    midday = (now() - 2 * DAY).replace(hour=12, minute=0, second=0)
    await record(db, [row(midday + minute * MINUTE) for minute in range(30)])
    await record(db, [row(midday + minute * MINUTE, "mo", service="mail") for minute in range(10)])
    cursor = await db.execute(sql.query("uptime/period"), {"days": 7, "service_id": None})
    [(_, uptime)] = await cursor.fetchall()
    assert uptime == "75.00", "30 of 40 watched minutes, not the mean of 100 and 0"
