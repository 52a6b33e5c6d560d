"""How the benchmark records checks and sets the database's clock.

The only place that looks which functions a schema has: record_checks_v2(), present() with present_clock(), and
rollup_watermark() are used where they exist.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple

import msgspec
from psycopg import AsyncCursor
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier, Literal

import sql
from bench.databases import Connection
from bench.run import query
from prober.store import Check

INCOMING: LiteralString = "incoming_checks"
SIMULATED = "the database's clock is simulated"
REAL = "present() does not exist: rows of the past are recorded by the real clock, so that most of them come late"


class Core(NamedTuple):
    """What a schema has."""

    v2: bool
    clock: bool
    rollups: bool

    @property
    def record(self) -> LiteralString:
        name: LiteralString = "record_checks_v2" if self.v2 else "record_checks"
        return f"SELECT stored, duplicates, parked FROM {name}()"

    @property
    def watermark(self) -> Identifier:
        """The function that tells up to when all checks are in the aggregates."""
        return Identifier("rollup_watermark" if self.rollups else "aggregates_watermark")


class Recorded(NamedTuple):
    """What one batch came to, and when its COMMIT was sent, on the machine's monotonic clock."""

    stored: int
    duplicates: int
    parked: int
    committed: float


class Recorder:
    """Records batches over one connection, whose clock can be set where the schema has present()."""

    def __init__(
        self, connection: Connection, statement: LiteralString, types: Sequence[int], *, simulated: bool
    ) -> None:
        self.connection = connection
        self.simulated = simulated
        self._statement = statement
        self._types = types

    @property
    def clock(self) -> str:
        """In words, for a note."""
        return SIMULATED if self.simulated else REAL

    async def set_clock(self, moment: datetime) -> None:
        """What present() and present_clock() say on this connection from now on; nothing where they do not exist."""
        if self.simulated:
            await self.connection.execute("SELECT set_config('bench.present', %s, false)", (moment.isoformat(),))

    async def record(self, checks: Sequence[Check]) -> Recorded:
        """Stores a batch in one transaction. Raises AssertionError if any row of it was not stored."""
        async with self.connection.cursor() as cursor:
            await cursor.execute("BEGIN")
            await copy(cursor, INCOMING, self._types, checks)
            recorded = await self._commit(cursor)
        assert recorded.stored == len(checks), recorded
        return recorded

    async def record_noise(self, first: int, last: int, low: datetime, high: datetime, every_s: int) -> Recorded:
        """Stores made-up checks of the services `first` to `last` in one transaction; see queries/noise.sql."""
        values = {"first": first, "last": last, "low": low, "high": high, "every": every_s}
        async with self.connection.cursor() as cursor:
            await cursor.execute("BEGIN")
            await cursor.execute(query("load_incoming"), values)
            return await self._commit(cursor)

    async def _commit(self, cursor: AsyncCursor[TupleRow]) -> Recorded:
        row = await (await cursor.execute(self._statement)).fetchone()
        committed = time.monotonic()
        await cursor.execute("COMMIT")
        assert row is not None
        stored, duplicates, parked = row
        return Recorded(stored, duplicates, parked, committed)


async def core(connection: Connection) -> Core:
    row = await (await connection.execute(query("core"))).fetchone()
    assert row is not None
    return Core(*row)


async def recorder(connection: Connection) -> Recorder:
    """Over `connection`, which must be in autocommit mode; sets up its temporary table and replaces the clock."""
    has = await core(connection)
    await connection.execute(sql.query("checks/incoming"))
    if has.clock:
        await connection.execute(query("session_clock"))
    types = await column_types(connection, INCOMING)
    return Recorder(connection, has.record, types, simulated=has.clock)


async def shift_clock(connection: Connection, offset: timedelta) -> bool:
    """Lets present() run `offset` beside the real clock, in all sessions. False where it does not exist, and then the
    real clock goes on. bench_present() tells the one that is used."""
    simulated = (await core(connection)).clock
    if simulated:
        await connection.execute(SQL(query("shifted_clock")).format(offset=Literal(offset)))
    shift = offset if simulated else timedelta()
    await connection.execute(SQL(query("bench_clock")).format(offset=Literal(shift)))
    return simulated


async def number(connection: Connection, name: str) -> float:
    """What one of the queries tells that ask for the watermark."""
    statement = SQL(query(name)).format(watermark=(await core(connection)).watermark)
    row = await (await connection.execute(statement)).fetchone()
    assert row is not None
    return float(row[0])


async def column_types(connection: Connection, table: LiteralString) -> list[int]:
    """The types that `copy` has to write into a table, whose columns have the order of Check."""
    found = await (await connection.execute(query("column_types"), {"table": table})).fetchall()
    return [oid for (oid,) in found]


async def copy(
    cursor: AsyncCursor[TupleRow], table: LiteralString, types: Sequence[int], checks: Sequence[Check]
) -> None:
    """The prober's own COPY, into `table`."""
    async with cursor.copy(sql.query("checks/copy").replace("incoming_checks", table)) as rows:
        rows.set_types(types)
        for check in checks:
            await rows.write_row(msgspec.structs.astuple(check))
