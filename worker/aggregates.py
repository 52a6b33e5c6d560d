"""Updates the rollups from checks of completed intervals, and upgrades the aggregates of release 0.1."""

from sql import aggregates
from worker.duty import Work

STATEMENT_TIMEOUT_S = 300.0


async def fold(work: Work) -> None:
    async with work.session(STATEMENT_TIMEOUT_S) as connection:
        await aggregates.refresh(connection)
