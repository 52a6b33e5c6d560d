"""The process of the worker: all duties, started and stopped in one task group."""

import logging
from collections.abc import Sequence
from functools import partial

import anyio

import sql
from sla_monitor.serving.loop_lag import watch_loop
from sla_monitor.serving.own_state import Readiness, serve_own_state
from sla_monitor.serving.ports import bind
from sla_monitor.serving.signals import stop_on_signal
from sla_monitor.settings import Settings
from sql.listen import listen
from sql.migrate import migrate_when_possible
from worker.duties import DUTIES
from worker.duty import Duty
from worker.locks import Locks
from worker.metrics import Metrics
from worker.rounds import Rounds

log = logging.getLogger(__name__)


async def run(settings: Settings, database_url: str) -> None:
    """Runs all duties until SIGTERM or SIGINT, then ends within 10 s; a second signal ends it at once.

    The database may be unavailable at any time, and the migration of its schema may fail: both are retried. Raises
    `PortError` or `MigrationError` with a text of one line if the worker cannot start.
    """
    metrics = Metrics()
    listening = bind(settings, "worker")
    locks = Locks(database_url, [duty.name for duty in DUTIES], metrics)

    def readiness() -> Readiness:
        return Readiness(locks.connected, {"databaseAnswers": locks.connected, "duties": sorted(locks.held)})

    async with anyio.create_task_group() as group:
        await group.start(stop_on_signal, group.cancel_scope.cancel)
        group.start_soon(serve_own_state, listening, metrics.registry, readiness, metrics.count_client_fault)
        group.start_soon(watch_loop, metrics.loop_lag.observe)
        await migrate_when_possible(database_url, settings)
        await work(DUTIES, locks, settings, database_url, metrics)
    log.info("the worker has stopped")


async def work(duties: Sequence[Duty], locks: Locks, settings: Settings, database_url: str, metrics: Metrics) -> None:
    """Runs these duties until cancelled. The schema must be that of this program."""
    size = len(duties)  # one for each duty, so that a duty that hangs does not block another one
    async with (
        sql.open_pool(database_url, application="sla-monitor worker", max_size=size) as pool,
        anyio.create_task_group() as tasks,
    ):
        waking: dict[str, list[Rounds]] = {}
        for duty in duties:
            rounds = Rounds(duty, locks, pool, settings, metrics)
            tasks.start_soon(rounds.run)
            if duty.woken_by is not None:
                waking.setdefault(duty.woken_by, []).append(rounds)
        tasks.start_soon(locks.run)
        actions = {payload: partial(_wake, woken) for payload, woken in waking.items()}
        tasks.start_soon(listen, database_url, "sla-monitor worker listener", actions, metrics.listener_connects.inc)


def _wake(woken: list[Rounds]) -> None:
    for rounds in woken:
        rounds.wake()
