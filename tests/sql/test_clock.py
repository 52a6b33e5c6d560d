"""All processes of a test have the same date. Otherwise test_dates.py would not test other dates."""

from datetime import UTC, datetime, timedelta

from tests.sql.batches import Connection, value

TOLERANCE = timedelta(seconds=5)


async def test_the_server_has_the_date_of_the_tests(db: Connection) -> None:
    before = datetime.now(UTC)
    found: datetime = await value(db, "SELECT clock_timestamp()")
    assert before - TOLERANCE < found < datetime.now(UTC) + TOLERANCE
