"""The heart: connections to PostgreSQL and the statements in this folder's .sql files.

`queries/` holds one statement a file; `query("status/system_status")` is its text.
"""

from functools import cache
from importlib.resources import files
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
    except BaseException:
        await connection.close()
        raise
    return connection


async def _configure(connection: AsyncConnection[TupleRow]) -> None:
    await connection.execute(query("connections/session"))


async def _configure_pooled(connection: AsyncConnection[TupleRow]) -> None:
    await _configure(connection)
    await connection.execute(query("connections/pooled"))


def open_pool(database_url: str, *, application: str, max_size: int = 8) -> Pool:
    """A pool for short statements, to be entered with `async with`; its connections are in autocommit mode.

    No `check=`: it backs off for each dead connection, so that a healed database looks dead for a minute. On
    OperationalError the caller drains the pool and tries once more.
    """
    return AsyncConnectionPool(
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
