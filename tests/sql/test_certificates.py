"""Certificates: the last one seen by each location, and the first to expire in service_status."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.sql.batches import DAY, MINUTE, Connection, fetch, now, record, row

EXPIRES = now() + 40 * DAY


def check_with_certificate(
    minutes_ago: int, expires_at: datetime | None = EXPIRES, issuer: str | None = "Acme", **changes: Any
) -> Any:
    at = now() - minutes_ago * MINUTE
    return row(at, certificate_expires_at=expires_at, certificate_issuer=issuer, **changes)


async def certificates(db: Connection) -> list[tuple[datetime | None, str | None]]:
    found = await fetch(
        db, "SELECT certificate_expires_at, certificate_issuer FROM service_status WHERE service_id = 'web'"
    )
    return [(expires_at, issuer) for expires_at, issuer in found]


async def test_checks_without_a_certificate_keep_the_last_one(db: Connection) -> None:
    await record(db, [row(now() - 9 * MINUTE)])
    assert await certificates(db) == [(None, None)]
    await record(db, [check_with_certificate(8)])
    await record(db, [row(now() - 7 * MINUTE, "mo"), row(now() - 6 * MINUTE)])
    assert await certificates(db) == [(EXPIRES, "Acme")]
    await record(db, [check_with_certificate(5, EXPIRES - DAY, "Initech")])
    assert await certificates(db) == [(EXPIRES - DAY, "Initech")], (
        "the newest certificate is shown, though it expires sooner"
    )


async def test_the_latest_check_of_a_batch_counts(db: Connection) -> None:
    await record(
        db,
        [
            check_with_certificate(3, EXPIRES + DAY),
            check_with_certificate(4),
            row(now() - 2 * MINUTE),
            row(now() - 5 * MINUTE),
        ],
    )
    assert await certificates(db) == [(EXPIRES + DAY, "Acme")]


async def test_a_late_check_does_not_replace_the_certificate(db: Connection) -> None:
    await record(db, [check_with_certificate(2)])
    await record(db, [check_with_certificate(9, EXPIRES - 9 * DAY)])
    assert await certificates(db) == [(EXPIRES, "Acme")]


async def test_of_several_locations_the_first_to_expire_is_shown(db: Connection) -> None:
    await record(
        db,
        [
            check_with_certificate(2),
            check_with_certificate(2, EXPIRES - DAY, "Initech", location="seoul"),
            row(now(), location="fra-1"),
        ],
    )
    assert await certificates(db) == [(EXPIRES - DAY, "Initech")]


async def test_a_location_without_recent_checks_does_not_count(db: Connection) -> None:
    """The certificate may have been replaced since its last check."""
    await record(db, [check_with_certificate(0), check_with_certificate(600, EXPIRES - 39 * DAY, location="seoul")])
    await fetch(db, "SELECT expire_states()")
    assert await certificates(db) == [(EXPIRES, "Acme")]


async def test_without_recent_checks_the_last_certificate_is_shown(db: Connection) -> None:
    await record(db, [check_with_certificate(600)])
    await fetch(db, "SELECT expire_states()")
    assert await certificates(db) == [(EXPIRES, "Acme")]


async def test_a_new_url_removes_the_certificate(db: Connection) -> None:
    await record(db, [check_with_certificate(5)])
    await db.execute("UPDATE services SET name = 'The web', endpoint_url = endpoint_url")
    assert await certificates(db) == [(EXPIRES, "Acme")]
    await db.execute("UPDATE services SET endpoint_url = 'https://elsewhere.example/'")
    assert await certificates(db) == [(None, None)]
    await record(db, [check_with_certificate(3)])
    assert await certificates(db) == [(None, None)], "a check from before the change saw the certificate of the old URL"
    await record(db, [check_with_certificate(-1)])
    assert await certificates(db) == [(EXPIRES, "Acme")]


@pytest.mark.parametrize("expires_at", ["infinity", "-infinity", "9999-12-31", "0044-03-15 BC"])
async def test_an_invalid_certificate_is_ignored_and_its_check_is_stored(db: Connection, expires_at: str) -> None:
    await record(db, [check_with_certificate(3)])
    async with db.transaction():
        await record(db, [])
        await db.execute(
            "INSERT INTO incoming_checks SELECT service_id, location, scheduled_at + interval '1 minute', "
            "finished_at + interval '1 minute', 60, 200, true, 'o', total_ms, NULL, NULL, NULL, NULL, 1, NULL, NULL, "
            "%s, repeat('x', 9999) FROM checks",
            (expires_at,),
        )
        assert await fetch(db, "SELECT stored, parked FROM record_checks()") == [(1, 0)]
    assert await certificates(db) == [(EXPIRES, "Acme")]


async def test_the_certificate_of_a_parked_row_is_ignored(db: Connection) -> None:
    await record(db, [row(now())])
    stored, _, parked = await record(db, [check_with_certificate(-600), check_with_certificate(1000 * 24 * 60)])
    assert (stored, parked) == (0, 2)
    assert await certificates(db) == [(None, None)]


async def test_a_long_issuer_is_cut(db: Connection) -> None:
    await record(db, [check_with_certificate(3, issuer="x" * 9999)])
    assert await certificates(db) == [(EXPIRES, "x" * 100)]


async def test_checks_of_an_earlier_version_without_certificates_are_recorded(db: Connection) -> None:
    """The table incoming_checks of that version has no columns for certificates."""
    async with db.transaction():
        await record(db, [])
        await db.execute(
            "ALTER TABLE incoming_checks DROP COLUMN certificate_expires_at, DROP COLUMN certificate_issuer"
        )
        at = now() - timedelta(minutes=1)
        await db.execute(
            "INSERT INTO incoming_checks VALUES ('web', 'local', %s, %s, 60, 200, true, 'o', "
            "9, NULL, NULL, NULL, NULL, 1, NULL, NULL)",
            (at, at),
        )
        assert await fetch(db, "SELECT stored, parked FROM record_checks()") == [(1, 0)]
        await db.execute("DROP TABLE incoming_checks")
