"""What the database must have done regularly: partitions and retention, rollups of late rows, what has grown old.

Every prober asks; an advisory lock lets one of them do it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import anyio
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

import sql
from prober.metrics import Metrics
from prober.store import reason
from sla_monitor.settings import Settings
from sql import aggregates

ROUND_SECONDS = 30.0
LEAST_SECONDS = 1.0
"""Rounds that are asked for start at least this far apart."""
STATEMENT_TIMEOUT_S = 300.0
ROUND_TIMEOUT_S = 900.0

_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('sla-monitor housekeeping', 0))"
_log = logging.getLogger(__name__)
_Connection = AsyncConnection[TupleRow]
_Chore = Callable[[_Connection], Awaitable[object]]


class Housekeeping:
    """One round each half minute, or sooner when `wanted` is set."""

    def __init__(self, database_url: str, settings: Settings, metrics: Metrics) -> None:
        self.wanted = asyncio.Event()
        self._database_url = database_url
        self._settings = settings
        self._metrics = metrics

    async def run(self) -> None:
        """Never ends: what failed is tried again in the next round."""
        while True:
            self.wanted.clear()
            try:
                with anyio.fail_after(ROUND_TIMEOUT_S):
                    await self._round()
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._failed("connect", error)
            await anyio.sleep(LEAST_SECONDS)
            with anyio.move_on_after(ROUND_SECONDS):
                await self.wanted.wait()

    async def _round(self) -> None:
        connection = await sql.connect(self._database_url, application="sla-monitor housekeeping")
        async with connection:
            timeout = str(int(STATEMENT_TIMEOUT_S * 1000))
            await connection.execute("SELECT set_config('statement_timeout', %s, false)", (timeout,))
            cursor = await connection.execute(_TRY_LOCK)
            if await cursor.fetchone() != (True,):  # another prober is at it
                return
            for name, chore in self._chores():
                try:
                    await chore(connection)
                except psycopg.Error as error:
                    self._failed(name, error)
                    if connection.broken:
                        return
            self._metrics.housekeeping.inc()

    def _chores(self) -> tuple[tuple[str, _Chore], ...]:
        event_retention = {"event_retention": self._settings.event_retention}
        audit_retention = {"audit_retention": self._settings.audit_retention}
        return (
            ("keep_partitions", lambda on: on.execute(sql.query("housekeeping/keep_partitions"))),
            ("refresh_aggregates", aggregates.refresh),
            ("prune_events", lambda on: on.execute(sql.query("housekeeping/prune_events"), event_retention)),
            ("prune_sessions", lambda on: on.execute(sql.query("housekeeping/prune_sessions"))),
            ("prune_audit", lambda on: on.execute(sql.query("housekeeping/prune_audit"), audit_retention)),
            ("prune_idempotency", lambda on: on.execute(sql.query("housekeeping/prune_idempotency"))),
        )

    def _failed(self, chore: str, error: Exception) -> None:
        self._metrics.housekeeping_failures.labels(chore).inc()
        _log.warning("housekeeping, %s: %s", chore, reason(error))
