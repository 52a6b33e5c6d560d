"""A duty of the worker, and the context of its rounds."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio

import sql
from sla_monitor.settings import Settings
from sql import Pool, database
from sql.database import Connection


class Work(NamedTuple):
    """The context of one round of a duty."""

    pool: Pool
    """For short statements: the timeout is 14 s."""
    settings: Settings
    steady_since: float
    """The time (anyio.current_time()) since which the database has been reachable without interruption and this duty
    has not failed."""

    @asynccontextmanager
    async def session(self, timeout_s: float) -> AsyncIterator[Connection]:
        """A connection of the pool for statements that may take longer, up to `timeout_s` each; in autocommit mode.

        After an error it is closed, so that no setting, lock or running statement of the round outlives it.
        """
        async with database.live_connection(self.pool) as connection:
            try:
                await connection.execute(sql.query("worker/session"), {"timeout_ms": str(int(timeout_s * 1000))})
                yield connection
                await connection.execute("RESET plan_cache_mode")
                await connection.execute(sql.query("connections/pooled"))
            except BaseException:  # also when cancelled
                with anyio.CancelScope(shield=True):
                    await connection.close()
                raise


class Duty(NamedTuple):
    """A periodic task, done by one worker at a time. Two rounds at the same time must be harmless: a worker of the
    last release may still perform the same duty."""

    name: str
    pause_s: float
    """From the end of one round to the start of the next."""
    do: Callable[[Work], Awaitable[object]]
    timeout_s: float
    """A round that takes longer is cancelled."""
    woken_by: str | None = None
    """The payload of a notification that ends the pause."""
