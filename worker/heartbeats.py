"""Jobs that should have reported and have not."""

from sql import database, heartbeats, query
from worker.duty import Work


async def turn(work: Work) -> None:
    """Records outages of those that are late, and goes on with what is known of the others."""
    async with work.pool.connection() as connection:
        row = await (await connection.execute(query("heartbeats/any_turning"))).fetchone()
    if row == (False,):
        return
    count = heartbeats.MOST
    while count == heartbeats.MOST:
        async with database.transaction(work.pool) as connection:
            count = await heartbeats.turn(connection)
