"""Batches of checks, recorded as a prober records them, and queries, for the tests of the database."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import anyio
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

import sql
from tests.pauses import pauses

TYPES = (
    *("text", "text", "timestamptz", "timestamptz", "int4", "int4", "bool", "text"),
    *("float4", "float4", "float4", "float4", "float4", "int4", "text", "text"),
    *("timestamptz", "text"),
)
QUARTER = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
AGGREGATES = (
    *("checks_15m", "checks_hourly", "checks_daily"),
    *("latency_15m", "latency_hourly", "latency_daily"),
    *("phases_15m", "phases_hourly", "phases_daily"),
)
PATIENCE_S = 120.0

Connection = AsyncConnection[TupleRow]


class Row(NamedTuple):
    """One raw check. The fields have the order of queries/checks/copy.sql and can have invalid values."""

    service_id: str | None
    location: str | None
    scheduled_at: datetime | None
    finished_at: datetime | None
    interval_seconds: int | None
    status_code: int | None
    success: bool | None
    severity: str | None
    total_ms: float | None
    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    attempts: int | None
    error_type: str | None
    error_message: str | None
    certificate_expires_at: datetime | None = None
    certificate_issuer: str | None = None


def row(at: datetime, severity: str = "o", *, service: str = "web", location: str = "local", **changes: Any) -> Row:
    """Returns a valid check of `at`, failed if `severity` is mo. `changes` replace single fields."""
    failed = severity == "mo"
    return Row(
        service_id=service,
        location=location,
        scheduled_at=at,
        finished_at=at + timedelta(milliseconds=200),
        interval_seconds=60,
        status_code=None if failed else 200,
        success=not failed,
        severity=severity,
        total_ms=None if failed else 3500.0 if severity == "po" else 120.5,
        dns_ms=1.0,
        connect_ms=2.0,
        tls_ms=None,
        first_byte_ms=100.0,
        attempts=1,
        error_type="timeout" if failed else None,
        error_message="timed out after 7000 ms" if failed else None,
    )._replace(**changes)


def now() -> datetime:
    """Returns the current time without fractions of a second."""
    return datetime.now(UTC).replace(microsecond=0)


def quarter(at: datetime) -> datetime:
    """Returns the start of the quarter of an hour that contains `at`."""
    return at - timedelta(seconds=at.timestamp() % QUARTER.total_seconds())


@asynccontextmanager
async def connected(database_url: str) -> AsyncIterator[Connection]:
    """An autocommit connection with a statement timeout of 30 s."""
    async with await sql.connect(database_url, application="sla-monitor tests") as connection:
        await connection.execute("SELECT set_config('statement_timeout', '30s', false)")
        await connection.execute("SELECT set_config('client_min_messages', 'warning', false)")
        yield connection


async def add_locations(connection: Connection, *ids: str) -> None:
    for location in ids:
        await connection.execute(sql.query("locations/register"), {"id": location})


async def add_services(connection: Connection, *ids: str, public: bool = True) -> None:
    for service in ids:
        await connection.execute(
            "INSERT INTO services (id, name, endpoint_url, public) VALUES (%s, %s, 'http://target/', %s)",
            (service, service.title(), public),
        )


async def copy(connection: Connection, rows: Iterable[Row]) -> None:
    """Copies a batch to incoming_checks, in the transaction of the caller."""
    await connection.execute(sql.query("checks/incoming"))
    async with connection.cursor().copy(sql.query("checks/copy")) as stream:
        stream.set_types(TYPES)
        for one in rows:
            await stream.write_row(one)


async def record(connection: Connection, rows: Iterable[Row]) -> tuple[int, int, int]:
    """Records a batch like a prober. Returns the numbers of stored, duplicate and parked rows."""
    async with connection.transaction():
        await copy(connection, rows)
        found = await fetch(connection, "SELECT stored, duplicates, parked FROM record_checks_v2()")
    stored, duplicates, parked = found[0]
    return stored, duplicates, parked


async def set_clock(connection: Connection, moment: datetime) -> None:
    """Sets the current time of the database for every connection, until it is set again."""
    for function, volatility in (("present", "STABLE"), ("present_clock", "VOLATILE")):
        await connection.execute(
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS timestamptz LANGUAGE sql {volatility} "
            f"RETURN timestamptz '{moment.isoformat()}'".encode()
        )


async def fetch(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> list[TupleRow]:
    cursor = await connection.execute(statement.encode(), parameters)
    return await cursor.fetchall()


async def value(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> Any:
    """Returns the only column of the only row."""
    [[found]] = await fetch(connection, statement, parameters)
    return found


async def until_true(connection: Connection, statement: str) -> None:
    """Returns when the statement returns true."""
    with anyio.fail_after(PATIENCE_S):
        for pause_s in pauses():
            if await value(connection, statement):
                return
            await anyio.sleep(pause_s)
            await connection.execute("SELECT pg_stat_clear_snapshot()")


async def until_waiting(connection: Connection) -> None:
    """Returns when a session of this database waits for an advisory lock."""
    waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
    await until_true(connection, f"SELECT count(*) > 0 {waiting}")


async def outages(connection: Connection, service: str = "web") -> list[tuple[datetime, datetime | None]]:
    found = await fetch(
        connection, "SELECT started_at, ended_at FROM outages WHERE service_id = %s ORDER BY 1", (service,)
    )
    return [(started, ended) for started, ended in found]


async def state(connection: Connection, service: str = "web") -> tuple[str, datetime]:
    [(name, since)] = await fetch(
        connection, "SELECT state::text, since FROM service_states WHERE service_id = %s", (service,)
    )
    return name, since


async def is_timescaledb(connection: Connection) -> bool:
    return bool(await value(connection, "SELECT engine = 'timescaledb' FROM installation"))


async def events(db: Connection, event: str = "status-update") -> list[Any]:
    return [data for (data,) in await fetch(db, "SELECT data FROM events WHERE event = %s ORDER BY seq", (event,))]


async def parked(db: Connection) -> list[str]:
    return [reason for (reason,) in await fetch(db, "SELECT reason FROM parked_checks ORDER BY 1")]
