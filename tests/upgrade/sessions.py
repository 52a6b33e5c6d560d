"""Small databases of the last release, and sessions of its probers that stay open across an upgrade."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tests.upgrade.history import Fed
from tests.upgrade.processes import LastRelease, of_last_release

TYPES = (
    *("text", "text", "timestamptz", "timestamptz", "int4", "int4", "bool", "text"),
    *("float4", "float4", "float4", "float4", "float4", "int4", "text", "text"),
    *("timestamptz", "text"),
)


def line(low: float, high: float, severity: str = "o", *, service: str = "web", step: int = 300) -> list[Fed]:
    """Checks of one service and location that all say the same, one each `step` seconds."""
    failed = severity == "mo"
    times = range(int(low) // step * step, int(high), step)
    return [
        Fed(service, "local", float(at), step, severity, None if failed else 100.0, "timeout" if failed else None)
        for at in times
    ]


async def installed(release: LastRelease, url: str, *, retention_days: int = 400) -> None:
    """The last release's schema, with a location and a service."""
    await release.call("migrate", url, {"time_zone": "UTC", "retention_days": retention_days})
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO locations (id, name) VALUES ('local', 'Local')")
        connection.execute("INSERT INTO services (id, name, endpoint_url) VALUES ('web', 'Web', 'http://target/')")


async def fed(release: LastRelease, url: str, rows: Sequence[Fed]) -> None:
    """Records as a prober of the last release, and keeps house."""
    assert await release.call("record", url, list(rows)) == [len(rows), 0, 0]
    assert await release.call("keep_house", url) == {}


def ask(url: str, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(question.encode()).fetchall()


class Session:
    """A connection of a prober of the last release, used as its Store does."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("SET statement_timeout = '60s'")
        self.connection.execute(of_last_release("sql/queries/checks/incoming.sql").encode())

    def record(self, rows: Iterable[Fed]) -> tuple[int, int, int]:
        """In one transaction: stored, duplicates, parked."""
        with self.connection.transaction(), self.connection.cursor() as cursor:
            with cursor.copy(of_last_release("sql/queries/checks/copy.sql").encode()) as copy:
                copy.set_types(TYPES)
                for one in rows:
                    copy.write_row(_columns(one))
            cursor.execute("SELECT stored, duplicates, parked FROM record_checks()")
            row = cursor.fetchone()
        assert row is not None
        stored, duplicates, parked = row
        return stored, duplicates, parked


def _columns(one: Fed) -> tuple[Any, ...]:
    at = datetime.fromtimestamp(one.at, UTC)
    failed = one.severity == "mo"
    return (
        *(one.service, one.location, at, at + timedelta(milliseconds=200), one.interval, None if failed else 200),
        *(not failed, one.severity, one.total_ms, 1.0, 2.0, None, None if failed else 50.0, 1),
        *(one.error_type, "it was slow" if failed else None, None, None),
    )
