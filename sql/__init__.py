"""Connections to PostgreSQL, and the statements in the .sql files of this folder.

`queries/` has one statement per file; `query("status/system_status")` returns its text.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from time import monotonic
from typing import Any, LiteralString

from psycopg import AsyncConnection, OperationalError
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

CONNECT_TIMEOUT_S = 5
_DEAD_PEER: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""TCP keepalives and a user timeout: a connection whose peer no longer responds fails within half a minute."""
Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]
RENEW_S = 1.0
"""`_RenewedPool` replaces its sessions at most once in this time, in seconds."""


@cache
def query(name: str) -> LiteralString:
    """The text of `queries/<name>.sql`; a missing file raises FileNotFoundError."""
    return files(__name__).joinpath("queries", f"{name}.sql").read_text("utf-8")


async def connect(database_url: str, *, application: str) -> AsyncConnection[TupleRow]:
    """Opens a connection in autocommit mode, for a long-lived listener or writer.

    Raises OperationalError if the server cannot be reached.
    """
    connection = await AsyncConnection.connect(
        database_url,
        autocommit=True,
        application_name=application,
        connect_timeout=CONNECT_TIMEOUT_S,
        **_DEAD_PEER,
    )
    try:
        await _configure(connection)
    except BaseException:  # also when cancelled: no caller has it yet
        await connection.close()
        raise
    return connection


async def _configure(connection: AsyncConnection[TupleRow]) -> None:
    await connection.execute(query("connections/session"))


async def _configure_pooled(connection: AsyncConnection[TupleRow]) -> None:
    await _configure(connection)
    await connection.execute(query("connections/pooled"))


class _RenewedPool(Pool):
    """A pool that replaces read-only sessions.

    A session gets its `default_transaction_read_only` when it begins (`ALTER DATABASE … SET`), so sessions that began
    in a read-only period would stay read-only after it. The server reports the setting of each session to the client.
    If a session is read-only, all sessions are replaced, at most once per `RENEW_S`: during such a period new ones are
    read-only too.
    """

    _renewed_at = -RENEW_S

    @asynccontextmanager
    async def connection(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  # as it is called in the pool
    ) -> AsyncIterator[AsyncConnection[TupleRow]]:
        async with super().connection(timeout) as connection:
            if not _only_reads(connection) or monotonic() - self._renewed_at < RENEW_S:
                yield connection
                return
            self._renewed_at = monotonic()
            await self.drain()
        async with super().connection(timeout) as connection:
            yield connection


def _only_reads(connection: AsyncConnection[TupleRow]) -> bool:
    return connection.info.parameter_status("default_transaction_read_only") == "on"


def open_pool(database_url: str, *, application: str, max_size: int = 8) -> Pool:
    """A pool for short statements, to be entered with `async with`; its connections are in autocommit mode.

    The pool does not check connections before it returns them (`check=`): it would pause after each dead connection,
    so that an available database would seem unavailable for a minute. After an OperationalError the caller calls
    `check()` and tries once more (`sql.database.retrying`).
    """
    return _RenewedPool(
        database_url,
        min_size=1,
        max_size=max_size,
        timeout=2,
        max_waiting=200,
        open=False,
        configure=_configure_pooled,
        kwargs={
            "autocommit": True,
            "application_name": application,
            "connect_timeout": CONNECT_TIMEOUT_S,
            **_DEAD_PEER,
        },
    )


__all__ = ["CONNECT_TIMEOUT_S", "OperationalError", "Pool", "PoolTimeout", "connect", "open_pool", "query"]
