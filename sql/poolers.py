"""Recognises a connection pooler that gives one server session to several clients in turn: PgBouncer with `pool_mode`
transaction or statement, and similar poolers.

The programs need sessions of their own: LISTEN, advisory locks of a session, temporary tables and prepared statements
are lost, or reach the wrong client, behind such a pooler. With `pool_mode = session` they work.
"""

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from sql import connect

ROUNDS = 3
"""How often both connections are compared. Once is not enough, since other clients may use the shared sessions in
between."""


async def shares_sessions(connection: AsyncConnection[TupleRow], database_url: str) -> bool:
    """Whether a second connection reaches the session of `connection`. Without a pooler this takes one query.

    A server sends each client the process id of its session when it connects. Poolers send another number.
    """
    if await _session(connection) == connection.info.backend_pid:
        return False
    async with await connect(database_url, application="sla-monitor migrate") as other:
        mine, others = set(), set()
        for _ in range(ROUNDS):
            mine.add(await _session(connection))
            others.add(await _session(other))
        return len(mine) > 1 or len(others) > 1 or mine == others


async def _session(connection: AsyncConnection[TupleRow]) -> int:
    row = await (await connection.execute("SELECT pg_backend_pid()", prepare=False)).fetchone()
    assert row is not None
    return int(row[0])
