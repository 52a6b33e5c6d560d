"""A running dispatch without database or network: tests see what it puts and what it counts."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from prober.dispatch import CheckRunner, Dispatch, wall_ms
from prober.judge import Judgement
from prober.metrics import Metrics
from prober.outcome import Outcome
from prober.services import Service
from prober.store import Check
from tests.prober.services import http_service

PATIENCE_S = 120.0
GOOD = Outcome(total_ms=12.5, connect_ms=1.0, first_byte_ms=10.0, status_code=200)


def service(name: str, interval_seconds: int = 1) -> Service:
    return http_service(id=name, endpoint_url="http://127.0.0.1/", interval_seconds=interval_seconds)


class Round:
    """A running dispatch and what came out of it."""

    def __init__(self, run_check: CheckRunner, concurrency: int, clock_ms: Callable[[], float] = wall_ms) -> None:
        self.metrics = Metrics()
        self.checks: list[Check] = []
        self.arrived = anyio.Event()
        self.dispatch = Dispatch(
            run_check, self._put, self.metrics, location="lab", concurrency=concurrency, clock_ms=clock_ms
        )

    def _put(self, check: Check) -> None:
        self.checks.append(check)
        self.arrived.set()

    async def finished(self, count: int) -> list[Check]:
        with anyio.fail_after(PATIENCE_S):
            while len(self.checks) < count:
                await self.arrived.wait()
                self.arrived = anyio.Event()
        return self.checks

    async def counted(self, name: str, count: float, **labels: str) -> None:
        """Waits until this metric has reached `count`."""
        with anyio.fail_after(PATIENCE_S):
            while self.value(name, **labels) < count:  # noqa: ASYNC110  # a count, not an event
                await anyio.sleep(0.01)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"sla_prober_{name}", labels) or 0.0


@asynccontextmanager
async def dispatching(
    run_check: CheckRunner, *services: Service, concurrency: int = 100, clock_ms: Callable[[], float] = wall_ms
) -> AsyncIterator[Round]:
    this = Round(run_check, concurrency, clock_ms)
    this.dispatch.replace(services)
    async with anyio.create_task_group() as group:
        group.start_soon(this.dispatch.run)
        yield this
        this.dispatch.stop(0.1)


async def at_once(_: Service) -> tuple[Outcome, Judgement, int]:
    return GOOD, Judgement(True, "o"), 1
