"""Leases of rooms that are no longer renewed: the API process that held them has died (sql/functions/presence.sql)."""

import anyio

import sql
from sql import leases
from worker.duty import Work


async def end_silent(work: Work) -> None:
    """Takes expired leases away, which the rooms are notified of. After the database was away all API processes renew
    theirs first: none is taken for dead because another one was quicker."""
    if anyio.current_time() - work.steady_since < leases.LEASE_S:
        return
    async with work.pool.connection() as connection:
        await connection.execute(sql.query("presence/expire"))
