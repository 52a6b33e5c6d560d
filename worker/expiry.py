"""Sets services without recent checks to unknown, even if no prober is running."""

from worker.duty import Work


async def expire_states(work: Work) -> None:
    async with work.pool.connection() as connection:
        await connection.execute("SELECT expire_states()")
