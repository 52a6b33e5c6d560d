"""Expires the leases of API processes that have stopped renewing them (sql/functions/presence.sql)."""

import anyio

import sql
from sql import leases
from worker.duty import Work


async def end_silent(work: Work) -> None:
    """Deletes expired leases and notifies their rooms. After the database was unavailable it waits until all API
    processes had time to renew theirs."""
    if anyio.current_time() - work.steady_since < leases.LEASE_S:
        return
    async with work.pool.connection() as connection:
        await connection.execute(sql.query("presence/expire"))
