"""record_checks_v2() updates states and outages, also after gaps and pauses."""

from datetime import timedelta

import pytest

from tests.sql.batches import (
    DAY,
    MINUTE,
    Connection,
    add_services,
    events,
    fetch,
    now,
    outages,
    record,
    row,
    set_clock,
    state,
    value,
)

OTHERS = ("seoul", "fra-1")


class TestStates:
    async def test_a_service_without_checks_is_unknown(self, db: Connection) -> None:
        assert (await state(db))[0] == "unknown"

    async def test_each_check_sets_the_state_since_its_scheduled_time(self, db: Connection) -> None:
        start = now() - 6 * MINUTE
        for minute, severity, name, since in (
            (0, "o", "operational", 0),
            (1, "o", "operational", 0),
            (2, "po", "degraded", 2),
            (3, "mo", "outage", 3),
            (4, "mo", "outage", 3),
            (5, "o", "operational", 5),
        ):
            await record(db, [row(start + minute * MINUTE, severity, interval_seconds=300)])
            assert await state(db) == (name, start + since * MINUTE)

    async def test_outages_begin_and_end_once(self, db: Connection) -> None:
        start = now() - 7 * MINUTE
        await record(db, [row(start), row(start + MINUTE, "mo")])
        assert await outages(db) == [(start + MINUTE, None)]
        await record(db, [row(start + 2 * MINUTE, "mo"), row(start + 3 * MINUTE, "mo")])
        assert await outages(db) == [(start + MINUTE, None)]
        await record(db, [row(start + 4 * MINUTE, "po")])
        assert await outages(db) == [(start + MINUTE, start + 4 * MINUTE)]
        await record(db, [row(start + 5 * MINUTE), row(start + 6 * MINUTE, "mo")])
        assert await outages(db) == [(start + MINUTE, start + 4 * MINUTE), (start + 6 * MINUTE, None)]

    async def test_a_late_row_corrects_outages_and_the_state(self, db: Connection) -> None:
        start = now() - 5 * MINUTE
        await record(db, [row(start, "mo"), row(start + 2 * MINUTE, "mo"), row(start + 4 * MINUTE, "mo")])
        assert await outages(db) == [(start, None)]
        await record(db, [row(start + 3 * MINUTE, "o")])
        assert await outages(db) == [(start, start + 3 * MINUTE), (start + 4 * MINUTE, None)]
        assert await state(db) == ("outage", start + 4 * MINUTE)
        await record(db, [row(start - MINUTE, "mo")])
        assert await outages(db) == [(start - MINUTE, start + 3 * MINUTE), (start + 4 * MINUTE, None)]

    async def test_a_late_row_changes_the_past_and_not_the_present(self, db: Connection) -> None:
        start = now() - 2 * MINUTE
        await record(db, [row(start), row(start + MINUTE)])
        before = await events(db)
        await record(db, [row(start - DAY, "mo"), row(start - DAY + MINUTE)])
        assert await outages(db) == [(start - DAY, start - DAY + MINUTE)]
        assert await state(db) == ("operational", start)
        assert await events(db) == before

    async def test_checks_of_a_prober_whose_clock_is_ahead_count(self, db: Connection) -> None:
        ahead = now() + 2 * MINUTE
        await record(db, [row(ahead - MINUTE)])
        await record(db, [row(ahead, "mo")])
        assert (await state(db))[0] == "outage"
        assert await outages(db) == [(ahead, None)]
        await record(db, [row(ahead + MINUTE)])
        assert (await state(db))[0] == "operational"
        assert await outages(db) == [(ahead, ahead + MINUTE)]

    async def test_the_majority_of_locations_decides_the_state(self, db: Connection) -> None:
        slot = now() - 5 * MINUTE
        for minute, severities, name in (
            (0, "o o o", "operational"),
            (1, "mo o o", "degraded"),
            (2, "mo mo o", "outage"),
            (3, "mo o o", "degraded"),
            (4, "o o po", "degraded"),
        ):
            at = slot + minute * MINUTE
            for location, severity in zip(("local", *OTHERS), severities.split(), strict=True):
                await record(db, [row(at, severity, location=location, interval_seconds=300)])
            assert (await state(db))[0] == name, severities
        assert await outages(db) == [(slot + 2 * MINUTE, slot + 3 * MINUTE)]

    async def test_half_of_the_locations_is_no_majority(self, db: Connection) -> None:
        slot = now() - MINUTE
        await record(db, [row(slot, "mo"), row(slot, "o", location="seoul")])
        assert (await state(db))[0] == "degraded"
        assert await outages(db) == []

    async def test_a_location_without_recent_checks_does_not_count(self, db: Connection) -> None:
        """A check counts for two intervals and a minute."""
        slot = now() - 10 * MINUTE
        await record(db, [row(slot, "o", location="seoul")])
        await record(db, [row(slot + minute * MINUTE, "mo") for minute in range(10)])
        assert await outages(db) == [(slot + 3 * MINUTE, None)]
        assert await state(db) == ("outage", slot + 3 * MINUTE)

    async def test_late_rows_of_a_location_count(self, db: Connection) -> None:
        slot = now() - 60 * MINUTE
        await record(db, [row(slot, location="seoul")])
        await record(db, [row(slot + minute * MINUTE, "mo") for minute in range(20)])
        assert len(await outages(db)) == 1
        await record(db, [row(slot + minute * MINUTE, location="seoul") for minute in range(1, 20)])
        await fetch(db, "SELECT expire_states()")
        assert await outages(db) == []


class TestMissingChecks:
    async def test_a_service_becomes_unknown_when_its_checks_stop(self, db: Connection) -> None:
        """That is after two intervals and a minute, and the 7 seconds that the next check may take."""
        last = now()
        await record(db, [row(last)])
        await set_clock(db, last + 3 * MINUTE + timedelta(seconds=7))
        assert await value(db, "SELECT expire_states()") == 0
        assert await state(db) == ("operational", last)
        await set_clock(db, last + 3 * MINUTE + timedelta(seconds=8))

        assert await value(db, "SELECT expire_states()") == 1

        assert await state(db) == ("unknown", last + 3 * MINUTE)
        assert await value(db, "SELECT expired FROM latest_checks") is True
        assert await value(db, "SELECT expire_states()") == 0
        assert (await events(db))[-1]["status"] == "unknown"

    @pytest.mark.parametrize(("timeout_ms", "retries", "takes_s"), [(15_000, 5, 90), (7_000, 5, 42), (2_000, 0, 2)])
    async def test_a_state_is_kept_while_the_next_check_runs(
        self, db: Connection, timeout_ms: int, retries: int, takes_s: int
    ) -> None:
        """With an interval of 15 s, a timeout of 15 s and 5 retries a service must not become unknown instead of
        outage."""
        await db.execute(
            "UPDATE services SET timeout_ms = %s, retries = %s, interval_seconds = 15", (timeout_ms, retries)
        )
        last = now()
        await record(db, [row(last, interval_seconds=15)])
        due = last + timedelta(seconds=15)
        # The check of `due` and the next ones time out with all their retries.
        for _ in range(3):
            long = (takes_s // 15 + 1) * 15
            await set_clock(db, due + timedelta(seconds=takes_s, milliseconds=500))
            assert await value(db, "SELECT expire_states()") == 0
            await record(db, [row(due, "mo", interval_seconds=long)])
            assert await state(db) == ("outage", last + timedelta(seconds=15))
            due += timedelta(seconds=long)
        assert await outages(db) == [(last + timedelta(seconds=15), None)]
        assert await fetch(db, "SELECT sum(covered_seconds), sum(down_seconds) FROM checks_daily") == [
            (15 + 3 * long, 3 * long)
        ]

    async def test_no_state_expires_while_checks_are_recorded(self, db: Connection) -> None:
        await record(db, [row(now() - 2 * MINUTE)])
        assert await value(db, "SELECT expire_states()") == 0
        assert (await state(db))[0] == "operational"

    async def test_a_state_is_kept_longer_with_a_longer_interval(self, db: Connection) -> None:
        await record(db, [row(now() - 50 * MINUTE, interval_seconds=1800)])
        assert await value(db, "SELECT expire_states()") == 0
        assert (await state(db))[0] == "operational"

    async def test_the_first_check_after_a_gap_sets_the_state(self, db: Connection) -> None:
        await record(db, [row(now() - 30 * MINUTE)])
        await fetch(db, "SELECT expire_states()")
        back = now() - MINUTE
        await record(db, [row(back)])
        assert await state(db) == ("operational", back)

    async def test_a_gap_neither_begins_nor_ends_an_outage(self, db: Connection) -> None:
        start = now() - 60 * MINUTE
        await record(db, [row(start, "mo")])
        await fetch(db, "SELECT expire_states()")
        assert await outages(db) == [(start, None)]
        await record(db, [row(start + 30 * MINUTE, "mo")])
        assert await outages(db) == [(start, None)]
        await record(db, [row(start + 50 * MINUTE)])
        assert await outages(db) == [(start, start + 50 * MINUTE)]

    async def test_the_last_batch_of_a_replay_sets_the_current_state(self, db: Connection) -> None:
        """A batch that ends in the past leaves its service unknown. The next one must set the state although its checks
        have the same results."""
        start = now() - 30 * MINUTE
        await record(db, [row(start)])
        await record(db, [row(start + minute * MINUTE, "mo") for minute in range(1, 15)])
        assert (await state(db))[0] == "unknown"
        await record(db, [row(start + minute * MINUTE, "mo") for minute in range(15, 31)])
        assert (await state(db))[0] == "outage"
        assert await outages(db) == [(start + MINUTE, None)]


class TestPausing:
    PAUSE = "UPDATE services SET enabled = %s WHERE id = 'web' RETURNING 1"

    async def test_a_paused_service_stays_unknown_when_checks_arrive(self, db: Connection) -> None:
        await record(db, [row(now() - MINUTE, "mo")])
        await fetch(db, self.PAUSE, (False,))
        assert (await state(db))[0] == "unknown"
        assert (await events(db))[-1]["status"] == "unknown"
        await record(db, [row(now(), "mo")])
        assert (await state(db))[0] == "unknown"
        assert await value(db, "SELECT count(*) FROM checks") == 2

    async def test_a_resumed_service_has_the_state_of_its_next_check(self, db: Connection) -> None:
        """A check with the same result was recorded during the pause."""
        start = now() - 3 * MINUTE
        await record(db, [row(start)])
        await fetch(db, self.PAUSE, (False,))
        await record(db, [row(start + MINUTE)])
        await fetch(db, self.PAUSE, (True,))
        await record(db, [row(start + 2 * MINUTE)])  # scheduled before the pause
        assert (await state(db))[0] == "unknown"
        await record(db, [row(now() + timedelta(seconds=1))])
        assert (await state(db))[0] == "operational"

    async def test_a_pause_does_not_affect_other_services(self, db: Connection) -> None:
        await add_services(db, "other")
        await record(db, [row(now()), row(now(), service="other")])
        await fetch(db, self.PAUSE, (False,))
        assert (await state(db, "other"))[0] == "operational"


async def test_a_service_that_is_added_again_has_its_history(db: Connection) -> None:
    start = now() - 5 * MINUTE
    await record(db, [row(start, "mo"), row(start + MINUTE)])
    await db.execute("DELETE FROM services WHERE id = 'web'")
    assert await fetch(db, "SELECT FROM latest_checks") == []
    await add_services(db, "web")
    await record(db, [row(now() + timedelta(seconds=1))])
    assert await outages(db) == [(start, start + MINUTE)]
    assert (await state(db))[0] == "operational"
    assert await value(db, "SELECT count(*) FROM checks") == 3
