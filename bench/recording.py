"""Records checks with the statements of the prober, and sets the clock of the database's functions."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple

import msgspec
from psycopg import AsyncCursor
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Literal

import sql
from bench.databases import Connection
from bench.run import query
from prober.store import Check

INCOMING: LiteralString = "incoming_checks"
RECORD: LiteralString = "SELECT stored, duplicates, parked FROM record_checks_v2()"


class Recorded(NamedTuple):
    """The result of record_checks_v2() for a batch, and the time.monotonic() at which COMMIT was sent."""

    stored: int
    duplicates: int
    parked: int
    committed: float


class Recorder:
    """Records batches over one connection in autocommit mode. `recorder` prepares the connection."""

    def __init__(self, connection: Connection, column_types: Sequence[int]) -> None:
        self._connection = connection
        self._column_types = column_types

    async def set_clock(self, moment: datetime) -> None:
        """Sets the time that present() and present_clock() return on this connection."""
        await self._connection.execute("SELECT set_config('bench.present', %s, false)", (moment.isoformat(),))

    async def record(self, checks: Sequence[Check]) -> Recorded:
        """Stores a batch in one transaction. Raises AssertionError if a row of it is not stored."""
        async with self._connection.cursor() as cursor:
            await cursor.execute("BEGIN")
            await copy(cursor, INCOMING, self._column_types, checks)
            recorded = await self._commit(cursor)
        assert recorded.stored == len(checks), recorded
        return recorded

    async def record_random(self, first: int, last: int, low: datetime, high: datetime, every_s: int) -> Recorded:
        """Stores random checks of the services `first` to `last` in one transaction: see queries/random_checks.sql."""
        values = {"first": first, "last": last, "low": low, "high": high, "every": every_s}
        async with self._connection.cursor() as cursor:
            await cursor.execute("BEGIN")
            await cursor.execute(query("insert_incoming"), values)
            return await self._commit(cursor)

    async def _commit(self, cursor: AsyncCursor[TupleRow]) -> Recorded:
        row = await (await cursor.execute(RECORD)).fetchone()
        committed = time.monotonic()
        await cursor.execute("COMMIT")
        assert row is not None
        stored, duplicates, parked = row
        return Recorded(stored, duplicates, parked, committed)


async def recorder(connection: Connection) -> Recorder:
    """Creates the temporary table of a recorder, and replaces present() and present_clock() so that a session can set
    their time."""
    await connection.execute(sql.query("checks/incoming"))
    await connection.execute(query("session_clock"))
    return Recorder(connection, await column_types(connection, INCOMING))


async def shift_clock(connection: Connection, offset: timedelta) -> None:
    """Replaces present() and present_clock() in all sessions: they return the real time plus `offset`."""
    await connection.execute(SQL(query("shifted_clock")).format(offset=Literal(offset)))


async def column_types(connection: Connection, table: LiteralString) -> list[int]:
    """The type OIDs of the columns of a table, in their order. `copy` needs them."""
    found = await (await connection.execute(query("column_types"), {"table": table})).fetchall()
    return [oid for (oid,) in found]


async def copy(
    cursor: AsyncCursor[TupleRow], table: LiteralString, column_types: Sequence[int], checks: Sequence[Check]
) -> None:
    """Copies checks with the prober's own binary COPY into `table`, which has the columns of `incoming_checks`."""
    async with cursor.copy(sql.query("checks/copy").replace(INCOMING, table)) as rows:
        rows.set_types(column_types)
        for check in checks:
            await rows.write_row(msgspec.structs.astuple(check))
