"""Heartbeat services whose jobs have not reported in time."""

from sql import database, heartbeats, query
from worker.duty import Work


async def turn(work: Work) -> None:
    """Records the checks of heartbeat services that are due, such as a failed check for a late job, in batches of
    `BATCH_SIZE`."""
    async with work.pool.connection() as connection:
        row = await (await connection.execute(query("heartbeats/any_due"))).fetchone()
    if row == (False,):
        return
    count = heartbeats.BATCH_SIZE
    while count == heartbeats.BATCH_SIZE:
        async with database.transaction(work.pool) as connection:
            count = await heartbeats.record_due(connection)
