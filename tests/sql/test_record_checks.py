"""record_checks_v2(): in one transaction it stores each row once, parks invalid rows, updates states and outages, and
appends events."""

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
    connected,
    copy,
    fetch,
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
    return [data for (data,) in await fetch(db, "SELECT data FROM events WHERE event = %s ORDER BY seq", (event,))]


async def parked(db: Connection) -> list[str]:
    return [reason for (reason,) in await fetch(db, "SELECT reason FROM parked_checks ORDER BY 1")]


class TestStoring:
    async def test_a_repeated_batch_is_stored_once(self, db: Connection) -> None:
        start = now() - 10 * MINUTE
        batch = [row(start + minute * MINUTE, "mo" if minute in (3, 4) else "o") for minute in range(10)]
        assert await record(db, batch) == (10, 0, 0)
        before = [await fetch(db, statement) for statement in (KEYS, "SELECT * FROM outages", "SELECT * FROM events")]

        assert await record(db, batch) == (0, 10, 0)
        assert await record(db, batch[5:] + batch[:5]) == (0, 10, 0)

        after = [await fetch(db, statement) for statement in (KEYS, "SELECT * FROM outages", "SELECT * FROM events")]
        assert after == before

    async def test_duplicates_within_a_batch_are_stored_once(self, db: Connection) -> None:
        start = now() - 10 * MINUTE
        batch = [row(start), row(start), row(start + MINUTE), row(start + MINUTE), row(start + MINUTE)]
        assert await record(db, batch) == (2, 3, 0)
        assert await record(db, [row(start + MINUTE), row(start + 2 * MINUTE), row(start + 2 * MINUTE)]) == (1, 2, 0)

    async def test_the_first_check_of_a_slot_is_kept(self, db: Connection) -> None:
        slot = now() - MINUTE
        await record(db, [row(slot, total_ms=100.0)])
        await record(db, [row(slot, "mo")])
        assert await fetch(db, "SELECT severity::text, total_ms FROM checks") == [("o", 100.0)]
        assert (await state(db))[0] == "operational"

    @pytest.mark.engines("timescaledb")  # plain PostgreSQL does not compress
    async def test_rows_are_stored_in_compressed_chunks(self, db: Connection) -> None:
        start = now() - 5 * DAY
        batch = [row(start + minute * MINUTE) for minute in range(0, 60, 2)]
        late = [row(start + minute * MINUTE) for minute in range(60)]
        await record(db, batch)
        await fetch(db, "SELECT compress_chunk(chunk) FROM show_chunks('checks') AS chunk")

        assert await record(db, batch) == (0, 30, 0)
        assert await record(db, late) == (30, 30, 0)
        assert await value(db, "SELECT count(*) FROM checks") == 60

    async def test_rows_inserted_in_sql_are_duplicates(self, db: Connection) -> None:
        """They are not in latest_checks, so the INSERT of a later batch conflicts with them."""
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

    async def test_times_are_stored_in_sixteenths_and_messages_up_to_500_characters(self, db: Connection) -> None:
        slot = now()
        times: dict[str, Any] = {
            "total_ms": 123.456,
            "dns_ms": 0.01,
            "connect_ms": 0.04,
            "tls_ms": None,
            "first_byte_ms": 99.97,
        }
        await record(db, [row(slot, "mo", error_message="x" * 10_000, **times)])
        stored = await fetch(
            db, "SELECT total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, length(error_message) FROM checks"
        )
        assert stored == [(123.4375, 0.0, 0.0625, None, 100.0, 500)]
        assert await value(db, "SELECT length(error_message) FROM latest_checks") == 500
        assert await value(db, "SELECT length(error_message) FROM outages") == 500

    async def test_an_empty_batch_is_accepted(self, db: Connection) -> None:
        assert await record(db, []) == (0, 0, 0)

    async def test_the_fields_are_stored_unchanged(self, db: Connection) -> None:
        check = row(now(), "po", status_code=204, tls_ms=7.5, attempts=3, interval_seconds=30)
        await record(db, [check])
        [found] = await fetch(
            db,
            "SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, "
            "severity::text, total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message "
            "FROM checks",
        )
        # The check finished 200 ms after its scheduled time, which is stored as the end of the first quarter of a
        # second.
        assert check.scheduled_at is not None
        assert Row(*found) == check._replace(finished_at=check.scheduled_at + timedelta(milliseconds=250))


INVALID: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "unknown service": ({"service_id": "missing"}, "unknown service"),
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
    "successful but mo": ({"severity": "mo"}, "success contradicts severity"),
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


class TestParking:
    async def test_an_invalid_row_is_parked_and_the_rest_is_stored(self, db: Connection) -> None:
        start = now() - 300 * MINUTE
        for number, (kind, (changes, reason)) in enumerate(INVALID.items()):
            valid = [row(start + (5 * number + minute) * MINUTE) for minute in range(3)]
            invalid = row(now())._replace(**changes)

            assert await record(db, [*valid[:2], invalid, valid[2]]) == (3, 0, 1), kind

            [(found, data)] = await fetch(db, "DELETE FROM parked_checks RETURNING reason, data")
            assert found == reason, kind
            assert set(data) == set(Row._fields)
            assert (data["service_id"], data["attempts"]) == (invalid.service_id, invalid.attempts)
        assert await value(db, "SELECT count(*) FROM checks") == 3 * len(INVALID)

    async def test_all_kinds_of_invalid_rows_in_one_batch_are_parked(self, db: Connection) -> None:
        invalid = [row(now())._replace(**changes) for changes, _ in INVALID.values()]
        assert await record(db, [row(now()), *invalid]) == (1, 0, len(invalid))
        assert await parked(db) == sorted(reason for _, reason in INVALID.values())

    async def test_checks_more_than_five_minutes_ahead_are_parked(self, db: Connection) -> None:
        late, early = now() + 5 * MINUTE + timedelta(seconds=20), now() + 4 * MINUTE
        assert await record(db, [row(late), row(early)]) == (1, 0, 1)
        assert await parked(db) == ["from the future"]

    async def test_checks_older_than_the_retention_are_parked(self, db: Connection) -> None:
        """They would be dropped at once, and the aggregates of their day can no longer be recomputed."""
        retention = await value(db, "SELECT retention FROM installation")
        old, young = now() - retention, now() - retention + DAY + MINUTE
        assert await record(db, [row(old), row(young), row(old - 9000 * DAY)]) == (1, 0, 2)
        assert await parked(db) == ["older than retention"] * 2

    async def test_a_check_that_ends_before_it_began_is_parked(self, db: Connection) -> None:
        slot = now()
        rows = [row(slot, finished_at=slot - 2 * MINUTE), row(slot - MINUTE, finished_at=slot - MINUTE)]
        assert await record(db, rows) == (1, 0, 1)
        assert await parked(db) == ["finished before it began"]

    async def test_infinite_times_are_parked(self, db: Connection) -> None:
        async with db.transaction():
            await copy(db, [row(now())])
            for time in ("infinity", "-infinity"):
                await db.execute("INSERT INTO incoming_checks SELECT * FROM incoming_checks LIMIT 1")
                await db.execute(
                    "UPDATE incoming_checks SET scheduled_at = %s WHERE ctid = "
                    "(SELECT ctid FROM incoming_checks WHERE isfinite(scheduled_at) LIMIT 1)",
                    (time,),
                )
            assert await fetch(db, "SELECT stored, parked FROM record_checks()") == [(1, 2)]
        assert await parked(db) == ["from the future", "older than retention"]


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


class TestEvents:
    async def test_status_updates_have_the_order_of_the_changes(self, db: Connection) -> None:
        start = now() - 3 * MINUTE
        for minute, severity in enumerate(("o", "mo", "po")):
            await record(db, [row(start + minute * MINUTE, severity, interval_seconds=300)])
        updates = await fetch(db, "SELECT room, data FROM events WHERE event = 'status-update' ORDER BY seq")
        assert updates == [
            (
                "system-status",
                {"serviceId": "web", "status": name, "timestamp": f"{start + minute * MINUTE:%Y-%m-%dT%H:%M:%S}.000Z"},
            )
            for minute, name in enumerate(("operational", "outage", "degraded"))
        ]

    async def test_an_unchanged_state_sends_no_event(self, db: Connection) -> None:
        await record(db, [row(now() - 2 * MINUTE, "mo")])
        await record(db, [row(now() - MINUTE, "mo")])
        assert len(await events(db)) == 1

    async def test_events_of_private_services_go_to_users_only(self, db: Connection) -> None:
        await add_services(db, "secret", public=False)
        await record(db, [row(now() - MINUTE, "mo", service="secret"), row(now(), service="secret")])
        await fetch(db, "UPDATE services SET enabled = false WHERE id = 'secret' RETURNING 1")
        assert (await state(db, "secret"))[0] == "unknown"
        assert await fetch(db, "SELECT DISTINCT event, room FROM events ORDER BY room") == [
            ("status-update", "system-status-inside"),
            ("uptime-updated", "uptime-inside"),
        ]
        assert len(await outages(db, "secret")) == 1

    async def test_each_worse_status_of_a_day_sends_one_event(self, db: Connection) -> None:
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

    async def test_event_numbers_have_the_order_of_the_commits(self, db: Connection, database: str) -> None:
        """The second writer gets no number while the first one, with a lower number, has not committed."""
        await add_services(db, "other")
        async with connected(database) as rival:
            async with db.transaction():
                await copy(db, [row(now())])
                await fetch(db, "SELECT record_checks()")
                async with anyio.create_task_group() as writers:
                    writers.start_soon(record, rival, [row(now(), "mo", service="other")])
                    await until_waiting(db)
                    assert await value(db, "SELECT count(*) FROM events") == 2
                    await db.execute("COMMIT")
                    await db.execute("BEGIN")
            numbered = await fetch(db, "SELECT seq, data ->> 'serviceId' FROM events ORDER BY seq")
        assert [service for _, service in numbered] == ["web", "web", "other", "other"]


class TestNumbers:
    """The numbers of public and internal events."""

    async def test_internal_events_never_get_a_public_number(self, db: Connection) -> None:
        for room in ("uptime", "staff"):
            await db.execute("SELECT append_event('e', %s, '{}')", (room,))
        await db.execute("SELECT setval(pg_get_serial_sequence('events', 'seq'), 131071)")
        await db.execute("SELECT append_event('e', 'incident-INC-2026-0001', '{}'), append_event('e', NULL, '{}')")
        assert [seq for (seq,) in await fetch(db, "SELECT seq FROM events ORDER BY seq")] == [
            65536,
            65537,
            131073,
            196608,
        ]

    async def test_hiding_and_pausing_a_service_locks_recording_before_events(
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


class TestConcurrentWriters:
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

    async def test_two_writers_of_the_same_rows_store_them_once(self, db: Connection, database: str) -> None:
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

    async def test_a_constraint_refuses_a_second_open_outage(self, db: Connection) -> None:
        await record(db, [row(now(), "mo")])
        with pytest.raises(psycopg.errors.UniqueViolation, match="outages_one_open"):
            await db.execute("INSERT INTO outages (service_id, started_at) VALUES ('web', now() - interval '1 day')")

    async def test_a_service_deleted_meanwhile_parks_its_own_rows_only(self, db: Connection, database: str) -> None:
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

    async def test_a_service_paused_meanwhile_causes_no_deadlock(self, db: Connection, database: str) -> None:
        """A PATCH locks the service and then pauses it, while a batch has locked its latest check."""
        await record(db, [row(now() - MINUTE)])

        async def pause(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute("SELECT FROM services WHERE id = 'web' FOR NO KEY UPDATE")
                await connection.execute("UPDATE services SET enabled = false WHERE id = 'web'")

        async with connected(database) as rival, anyio.create_task_group() as writers, db.transaction():
            await copy(db, [row(now(), "mo")])
            await fetch(db, "SELECT record_checks()")
            writers.start_soon(pause, rival)
            await until_waiting(db)
        assert (await state(db))[0] == "unknown"


class TestNotifications:
    async def payloads(self, database: str, rows: list[Row]) -> list[str]:
        """Returns the payloads of the notifications of one batch."""
        async with connected(database) as listener, connected(database) as writer:
            await listener.execute("LISTEN sla_monitor")
            await record(writer, rows)
            await writer.execute("SELECT pg_notify('sla_monitor', 'ping:end')")
            payloads = []
            with anyio.fail_after(PATIENCE_S):
                async for notification in listener.notifies():
                    if notification.payload == "ping:end":
                        break
                    payloads.append(notification.payload)
        return sorted(payloads)

    async def test_a_check_that_changes_the_state_notifies_events(self, db: Connection, database: str) -> None:
        assert await self.payloads(database, [row(now())]) == ["checks", "event"]

    async def test_a_check_without_a_new_state_notifies_checks(self, db: Connection, database: str) -> None:
        at = now()
        at = max(at, at.replace(hour=0, minute=1, second=0))  # the first check of a day sends an event
        await record(db, [row(at - MINUTE), row(at - DAY)])
        assert await self.payloads(database, [row(at)]) == ["checks"]

    async def test_a_duplicate_sends_no_notification(self, db: Connection, database: str) -> None:
        batch = [row(now() - MINUTE)]
        await record(db, batch)
        assert await self.payloads(database, batch) == []

    async def test_a_changed_service_notifies_services(self, db: Connection, database: str) -> None:
        async with connected(database) as listener:
            await listener.execute("LISTEN sla_monitor")
            await db.execute("UPDATE services SET name = 'Web 2' WHERE id = 'web'")
            payloads = {
                notification.payload async for notification in listener.notifies(timeout=PATIENCE_S, stop_after=2)
            }
        assert payloads == {"services", "public-services"}


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


async def test_days_are_those_of_the_reporting_time_zone(db: Connection) -> None:
    await db.execute("UPDATE installation SET time_zone = 'Asia/Kolkata'")
    evening = datetime.fromisoformat(f"{now() - 2 * DAY:%Y-%m-%d}T18:29:59+00:00")
    await record(db, [row(evening), row(evening + timedelta(seconds=1))])
    days = [data["date"] for data in await events(db, "uptime-updated")]
    assert days == [f"{evening:%Y-%m-%d}", f"{evening + DAY:%Y-%m-%d}"]
