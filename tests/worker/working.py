"""Runs duties of the worker in the process of the test, with their metrics."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import anyio
import msgspec

from sla_monitor.settings import Settings
from worker.duties import DUTIES
from worker.duty import Duty
from worker.locks import Locks
from worker.metrics import Metrics
from worker.run import work

PATIENCE_S = 120.0


class Working:
    """The locks and the metrics of the running duties."""

    def __init__(self, locks: Locks, metrics: Metrics) -> None:
        self.locks = locks
        self.metrics = metrics

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"sla_worker_{name}", labels) or 0.0

    def rounds(self, duty: str, result: str = "done") -> float:
        return self.value("duty_rounds_total", duty=duty, result=result)

    async def wait_for_rounds(self, duty: str, count: float = 1, result: str = "done") -> None:
        """Waits until this number of rounds of the duty has ended with the result."""
        with anyio.fail_after(PATIENCE_S):
            while self.rounds(duty, result) < count:  # noqa: ASYNC110  # a count, not an event
                await anyio.sleep(0.01)

    async def wait_for_next_round(self, duty: str) -> None:
        """Waits until a round that started after this call has ended."""
        await self.wait_for_rounds(duty, self.rounds(duty) + 2)


def duties_of(*names: str, pause_s: float | None = None) -> list[Duty]:
    """Duties of the worker by name, optionally with another pause."""
    chosen = [duty for duty in DUTIES if duty.name in names]
    assert len(chosen) == len(names)
    return [duty if pause_s is None else duty._replace(pause_s=pause_s) for duty in chosen]


@asynccontextmanager
async def working(
    database_url: str, *names: str, duties: Collection[Duty] = (), pause_s: float | None = 0.05, **settings: object
) -> AsyncIterator[Working]:
    """Performs the named duties and `duties` until the block ends."""
    metrics = Metrics()
    chosen = [*duties_of(*names, pause_s=pause_s), *duties]
    locks = Locks(database_url, [duty.name for duty in chosen], metrics)
    given = msgspec.structs.replace(Settings(), **settings)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work, chosen, locks, given, database_url, metrics)
        yield Working(locks, metrics)
        tasks.cancel_scope.cancel()
