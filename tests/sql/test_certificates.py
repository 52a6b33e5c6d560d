"""What is known of certificates: the last look of each location, and the first to expire in service_status."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.sql.batches import DAY, MINUTE, Connection, ask, now, record, row

EXPIRES = now() + 40 * DAY


def seen(minutes_ago: int, expires_at: datetime | None = EXPIRES, issuer: str | None = "Acme", **changes: Any) -> Any:
    at = now() - minutes_ago * MINUTE
    return row(at, certificate_expires_at=expires_at, certificate_issuer=issuer, **changes)


async def known(db: Connection) -> list[tuple[datetime | None, str | None]]:
    found = await ask(
        db, "SELECT certificate_expires_at, certificate_issuer FROM service_status WHERE service_id = 'web'"
    )
    return [(expires_at, issuer) for expires_at, issuer in found]


async def test_it_stays_while_checks_tell_nothing(db: Connection) -> None:
    await record(db, [row(now() - 9 * MINUTE)])
    assert await known(db) == [(None, None)]
    await record(db, [seen(8)])
    await record(db, [row(now() - 7 * MINUTE, "mo"), row(now() - 6 * MINUTE)])
    assert await known(db) == [(EXPIRES, "Acme")]
    await record(db, [seen(5, EXPIRES - DAY, "Initech")])
    assert await known(db) == [(EXPIRES - DAY, "Initech")], "a new one, though it expires sooner"


async def test_of_one_batch_the_last_look_counts(db: Connection) -> None:
    await record(db, [seen(3, EXPIRES + DAY), seen(4), row(now() - 2 * MINUTE), row(now() - 5 * MINUTE)])
    assert await known(db) == [(EXPIRES + DAY, "Acme")]


async def test_a_late_check_knows_nothing_new(db: Connection) -> None:
    await record(db, [seen(2)])
    await record(db, [seen(9, EXPIRES - 9 * DAY)])
    assert await known(db) == [(EXPIRES, "Acme")]


async def test_the_first_to_expire_of_the_locations(db: Connection) -> None:
    await record(db, [seen(2), seen(2, EXPIRES - DAY, "Initech", location="seoul"), row(now(), location="fra-1")])
    assert await known(db) == [(EXPIRES - DAY, "Initech")]


async def test_a_location_that_no_longer_looks_does_not_count(db: Connection) -> None:
    """It would show a certificate that was replaced long ago."""
    await record(db, [seen(0), seen(600, EXPIRES - 39 * DAY, location="seoul")])
    await ask(db, "SELECT expire_states()")
    assert await known(db) == [(EXPIRES, "Acme")]


async def test_when_none_looks_the_last_is_known(db: Connection) -> None:
    await record(db, [seen(600)])
    await ask(db, "SELECT expire_states()")
    assert await known(db) == [(EXPIRES, "Acme")]


async def test_another_url_forgets_it(db: Connection) -> None:
    await record(db, [seen(5)])
    await db.execute("UPDATE services SET name = 'The web', endpoint_url = endpoint_url")
    assert await known(db) == [(EXPIRES, "Acme")]
    await db.execute("UPDATE services SET endpoint_url = 'https://elsewhere.example/'")
    assert await known(db) == [(None, None)]
    await record(db, [seen(3)])
    assert await known(db) == [(None, None)], "a check that was under way, or in a spool, asked the old URL"
    await record(db, [seen(-1)])
    assert await known(db) == [(EXPIRES, "Acme")]


@pytest.mark.parametrize("expires_at", ["infinity", "-infinity", "9999-12-31", "0044-03-15 BC"])
async def test_nonsense_is_not_kept_and_costs_no_row(db: Connection, expires_at: str) -> None:
    await record(db, [seen(3)])
    async with db.transaction():
        await record(db, [])
        await db.execute(
            "INSERT INTO incoming_checks SELECT service_id, location, scheduled_at + interval '1 minute', "
            "finished_at + interval '1 minute', 60, 200, true, 'o', total_ms, NULL, NULL, NULL, NULL, 1, NULL, NULL, "
            "%s, repeat('x', 9999) FROM checks",
            (expires_at,),
        )
        assert await ask(db, "SELECT stored, parked FROM record_checks()") == [(1, 0)]
    assert await known(db) == [(EXPIRES, "Acme")]


async def test_a_row_that_is_parked_for_its_time_is_no_witness(db: Connection) -> None:
    await record(db, [row(now())])
    stored, _, parked = await record(db, [seen(-600), seen(1000 * 24 * 60)])
    assert (stored, parked) == (0, 2)
    assert await known(db) == [(None, None)]


async def test_a_long_issuer_is_cut(db: Connection) -> None:
    await record(db, [seen(3, issuer="x" * 9999)])
    assert await known(db) == [(EXPIRES, "x" * 100)]


async def test_a_prober_of_an_earlier_version_is_still_heard(db: Connection) -> None:
    """Its table has no columns for certificates."""
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
        assert await ask(db, "SELECT stored, parked FROM record_checks()") == [(1, 0)]
        await db.execute("DROP TABLE incoming_checks")
