"""The connection and the transaction that store checks."""

from collections.abc import Sequence
from datetime import datetime
from time import perf_counter
from typing import NamedTuple

import anyio
import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

import sql
from prober.metrics import Metrics
from prober.outcome import printable

STATEMENT_TIMEOUT_MS = 30_000
_COLUMN_TYPES = (
    *("text", "text", "timestamptz", "timestamptz", "int4", "int4", "bool", "text"),
    *("float4", "float4", "float4", "float4", "float4", "int4", "text", "text"),
    *("timestamptz", "text"),
)


class Check(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One raw row. The order of its fields is that of `queries/checks/copy.sql` and of the spool. Durations are
    milliseconds; None means that the phase did not happen. The key is (service_id, location, scheduled_at). Fields
    after the error have defaults, so that a spool of an earlier version can be read."""

    service_id: str
    location: str
    scheduled_at: datetime
    finished_at: datetime
    interval_seconds: int
    status_code: int | None
    success: bool
    severity: str
    total_ms: float | None
    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    attempts: int
    error_type: str | None
    error_message: str | None
    certificate_expires_at: datetime | None = None
    certificate_issuer: str | None = None


class Recorded(NamedTuple):
    """The result of record_checks() for a batch."""

    stored: int
    duplicates: int
    parked: int


class AwayError(Exception):
    """It is unknown whether the batch is stored. The cause is not its contents: the database cannot be reached or did
    not respond in time, the acknowledgement of COMMIT was lost, or the schema is not migrated. A retry is harmless."""


class RefusedError(Exception):
    """The database refuses the batch because of its contents; nothing of it is stored."""


_REFUSALS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.RaiseException,
    UnicodeEncodeError,  # psycopg raises it for a lone surrogate
    OverflowError,
)


def _lacks_partition(error: Exception) -> bool:
    """Whether there is no partition for a row's time: PostgreSQL reports a check violation without a
    constraint. A retry is useful, since the worker creates partitions."""
    return isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name is None


def reason(error: Exception) -> str:
    """The message of an error on one line."""
    return printable(" ".join(str(error).split())) or type(error).__name__


class Store:
    """Writes batches over its own connection, which is opened when needed and closed after any failure."""

    def __init__(self, database_url: str, location: str, metrics: Metrics) -> None:
        self.stored = 0  # rows, since the start
        self._database_url = database_url
        self._location = location
        self._metrics = metrics
        self._connection: AsyncConnection[TupleRow] | None = None
        self._one_at_a_time = anyio.Lock()

    async def record(self, checks: Sequence[Check], timeout_s: float) -> Recorded:
        """Stores the batch in one transaction and returns once it is committed.

        Raises `AwayError` or `RefusedError`. Safe to repeat, whatever the result of an earlier attempt.
        """
        began = perf_counter()
        try:
            with anyio.fail_after(timeout_s):
                async with self._one_at_a_time:
                    recorded = await self._transaction(checks)
        except _REFUSALS as error:
            if _lacks_partition(error):
                raise AwayError(reason(error)) from error
            raise RefusedError(reason(error)) from error
        except (psycopg.Error, TimeoutError, OSError) as error:
            await self.close()
            self._metrics.database_failures.inc()
            silent = isinstance(error, TimeoutError)
            raise AwayError(f"no response within {timeout_s:g} s" if silent else reason(error)) from error
        except BaseException:  # cancelled half-way: the connection may be in the middle of a transaction
            await self.close()
            raise
        self._metrics.batch_seconds.observe(perf_counter() - began)
        self._metrics.batch_rows.observe(len(checks))
        self.stored += recorded.stored
        self._metrics.stored.inc(recorded.stored)
        self._metrics.duplicates.inc(recorded.duplicates)
        self._metrics.parked.inc(recorded.parked)
        self._metrics.last_stored.set_to_current_time()
        return recorded

    async def close(self) -> None:
        """Closes the connection; the next `record` opens another one."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _transaction(self, checks: Sequence[Check]) -> Recorded:
        connection = self._connection or await self._connect()
        async with connection.transaction(), connection.cursor() as cursor:
            async with cursor.copy(sql.query("checks/copy")) as copy:
                copy.set_types(_COLUMN_TYPES)
                for check in checks:
                    await copy.write_row(msgspec.structs.astuple(check))
            await cursor.execute("SELECT stored, duplicates, parked FROM record_checks_v2()")
            row = await cursor.fetchone()
        assert row is not None
        return Recorded(*row)

    async def _connect(self) -> AsyncConnection[TupleRow]:
        connection = await sql.connect(self._database_url, application=f"sla-monitor prober {self._location}")
        self._connection = connection
        # If the network fails, the transaction of this process must not hold the recording lock for long.
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            await connection.execute("SELECT set_config(%s, %s, false)", (setting, str(STATEMENT_TIMEOUT_MS)))
        await connection.execute(sql.query("locations/register"), {"id": self._location})
        await connection.execute(sql.query("checks/prepare"))
        self._metrics.connects.inc()
        return connection
