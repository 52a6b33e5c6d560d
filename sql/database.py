"""Executes named statements with values, and returns typed rows."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

import sql
from sql import OperationalError, Pool

Connection = AsyncConnection[TupleRow]
Row = TypeVar("Row")
Result = TypeVar("Result")


class Actor(NamedTuple):
    """Who makes a change, for the audit log."""

    kind: Literal["user", "token", "operator", "anonymous", "program"]
    id: UUID | None
    name: str
    address: str | None = None
    request_id: str | None = None


async def rows(pool: Pool, name: str, row_type: type[Row], **values: Any) -> list[Row]:
    """All rows of `queries/<name>.sql` as `row_type`, whose fields are the columns.

    Raises OperationalError while the database is away.
    """

    async def read(connection: Connection) -> list[Row]:
        async with connection.cursor(row_factory=class_row(row_type)) as cursor:
            await cursor.execute(sql.query(name), values)
            return await cursor.fetchall()

    return await retrying(pool, read)


async def row(pool: Pool, name: str, row_type: type[Row], **values: Any) -> Row | None:
    """The only row of `queries/<name>.sql`, or None."""
    found = await rows(pool, name, row_type, **values)
    return found[0] if found else None


class _Count(msgspec.Struct):
    total: int


async def count(pool: Pool, name: str, **values: Any) -> int:
    """The `total` of `queries/<name>.sql`."""
    counted = await row(pool, name, _Count, **values)
    return counted.total if counted is not None else 0


async def retrying(pool: Pool, read: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Calls `read` with a connection, and once more if that connection is dead (the database was restarted). For reads
    only.

    The pool does not check its connections by itself (see `sql.open_pool`). After the first error all idle connections
    are checked once, and dead ones are replaced.
    """
    async with pool.connection() as connection:
        try:
            return await read(connection)
        except OperationalError:
            if not connection.closed:
                raise
    await pool.check()
    async with pool.connection() as connection:
        return await read(connection)


@asynccontextmanager
async def transaction(pool: Pool, actor: Actor | None = None) -> AsyncIterator[Connection]:
    """A transaction for writes, on a connection that has just been checked. The audit log names `actor` for its
    changes.

    Writes are never repeated: if the response to a COMMIT is lost, it is unknown whether the transaction was committed.
    """
    async with live_connection(pool) as connection, connection.transaction():
        if actor is not None:
            await act_as(connection, actor)
        yield connection


@asynccontextmanager
async def live_connection(pool: Pool) -> AsyncIterator[Connection]:
    """A connection that has just been checked, in autocommit mode."""
    async with AsyncExitStack() as held:
        connection = await held.enter_async_context(pool.connection())
        if not await _alive(connection):
            await held.aclose()
            await pool.check()
            connection = await held.enter_async_context(pool.connection())
        yield connection


async def act_as(connection: Connection, actor: Actor) -> None:
    """Sets the actor of the running transaction for the audit log."""
    await connection.execute(sql.query("accounts/act_as"), actor._asdict())


async def _alive(connection: Connection) -> bool:
    try:
        await connection.execute("SELECT 1")
    except OperationalError:
        return False
    return True
