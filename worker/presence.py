"""Expires the leases of API processes that have stopped renewing them (sql/functions/presence.sql)."""

import anyio

import sql
from sql import leases
from worker.duty import Work


async def expire_leases(work: Work) -> None:
    """Deletes expired leases and notifies their rooms. Does nothing for `LEASE_S` after the database was unavailable,
    so that all API processes have time to renew their leases."""
    if anyio.current_time() - work.steady_since < leases.LEASE_S:
        return
    async with work.pool.connection() as connection:
        await connection.execute(sql.query("presence/expire"))
