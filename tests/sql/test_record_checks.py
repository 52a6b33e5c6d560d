"""record_checks(): every row once, bad rows set aside, states and outages moved, events told, in one transaction."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import anyio
import psycopg
import pytest

from tests.sql.batches import (
    DAY,
    MINUTE,
    PATIENCE_S,
    Connection,
    Row,
    add_services,
    ask,
    connected,
    copy,
    now,
    outages,
    record,
    row,
    set_clock,
    state,
    until_waiting,
    value,
)

KEYS = "SELECT service_id, location, scheduled_at FROM checks ORDER BY 1, 2, 3"
OTHERS = ("seoul", "fra-1")


async def events(db: Connection, event: str = "status-update") -> list[Any]:
    return [data for (data,) in await ask(db, "SELECT data FROM events WHERE event = %s ORDER BY seq", (event,))]


async def parked(db: Connection) -> list[str]:
    return [reason for (reason,) in await ask(db, "SELECT reason FROM parked_checks ORDER BY 1")]


class TestStoring:
    async def test_a_batch_is_stored_once_however_often_it_comes(self, db: Connection) -> None:
        start = now() - 10 * MINUTE
        batch = [row(start + minute * MINUTE, "mo" if minute in (3, 4) else "o") for minute in range(10)]
        assert await record(db, batch) == (10, 0, 0)
        before = [await ask(db, question) for question in (KEYS, "SELECT * FROM outages", "SELECT * FROM events")]

        assert await record(db, batch) == (0, 10, 0)
        assert await record(db, batch[5:] + batch[:5]) == (0, 10, 0)

        after = [await ask(db, question) for question in (KEYS, "SELECT * FROM outages", "SELECT * FROM events")]
        assert after == before

    async def test_duplicates_inside_one_batch(self, db: Connection) -> None:
        start = now() - 10 * MINUTE
        batch = [row(start), row(start), row(start + MINUTE), row(start + MINUTE), row(start + MINUTE)]
        assert await record(db, batch) == (2, 3, 0)
        assert await record(db, [row(start + MINUTE), row(start + 2 * MINUTE), row(start + 2 * MINUTE)]) == (1, 2, 0)

    async def test_the_first_writer_of_a_slot_wins(self, db: Connection) -> None:
        slot = now() - MINUTE
        await record(db, [row(slot, total_ms=100.0)])
        await record(db, [row(slot, "mo")])
        assert await ask(db, "SELECT severity::text, total_ms FROM checks") == [("o", 100.0)]
        assert (await state(db))[0] == "operational"

    @pytest.mark.engines("timescaledb")  # plain PostgreSQL does not compress
    async def test_replay_into_compressed_chunks(self, db: Connection) -> None:
        start = now() - 5 * DAY
        batch = [row(start + minute * MINUTE) for minute in range(0, 60, 2)]
        late = [row(start + minute * MINUTE) for minute in range(60)]
        await record(db, batch)
        await ask(db, "SELECT compress_chunk(chunk) FROM show_chunks('checks') AS chunk")

        assert await record(db, batch) == (0, 30, 0)
        assert await record(db, late) == (30, 30, 0)
        assert await value(db, "SELECT count(*) FROM checks") == 60

    async def test_rows_that_came_by_another_way_do_not_break_a_batch(self, db: Connection) -> None:
        """latest_checks does not know them, so the plain INSERT of new rows hits them."""
        start = now() - 5 * MINUTE
        await record(db, [row(start)])
        direct = (
            "INSERT INTO checks SELECT service_id, location, scheduled_at + interval '2 minutes', finished_at, "
            "interval_seconds, status_code, success, severity, total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, "
            "attempts, error_type, error_message FROM checks"
        )
        await db.execute(direct.encode())

        batch = [row(start + minute * MINUTE, "mo" if minute == 3 else "o") for minute in range(5)]
        assert await record(db, batch) == (3, 2, 0)
        assert await outages(db) == [(start + 3 * MINUTE, start + 4 * MINUTE)]
        assert await value(db, "SELECT scheduled_at FROM latest_checks") == start + 4 * MINUTE

    async def test_times_are_kept_to_a_sixteenth_and_messages_to_500_characters(self, db: Connection) -> None:
        slot = now()
        times: dict[str, Any] = {
            "total_ms": 123.456,
            "dns_ms": 0.01,
            "connect_ms": 0.04,
            "tls_ms": None,
            "first_byte_ms": 99.97,
        }
        await record(db, [row(slot, "mo", error_message="x" * 10_000, **times)])
        kept = await ask(
            db, "SELECT total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, length(error_message) FROM checks"
        )
        assert kept == [(123.4375, 0.0, 0.0625, None, 100.0, 500)]
        assert await value(db, "SELECT length(error_message) FROM latest_checks") == 500
        assert await value(db, "SELECT length(error_message) FROM outages") == 500

    async def test_an_empty_batch(self, db: Connection) -> None:
        assert await record(db, []) == (0, 0, 0)

    async def test_the_fields_come_back_as_they_went_in(self, db: Connection) -> None:
        given = row(now(), "po", status_code=204, tls_ms=7.5, attempts=3, interval_seconds=30)
        await record(db, [given])
        [found] = await ask(
            db,
            "SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, "
            "severity::text, total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message "
            "FROM checks",
        )
        # Finished 200 ms after it was due: by the end of the first quarter second.
        assert given.scheduled_at is not None
        assert Row(*found) == given._replace(finished_at=given.scheduled_at + timedelta(milliseconds=250))


NONSENSE: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "unknown service": ({"service_id": "nobody"}, "unknown service"),
    "no service": ({"service_id": None}, "unknown service"),
    "unknown location": ({"location": "atlantis"}, "unknown location"),
    "no location": ({"location": None}, "unknown location"),
    "no time": ({"scheduled_at": None}, "incomplete"),
    "no severity": ({"severity": None}, "incomplete"),
    "no success": ({"success": None}, "incomplete"),
    "no interval": ({"interval_seconds": None}, "incomplete"),
    "no attempts": ({"attempts": None}, "incomplete"),
    "severity nd": ({"severity": "nd"}, "severity is none of o, po, mo"),
    "severity e": ({"severity": "e"}, "severity is none of o, po, mo"),
    "severity ''": ({"severity": ""}, "severity is none of o, po, mo"),
    "failed but o": ({"success": False}, "success contradicts severity"),
    "good but mo": ({"severity": "mo"}, "success contradicts severity"),
    "interval 0": ({"interval_seconds": 0}, "interval out of range"),
    "interval of two days": ({"interval_seconds": 172_800}, "interval out of range"),
    "no attempt": ({"attempts": 0}, "attempts out of range"),
    "attempts beyond smallint": ({"attempts": 70_000}, "attempts out of range"),
    "status 99": ({"status_code": 99}, "status code out of range"),
    "status beyond smallint": ({"status_code": 100_000}, "status code out of range"),
    "negative time": ({"total_ms": -1.0}, "time out of range"),
    "negative phase": ({"dns_ms": -0.5}, "time out of range"),
    "NaN": ({"total_ms": math.nan}, "time out of range"),
    "infinity": ({"first_byte_ms": math.inf}, "time out of range"),
    "error type": ({"error_type": "gremlins"}, "unknown error type"),
}


class TestSettingAside:
    async def test_one_bad_row_is_parked_and_the_rest_is_stored(self, db: Connection) -> None:
        start = now() - 300 * MINUTE
        for number, (kind, (changes, reason)) in enumerate(NONSENSE.items()):
            good = [row(start + (5 * number + minute) * MINUTE) for minute in range(3)]
            bad = row(now())._replace(**changes)

            assert await record(db, [*good[:2], bad, good[2]]) == (3, 0, 1), kind

            [(found, data)] = await ask(db, "DELETE FROM parked_checks RETURNING reason, data")
            assert found == reason, kind
            assert set(data) == set(Row._fields)
            assert (data["service_id"], data["attempts"]) == (bad.service_id, bad.attempts)
        assert await value(db, "SELECT count(*) FROM checks") == 3 * len(NONSENSE)

    async def test_all_kinds_of_nonsense_at_once(self, db: Connection) -> None:
        bad = [row(now())._replace(**changes) for changes, _ in NONSENSE.values()]
        assert await record(db, [row(now()), *bad]) == (1, 0, len(bad))
        assert await parked(db) == sorted(reason for _, reason in NONSENSE.values())

    async def test_the_future_begins_in_five_minutes(self, db: Connection) -> None:
        late, early = now() + 5 * MINUTE + timedelta(seconds=20), now() + 4 * MINUTE
        assert await record(db, [row(late), row(early)]) == (1, 0, 1)
        assert await parked(db) == ["from the future"]

    async def test_nothing_older_than_the_retention_comes_in(self, db: Connection) -> None:
        """It would fall out at once, and the aggregates of its day can no longer be computed again."""
        retention = await value(db, "SELECT retention FROM installation")
        old, young = now() - retention, now() - retention + DAY + MINUTE
        assert await record(db, [row(old), row(young), row(old - 9000 * DAY)]) == (1, 0, 2)
        assert await parked(db) == ["older than retention"] * 2

    async def test_a_check_does_not_end_before_it_began(self, db: Connection) -> None:
        slot = now()
        rows = [row(slot, finished_at=slot - 2 * MINUTE), row(slot - MINUTE, finished_at=slot - MINUTE)]
        assert await record(db, rows) == (1, 0, 1)
        assert await parked(db) == ["finished before it began"]

    async def test_infinite_times_are_set_aside(self, db: Connection) -> None:
        async with db.transaction():
            await copy(db, [row(now())])
            for time in ("infinity", "-infinity"):
                await db.execute("INSERT INTO incoming_checks SELECT * FROM incoming_checks LIMIT 1")
                await db.execute(
                    "UPDATE incoming_checks SET scheduled_at = %s WHERE ctid = "
                    "(SELECT ctid FROM incoming_checks WHERE isfinite(scheduled_at) LIMIT 1)",
                    (time,),
                )
            assert await ask(db, "SELECT stored, parked FROM record_checks()") == [(1, 2)]
        assert await parked(db) == ["from the future", "older than retention"]


class TestStates:
    async def test_a_service_without_checks_is_unknown(self, db: Connection) -> None:
        assert (await state(db))[0] == "unknown"

    async def test_each_check_moves_the_state_and_since_is_when_it_was_due(self, db: Connection) -> None:
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

    async def test_outages_open_and_close_once(self, db: Connection) -> None:
        start = now() - 7 * MINUTE
        await record(db, [row(start), row(start + MINUTE, "mo")])
        assert await outages(db) == [(start + MINUTE, None)]
        await record(db, [row(start + 2 * MINUTE, "mo"), row(start + 3 * MINUTE, "mo")])
        assert await outages(db) == [(start + MINUTE, None)]
        await record(db, [row(start + 4 * MINUTE, "po")])
        assert await outages(db) == [(start + MINUTE, start + 4 * MINUTE)]
        await record(db, [row(start + 5 * MINUTE), row(start + 6 * MINUTE, "mo")])
        assert await outages(db) == [(start + MINUTE, start + 4 * MINUTE), (start + 6 * MINUTE, None)]

    async def test_a_late_row_mends_the_story(self, db: Connection) -> None:
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
        told = await events(db)
        await record(db, [row(start - DAY, "mo"), row(start - DAY + MINUTE)])
        assert await outages(db) == [(start - DAY, start - DAY + MINUTE)]
        assert await state(db) == ("operational", start)
        assert await events(db) == told

    async def test_a_prober_whose_clock_is_ahead(self, db: Connection) -> None:
        ahead = now() + 2 * MINUTE
        await record(db, [row(ahead - MINUTE)])
        await record(db, [row(ahead, "mo")])
        assert (await state(db))[0] == "outage"
        assert await outages(db) == [(ahead, None)]
        await record(db, [row(ahead + MINUTE)])
        assert (await state(db))[0] == "operational"
        assert await outages(db) == [(ahead, ahead + MINUTE)]

    async def test_the_majority_of_locations_decides(self, db: Connection) -> None:
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

    async def test_a_location_that_fell_silent_has_no_vote(self, db: Connection) -> None:
        """Checks live for two intervals and a minute."""
        slot = now() - 10 * MINUTE
        await record(db, [row(slot, "o", location="seoul")])
        await record(db, [row(slot + minute * MINUTE, "mo") for minute in range(10)])
        assert await outages(db) == [(slot + 3 * MINUTE, None)]
        assert await state(db) == ("outage", slot + 3 * MINUTE)

    async def test_the_vote_of_a_location_whose_rows_come_later_counts(self, db: Connection) -> None:
        slot = now() - 60 * MINUTE
        await record(db, [row(slot, location="seoul")])
        await record(db, [row(slot + minute * MINUTE, "mo") for minute in range(20)])
        assert len(await outages(db)) == 1
        await record(db, [row(slot + minute * MINUTE, location="seoul") for minute in range(1, 20)])
        await ask(db, "SELECT expire_states()")
        assert await outages(db) == []


class TestSilence:
    async def test_a_service_becomes_unknown_when_its_checks_stop(self, db: Connection) -> None:
        """Two intervals and a minute after its last check, and the 7 seconds that the next check may take."""
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
    async def test_a_state_holds_while_its_next_verdict_is_being_worked_out(
        self, db: Connection, timeout_ms: int, retries: int, takes_s: int
    ) -> None:
        """Faults A1: 15 s interval, 15 s timeout, 5 retries went from operational to unknown and never to outage."""
        await db.execute(
            "UPDATE services SET timeout_ms = %s, retries = %s, interval_seconds = 15", (timeout_ms, retries)
        )
        last = now()
        await record(db, [row(last, interval_seconds=15)])
        due = last + timedelta(seconds=15)
        # The check of `due` times out again and again; so does the one after it.
        for _ in range(3):
            long = (takes_s // 15 + 1) * 15
            await set_clock(db, due + timedelta(seconds=takes_s, milliseconds=500))
            assert await value(db, "SELECT expire_states()") == 0
            await record(db, [row(due, "mo", interval_seconds=long)])
            assert await state(db) == ("outage", last + timedelta(seconds=15))
            due += timedelta(seconds=long)
        assert await outages(db) == [(last + timedelta(seconds=15), None)]
        assert await ask(db, "SELECT sum(covered_seconds), sum(down_seconds) FROM checks_daily") == [
            (15 + 3 * long, 3 * long)
        ]

    async def test_nothing_expires_while_checks_come(self, db: Connection) -> None:
        await record(db, [row(now() - 2 * MINUTE)])
        assert await value(db, "SELECT expire_states()") == 0
        assert (await state(db))[0] == "operational"

    async def test_a_long_interval_is_a_long_life(self, db: Connection) -> None:
        await record(db, [row(now() - 50 * MINUTE, interval_seconds=1800)])
        assert await value(db, "SELECT expire_states()") == 0
        assert (await state(db))[0] == "operational"

    async def test_the_first_check_after_the_silence_brings_it_back(self, db: Connection) -> None:
        await record(db, [row(now() - 30 * MINUTE)])
        await ask(db, "SELECT expire_states()")
        back = now() - MINUTE
        await record(db, [row(back)])
        assert await state(db) == ("operational", back)

    async def test_a_gap_neither_ends_an_outage_nor_begins_one(self, db: Connection) -> None:
        start = now() - 60 * MINUTE
        await record(db, [row(start, "mo")])
        await ask(db, "SELECT expire_states()")
        assert await outages(db) == [(start, None)]
        await record(db, [row(start + 30 * MINUTE, "mo")])
        assert await outages(db) == [(start, None)]
        await record(db, [row(start + 50 * MINUTE)])
        assert await outages(db) == [(start, start + 50 * MINUTE)]

    async def test_replay_after_an_interruption_ends_in_the_present(self, db: Connection) -> None:
        """A batch that ends in the past leaves its service unknown; the next one must bring it back although its
        checks say what the last one said."""
        start = now() - 30 * MINUTE
        await record(db, [row(start)])
        await record(db, [row(start + minute * MINUTE, "mo") for minute in range(1, 15)])
        assert (await state(db))[0] == "unknown"
        await record(db, [row(start + minute * MINUTE, "mo") for minute in range(15, 31)])
        assert (await state(db))[0] == "outage"
        assert await outages(db) == [(start + MINUTE, None)]


class TestPausing:
    PAUSE = "UPDATE services SET enabled = %s WHERE id = 'web' RETURNING 1"

    async def test_a_paused_service_is_unknown_whatever_still_arrives(self, db: Connection) -> None:
        await record(db, [row(now() - MINUTE, "mo")])
        await ask(db, self.PAUSE, (False,))
        assert (await state(db))[0] == "unknown"
        assert (await events(db))[-1]["status"] == "unknown"
        await record(db, [row(now(), "mo")])
        assert (await state(db))[0] == "unknown"
        assert await value(db, "SELECT count(*) FROM checks") == 2

    async def test_it_goes_on_with_its_next_check(self, db: Connection) -> None:
        """Also where a check that was under way came in during the pause and said the same."""
        start = now() - 3 * MINUTE
        await record(db, [row(start)])
        await ask(db, self.PAUSE, (False,))
        await record(db, [row(start + MINUTE)])
        await ask(db, self.PAUSE, (True,))
        await record(db, [row(start + 2 * MINUTE)])  # due before the pause
        assert (await state(db))[0] == "unknown"
        await record(db, [row(now() + timedelta(seconds=1))])
        assert (await state(db))[0] == "operational"

    async def test_others_are_not_touched(self, db: Connection) -> None:
        await add_services(db, "other")
        await record(db, [row(now()), row(now(), service="other")])
        await ask(db, self.PAUSE, (False,))
        assert (await state(db, "other"))[0] == "operational"


class TestEvents:
    async def test_status_updates_in_order(self, db: Connection) -> None:
        start = now() - 3 * MINUTE
        for minute, severity in enumerate(("o", "mo", "po")):
            await record(db, [row(start + minute * MINUTE, severity, interval_seconds=300)])
        told = await ask(db, "SELECT room, data FROM events WHERE event = 'status-update' ORDER BY seq")
        assert told == [
            (
                "system-status",
                {"serviceId": "web", "status": name, "timestamp": f"{start + minute * MINUTE:%Y-%m-%dT%H:%M:%S}.000Z"},
            )
            for minute, name in enumerate(("operational", "outage", "degraded"))
        ]

    async def test_a_state_that_stays_is_not_told_again(self, db: Connection) -> None:
        await record(db, [row(now() - 2 * MINUTE, "mo")])
        await record(db, [row(now() - MINUTE, "mo")])
        assert len(await events(db)) == 1

    async def test_private_services_are_told_of_inside_only(self, db: Connection) -> None:
        await add_services(db, "secret", public=False)
        await record(db, [row(now() - MINUTE, "mo", service="secret"), row(now(), service="secret")])
        await ask(db, "UPDATE services SET enabled = false WHERE id = 'secret' RETURNING 1")
        assert (await state(db, "secret"))[0] == "unknown"
        assert await ask(db, "SELECT DISTINCT event, room FROM events ORDER BY room") == [
            ("status-update", "system-status-inside"),
            ("uptime-updated", "uptime-inside"),
        ]
        assert len(await outages(db, "secret")) == 1

    async def test_each_worse_day_is_told_once(self, db: Connection) -> None:
        day = now().replace(hour=0, minute=0, second=0) - 3 * DAY
        for minute, severity in enumerate(("o", "o", "po", "o", "mo", "po", "mo")):
            await record(db, [row(day + minute * MINUTE, severity)])
        await record(db, [row(day + DAY, "po"), row(day + DAY + MINUTE, "o")])
        expected = [(day, "o"), (day, "po"), (day, "mo"), (day + DAY, "po")]
        assert await events(db, "uptime-updated") == [
            {"serviceId": "web", "date": f"{at:%Y-%m-%d}", "status": severity} for at, severity in expected
        ]
        await record(db, [row(day + 10 * MINUTE, "mo"), row(day + 11 * MINUTE, location="seoul")])
        assert len(await events(db, "uptime-updated")) == len(expected)

    async def test_numbers_are_in_order_of_commits(self, db: Connection, database: str) -> None:
        """The second writer gets no number while the first one, which has a lower one, may still commit."""
        await add_services(db, "other")
        async with connected(database) as rival:
            async with db.transaction():
                await copy(db, [row(now())])
                await ask(db, "SELECT record_checks()")
                async with anyio.create_task_group() as writers:
                    writers.start_soon(record, rival, [row(now(), "mo", service="other")])
                    await until_waiting(db)
                    assert await value(db, "SELECT count(*) FROM events") == 2
                    await db.execute("COMMIT")
                    await db.execute("BEGIN")
            numbered = await ask(db, "SELECT seq, data ->> 'serviceId' FROM events ORDER BY seq")
        assert [service for _, service in numbered] == ["web", "web", "other", "other"]


class TestNumbers:
    """Of events: what strangers may hear of, and the rest between."""

    async def test_inside_never_takes_a_public_number(self, db: Connection) -> None:
        for room in ("uptime", "staff"):
            await db.execute("SELECT append_event('e', %s, '{}')", (room,))
        await db.execute("SELECT setval(pg_get_serial_sequence('events', 'seq'), 131071)")
        await db.execute("SELECT append_event('e', 'incident-INC-2026-0001', '{}'), append_event('e', NULL, '{}')")
        assert [seq for (seq,) in await ask(db, "SELECT seq FROM events ORDER BY seq")] == [
            65536,
            65537,
            131073,
            196608,
        ]

    async def test_a_service_that_is_hidden_and_paused_waits_for_a_batch_before_it_is_in_its_way(
        self, db: Connection, database: str
    ) -> None:
        await record(db, [row(now())])
        async with connected(database) as rival, anyio.create_task_group() as tasks, db.transaction():
            await db.execute("SELECT lock_recording()")
            tasks.start_soon(rival.execute, "UPDATE services SET public = false, enabled = false")
            await until_waiting(db)
            with anyio.fail_after(PATIENCE_S):
                await db.execute("SELECT lock_events()")
        assert await value(db, "SELECT NOT public AND NOT enabled FROM services")


class TestWritersAtOnce:
    async def test_two_writers_open_one_outage(self, db: Connection, database: str) -> None:
        start = now() - 5 * MINUTE
        await record(db, [row(start), row(start, location="seoul")])
        first = [row(start + minute * MINUTE, "mo") for minute in range(1, 5)]
        second = [row(start + minute * MINUTE, "mo", location="seoul") for minute in range(1, 5)]
        async with connected(database) as one, connected(database) as two, anyio.create_task_group() as writers:
            for connection, rows in ((one, first), (two, second)):
                writers.start_soon(self._one_by_one, connection, rows)
        assert await outages(db) == [(start + MINUTE, None)]
        assert await value(db, "SELECT count(*) FROM checks") == 10

    async def test_two_writers_of_the_same_rows(self, db: Connection, database: str) -> None:
        start = now() - 20 * MINUTE
        rows = [row(start + minute * MINUTE, "mo" if minute > 9 else "o") for minute in range(20)]
        async with connected(database) as one, connected(database) as two, anyio.create_task_group() as writers:
            for connection in (one, two):
                writers.start_soon(self._one_by_one, connection, rows)
        assert await value(db, "SELECT count(*) FROM checks") == 20
        assert await outages(db) == [(start + 10 * MINUTE, None)]
        assert [event["status"] for event in await events(db)][-1] == "outage"

    @staticmethod
    async def _one_by_one(connection: Connection, rows: list[Row]) -> None:
        for one in rows:
            await record(connection, [one])

    async def test_the_database_itself_refuses_a_second_open_outage(self, db: Connection) -> None:
        await record(db, [row(now(), "mo")])
        with pytest.raises(psycopg.errors.UniqueViolation, match="outages_one_open"):
            await db.execute("INSERT INTO outages (service_id, started_at) VALUES ('web', now() - interval '1 day')")

    async def test_a_service_deleted_at_the_same_moment_costs_its_own_rows_only(
        self, db: Connection, database: str
    ) -> None:
        await add_services(db, "doomed")
        batch = [row(now(), service="doomed"), row(now())]
        results: list[tuple[int, int, int]] = []

        async def write(connection: Connection) -> None:
            results.append(await record(connection, batch))

        async with connected(database) as rival, anyio.create_task_group() as writers, db.transaction():
            await db.execute("DELETE FROM services WHERE id = 'doomed'")
            writers.start_soon(write, rival)
            await until_waiting(db)
        assert results == [(1, 0, 1)]
        assert await parked(db) == ["unknown service"]

    async def test_a_service_paused_at_the_same_moment(self, db: Connection, database: str) -> None:
        """A PATCH locks the service, then pauses it; a batch holds its latest check: neither waits for the other."""
        await record(db, [row(now() - MINUTE)])

        async def pause(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute("SELECT FROM services WHERE id = 'web' FOR NO KEY UPDATE")
                await connection.execute("UPDATE services SET enabled = false WHERE id = 'web'")

        async with connected(database) as rival, anyio.create_task_group() as writers, db.transaction():
            await copy(db, [row(now(), "mo")])
            await ask(db, "SELECT record_checks()")
            writers.start_soon(pause, rival)
            await until_waiting(db)
        assert (await state(db))[0] == "unknown"


class TestNotifications:
    async def heard(self, database: str, rows: list[Row]) -> list[str]:
        """The payloads that one batch sends, until a last one of our own."""
        async with connected(database) as ear, connected(database) as mouth:
            await ear.execute("LISTEN sla_monitor")
            await record(mouth, rows)
            await mouth.execute("SELECT pg_notify('sla_monitor', 'ping:end')")
            payloads = []
            with anyio.fail_after(PATIENCE_S):
                async for notification in ear.notifies():
                    if notification.payload == "ping:end":
                        break
                    payloads.append(notification.payload)
        return sorted(payloads)

    async def test_a_check_that_changes_the_state(self, db: Connection, database: str) -> None:
        assert await self.heard(database, [row(now())]) == ["checks", "event"]

    async def test_a_check_that_changes_nothing_but_figures(self, db: Connection, database: str) -> None:
        at = now()
        at = max(at, at.replace(hour=0, minute=1, second=0))  # the first check of a day is news
        await record(db, [row(at - MINUTE), row(at - DAY)])
        assert await self.heard(database, [row(at)]) == ["checks"]

    async def test_a_duplicate_is_silent(self, db: Connection, database: str) -> None:
        batch = [row(now() - MINUTE)]
        await record(db, batch)
        assert await self.heard(database, batch) == []

    async def test_a_service_that_changes(self, db: Connection, database: str) -> None:
        async with connected(database) as ear:
            await ear.execute("LISTEN sla_monitor")
            await db.execute("UPDATE services SET name = 'Web 2' WHERE id = 'web'")
            heard = {notification.payload async for notification in ear.notifies(timeout=PATIENCE_S, stop_after=2)}
        assert heard == {"services", "public-services"}


async def test_a_service_that_is_entered_again_has_its_history_back(db: Connection) -> None:
    start = now() - 5 * MINUTE
    await record(db, [row(start, "mo"), row(start + MINUTE)])
    await db.execute("DELETE FROM services WHERE id = 'web'")
    assert await ask(db, "SELECT FROM latest_checks") == []
    await add_services(db, "web")
    await record(db, [row(now() + timedelta(seconds=1))])
    assert await outages(db) == [(start, start + MINUTE)]
    assert (await state(db))[0] == "operational"
    assert await value(db, "SELECT count(*) FROM checks") == 3


async def test_days_are_those_of_the_reporting_time_zone(db: Connection) -> None:
    await db.execute("UPDATE installation SET time_zone = 'Asia/Kolkata'")
    evening = datetime.fromisoformat(f"{now() - 2 * DAY:%Y-%m-%d}T18:29:59+00:00")
    await record(db, [row(evening), row(evening + timedelta(seconds=1))])
    days = [data["date"] for data in await events(db, "uptime-updated")]
    assert days == [f"{evening:%Y-%m-%d}", f"{evening + DAY:%Y-%m-%d}"]
