"""Small databases of the last release, and sessions of its probers that stay open across an upgrade."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tests.upgrade.history import CheckRow
from tests.upgrade.processes import LastRelease, of_last_release

TYPES = (
    *("text", "text", "timestamptz", "timestamptz", "int4", "int4", "bool", "text"),
    *("float4", "float4", "float4", "float4", "float4", "int4", "text", "text"),
    *("timestamptz", "text"),
)


def line(low: float, high: float, severity: str = "o", *, service: str = "web", step: int = 300) -> list[CheckRow]:
    """Checks of one service and location with the same severity, one every `step` seconds."""
    failed = severity == "mo"
    times = range(int(low) // step * step, int(high), step)
    return [
        CheckRow(service, "local", float(at), step, severity, None if failed else 100.0, "timeout" if failed else None)
        for at in times
    ]


async def install(release: LastRelease, url: str, *, retention_days: int = 400) -> None:
    """Creates the schema of the last release, with one location and one service."""
    await release.call("migrate", url, {"time_zone": "UTC", "retention_days": retention_days})
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO locations (id, name) VALUES ('local', 'Local')")
        connection.execute("INSERT INTO services (id, name, endpoint_url) VALUES ('web', 'Web', 'http://target/')")


async def record_and_refresh(release: LastRelease, url: str, rows: Sequence[CheckRow]) -> None:
    """Records checks with the last release and runs its housekeeping."""
    assert await release.call("record", url, list(rows)) == [len(rows), 0, 0]
    assert await release.call("housekeep", url) == {}


def fetch(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


class Session:
    """A database connection of a prober of the last release, used as its Store uses it."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("SET statement_timeout = '60s'")
        self.connection.execute(of_last_release("sql/queries/checks/incoming.sql").encode())

    def record(self, rows: Iterable[CheckRow]) -> tuple[int, int, int]:
        """Records checks in one transaction. Returns the numbers of stored, duplicate and parked rows."""
        with self.connection.transaction(), self.connection.cursor() as cursor:
            with cursor.copy(of_last_release("sql/queries/checks/copy.sql").encode()) as copy:
                copy.set_types(TYPES)
                for check in rows:
                    copy.write_row(_columns(check))
            cursor.execute("SELECT stored, duplicates, parked FROM record_checks()")
            row = cursor.fetchone()
        assert row is not None
        stored, duplicates, parked = row
        return stored, duplicates, parked


def _columns(check: CheckRow) -> tuple[Any, ...]:
    at = datetime.fromtimestamp(check.at, UTC)
    failed = check.severity == "mo"
    return (
        *(check.service, check.location, at, at + timedelta(milliseconds=200), check.interval, None if failed else 200),
        *(not failed, check.severity, check.total_ms, 1.0, 2.0, None, None if failed else 50.0, 1),
        *(check.error_type, "it was slow" if failed else None, None, None),
    )
