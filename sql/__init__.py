"""The heart: connections to PostgreSQL and the statements in this folder's .sql files.

`queries/` holds one statement a file; `query("status/system_status")` is its text.
"""

from functools import cache
from importlib.resources import files

from psycopg import AsyncConnection, OperationalError
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from typing_extensions import LiteralString

CONNECT_TIMEOUT_S = 5
Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]


@cache
def query(name: str) -> LiteralString:
    """The text of `queries/<name>.sql`; a missing file raises FileNotFoundError."""
    return files(__name__).joinpath("queries", f"{name}.sql").read_text("utf-8")  # type: ignore[return-value]  # ours


async def connect(database_url: str, *, application: str) -> AsyncConnection[TupleRow]:
    """One autocommit connection for a long-lived listener or writer.

    TCP keepalives and a user timeout bound how long a blackholed peer can go unnoticed.
    """
    return await AsyncConnection.connect(
        database_url,
        autocommit=True,
        application_name=application,
        connect_timeout=CONNECT_TIMEOUT_S,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=30_000,
    )


def open_pool(database_url: str, *, application: str, max_size: int = 8) -> Pool:
    """A pool to be entered with `async with`. No `check=`: its back-off makes a healed database look dead for a
    minute; `retrying` in the caller's place is to drain once on OperationalError and try again."""
    return AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=max_size,
        timeout=2,
        max_waiting=200,
        open=False,
        kwargs={"autocommit": True, "application_name": application, "connect_timeout": CONNECT_TIMEOUT_S},
    )


__all__ = ["CONNECT_TIMEOUT_S", "OperationalError", "Pool", "PoolTimeout", "connect", "open_pool", "query"]
