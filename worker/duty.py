"""What a duty is, and what it is given."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import sql
from sla_monitor.settings import Settings
from sql import Pool
from sql.database import Connection


class Work(NamedTuple):
    """What one round of a duty works with."""

    database_url: str
    pool: Pool
    """For short statements: each has 14 s."""
    settings: Settings
    steady_since: float
    """Since when (anyio.current_time()) this worker has reached the database without a pause and this duty has not
    failed."""

    @asynccontextmanager
    async def session(self, timeout_s: float) -> AsyncIterator[Connection]:
        """A connection for statements that may take longer, up to `timeout_s` each; in autocommit mode."""
        connection = await sql.connect(self.database_url, application="sla-monitor worker duty")
        async with connection:
            await connection.execute(sql.query("worker/session"), {"timeout_ms": str(int(timeout_s * 1000))})
            yield connection


class Duty(NamedTuple):
    """What is done again and again, by one worker at a time. It must be harmless to do twice at once: a program of the
    last release may still do it too."""

    name: str
    pause_s: float
    """Between the end of one round and the start of the next."""
    do: Callable[[Work], Awaitable[object]]
    timeout_s: float
    """A round that takes longer is cancelled."""
    woken_by: str | None = None
    """The payload of a notification that ends the pause."""
