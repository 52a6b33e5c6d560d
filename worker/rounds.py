"""The rounds of one duty: run while this worker holds it, cancelled after their timeout, and counted."""

import logging
import time

import anyio
import psycopg

from sla_monitor.settings import Settings
from sql import Pool
from worker.duty import Duty, Work
from worker.locks import Locks
from worker.metrics import Metrics

log = logging.getLogger(__name__)

LEAST_PAUSE_S = 1.0
"""The minimum pause before a round that a notification starts."""


class Rounds:
    """The rounds of one duty in one worker."""

    def __init__(self, duty: Duty, locks: Locks, pool: Pool, settings: Settings, metrics: Metrics) -> None:
        self._duty = duty
        self._locks = locks
        self._pool = pool
        self._settings = settings
        self._metrics = metrics
        self._woken = anyio.Event()
        self._failed_at = float("-inf")

    def wake(self) -> None:
        """Ends the pause before the next round."""
        self._woken.set()

    async def run(self) -> None:
        """Runs rounds whenever the duty is held. Never returns; the duty and the database may be lost at any time."""
        while True:
            await self._locks.wait_until_held(self._duty.name)
            with self._locks.while_held(self._duty.name):
                while True:
                    self._woken = anyio.Event()
                    await self._round()
                    await anyio.sleep(min(LEAST_PAUSE_S, self._duty.pause_s))
                    with anyio.move_on_after(self._duty.pause_s - LEAST_PAUSE_S):
                        await self._woken.wait()

    async def _round(self) -> None:
        name = self._duty.name
        steady_since = max(self._locks.connected_at, self._failed_at)
        work = Work(self._pool, self._settings, steady_since)
        started = time.perf_counter()
        result = "done"
        self._metrics.running.labels(name).set(1)
        try:
            with anyio.move_on_after(self._duty.timeout_s) as limit:
                try:
                    await self._duty.do(work)
                except Exception as error:  # a defect in one duty must not end the others
                    result = "failed"
                    self._log_failure(error)
            if limit.cancelled_caught:
                result = "timed_out"
                log.warning("%s took more than %g s and was cancelled", name, self._duty.timeout_s)
        finally:
            self._metrics.running.labels(name).set(0)
        self._metrics.rounds.labels(name, result).inc()
        self._metrics.round_seconds.labels(name).observe(time.perf_counter() - started)
        if result == "done":
            self._metrics.last_done.labels(name).set_to_current_time()
        else:
            self._failed_at = anyio.current_time()

    def _log_failure(self, error: Exception) -> None:
        """Logs an error of the database as one line, a defect with its traceback. Either ends this round only."""
        expected = isinstance(error, (psycopg.Error, OSError, TimeoutError))
        reason = " ".join(str(error).split()) or type(error).__name__
        log.warning("%s: %s", self._duty.name, reason, exc_info=None if expected else error)
