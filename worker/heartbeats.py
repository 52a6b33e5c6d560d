"""Heartbeat services whose jobs have not reported in time."""

from sql import database, heartbeats, query
from worker.duty import Work


async def turn(work: Work) -> None:
    """Records the checks of heartbeat services that are due, such as a failed check for a late job, in batches of
    `MOST`."""
    async with work.pool.connection() as connection:
        row = await (await connection.execute(query("heartbeats/any_turning"))).fetchone()
    if row == (False,):
        return
    count = heartbeats.MOST
    while count == heartbeats.MOST:
        async with database.transaction(work.pool) as connection:
            count = await heartbeats.turn(connection)
