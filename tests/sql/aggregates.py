"""Counts of checks in the continuous aggregates."""

from datetime import datetime, timedelta

from tests.sql.batches import (
    AGGREGATES,
    MINUTE,
    Connection,
    Row,
    now,
    row,
    value,
)

HOUR = timedelta(hours=1)
MIDNIGHT = now().replace(hour=0, minute=0, second=0)


async def counts(db: Connection, low: datetime, high: datetime) -> dict[str, int]:
    """Returns the number of checks in each aggregate between two times."""
    return {
        name: int(
            await value(
                db, f"SELECT coalesce(sum(checks), 0) FROM {name} WHERE bucket >= %s AND bucket < %s", (low, high)
            )
        )
        for name in AGGREGATES
    }


def minutely(start: datetime, minutes: int, severity: str = "o") -> list[Row]:
    return [row(start + minute * MINUTE, severity) for minute in range(minutes)]
