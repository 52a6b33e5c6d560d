"""record_checks_v2() stores each row once and parks invalid rows."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.sql.batches import (
    DAY,
    MINUTE,
    Connection,
    Row,
    copy,
    fetch,
    now,
    outages,
    parked,
    record,
    row,
    state,
    value,
)

KEYS = "SELECT service_id, location, scheduled_at FROM checks ORDER BY 1, 2, 3"


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
