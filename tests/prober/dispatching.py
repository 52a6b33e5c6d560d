"""Runs a dispatch without database and network, and collects the checks that it puts."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import anyio

from prober.dispatch import CheckRunner, Dispatch, wall_ms
from prober.judge import Judgement
from prober.metrics import Metrics
from prober.outcome import Outcome
from prober.services import Service
from prober.store import Check
from tests.prober import metrics
from tests.prober.metrics import TIMEOUT_S
from tests.prober.services import http_service

GOOD = Outcome(total_ms=12.5, connect_ms=1.0, first_byte_ms=10.0, status_code=200)


def service(name: str, interval_seconds: int = 1) -> Service:
    return http_service(id=name, endpoint_url="http://127.0.0.1/", interval_seconds=interval_seconds)


class RunningDispatch:
    """A dispatch with its metrics and the checks that it has put so far."""

    def __init__(self, run_check: CheckRunner, concurrency: int, clock_ms: Callable[[], float] = wall_ms) -> None:
        self.metrics = Metrics()
        self.checks: list[Check] = []
        self._arrived = anyio.Event()
        self.dispatch = Dispatch(
            run_check, self._put, self.metrics, location="lab", concurrency=concurrency, clock_ms=clock_ms
        )

    def _put(self, check: Check) -> None:
        self.checks.append(check)
        self._arrived.set()

    async def wait_for_checks(self, count: int) -> list[Check]:
        """Returns all checks when there are at least `count`."""
        await self._wait_until(lambda: len(self.checks) >= count)
        return self.checks

    async def wait_for_services(self, service_ids: Iterable[str]) -> None:
        """Waits until there is a check of each of these services."""
        expected = set(service_ids)
        await self._wait_until(lambda: expected <= {check.service_id for check in self.checks})

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(TIMEOUT_S):
            while not condition():
                await self._arrived.wait()
                self._arrived = anyio.Event()

    async def wait_for_metric(self, name: str, at_least: float, **labels: str) -> None:
        await metrics.wait_for_metric(self.metrics, name, at_least, **labels)

    def metric(self, name: str, **labels: str) -> float:
        return metrics.metric(self.metrics, name, **labels)


@asynccontextmanager
async def running_dispatch(
    run_check: CheckRunner, *services: Service, concurrency: int = 100, clock_ms: Callable[[], float] = wall_ms
) -> AsyncIterator[RunningDispatch]:
    running = RunningDispatch(run_check, concurrency, clock_ms)
    running.dispatch.replace(services)
    async with anyio.create_task_group() as group:
        group.start_soon(running.dispatch.run)
        yield running
        running.dispatch.stop(0.1)


async def succeed(_: Service) -> tuple[Outcome, Judgement, int]:
    """A check that succeeds at once."""
    return GOOD, Judgement(True, "o"), 1
