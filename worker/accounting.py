"""Stores the figures of days that are over under SLA policies, and announces changes of the status of days."""

from anyio.lowlevel import checkpoint

import sql
from worker.duty import Work

STATEMENT_TIMEOUT_S = 60.0
SERVICES_AT_ONCE = 100
"""The number of services whose days are stored in one transaction."""


async def store_days(work: Work) -> None:
    """Stores all days that are missing or out of date, then announces the status of today where it has changed."""
    async with work.session(STATEMENT_TIMEOUT_S) as connection:
        while True:
            cursor = await connection.execute(sql.query("sla/days/refresh"), {"most": SERVICES_AT_ONCE})
            row = await cursor.fetchone()
            if row is None or row[0] == 0:
                break
            await checkpoint()
        await connection.execute(sql.query("sla/days/announce"))
