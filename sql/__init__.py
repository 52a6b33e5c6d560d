"""The heart: connections to PostgreSQL and the statements in this folder's .sql files.

`queries/` holds one statement a file; `query("status/system_status")` is its text.
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
"""TCP keepalives and a user timeout bound how long a blackholed peer can go unnoticed."""
Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]
RENEW_S = 1.0


@cache
def query(name: str) -> LiteralString:
    """The text of `queries/<name>.sql`; a missing file raises FileNotFoundError."""
    return files(__name__).joinpath("queries", f"{name}.sql").read_text("utf-8")


async def connect(database_url: str, *, application: str) -> AsyncConnection[TupleRow]:
    """One autocommit connection for a long-lived listener or writer."""
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
    """Replaces sessions that may only read: whether a session may write is settled when it begins (`ALTER DATABASE …
    SET default_transaction_read_only`), so those of a read-only period would outlive it. The server tells each
    session's default without being asked. All are replaced, at most every `RENEW_S`: in such a period new ones are no
    better.
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

    No `check=`: it backs off for each dead connection, so that a healed database looks dead for a minute. On
    OperationalError the caller drains the pool and tries once more.
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
