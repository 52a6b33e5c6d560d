"""Services whose checks have stopped coming become unknown, even when no prober is left."""

from worker.duty import Work


async def expire_states(work: Work) -> None:
    async with work.pool.connection() as connection:
        await connection.execute("SELECT expire_states()")
