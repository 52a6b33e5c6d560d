"""Every process of a test has the same date, whatever it is: without that test_dates.py would try nothing."""

from datetime import UTC, datetime, timedelta

from tests.sql.batches import Connection, value

CLOSE = timedelta(seconds=5)


async def test_the_server_has_the_date_of_the_tests(db: Connection) -> None:
    before = datetime.now(UTC)
    found: datetime = await value(db, "SELECT clock_timestamp()")
    assert before - CLOSE < found < datetime.now(UTC) + CLOSE
