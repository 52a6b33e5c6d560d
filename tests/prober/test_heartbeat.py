"""Calls of HEARTBEAT_URL."""

import anyio
import pytest

from prober import heartbeat
from prober.judge import Judgement
from prober.metrics import Metrics
from prober.outcome import Outcome, ProberTrouble
from prober.services import Service
from tests.prober.metrics import TIMEOUT_S, metric, wait_for_metric


class StoredChecks:
    """The number of stored checks. The heartbeat reads it once in each cycle."""

    def __init__(self) -> None:
        self.count = 0
        self._reads = 0
        self._read = anyio.Event()

    def __call__(self) -> int:
        self._reads += 1
        self._read.set()
        self._read = anyio.Event()
        return self.count

    async def wait_for_cycles(self, cycles: int) -> None:
        last = self._reads + cycles
        with anyio.fail_after(TIMEOUT_S):
            while self._reads < last:
                await self._read.wait()


async def test_the_url_is_called_only_after_checks_were_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "CYCLE_SECONDS", 0.02)
    called: list[Service] = []
    results = [Judgement(True, "o"), Judgement(False, "mo", "timeout", "timed out"), None, Judgement(True, "o")]

    async def check(service: Service) -> tuple[Outcome, Judgement, int]:
        called.append(service)
        judgement = results[len(called) - 1]
        if judgement is None:
            raise ProberTrouble("no file descriptors")
        return Outcome(total_ms=1.0), judgement, 1

    stored, metrics = StoredChecks(), Metrics()
    async with anyio.create_task_group() as group:
        group.start_soon(heartbeat.beat, "http://127.0.0.1/beat", check, stored, metrics)
        await stored.wait_for_cycles(3)
        assert called == []
        for count in range(1, 5):
            stored.count += 1
            await wait_for_metric(metrics, "heartbeats_total", count)
        await stored.wait_for_cycles(3)
        group.cancel_scope.cancel()

    assert [service.check_config.target for service in called] == ["http://127.0.0.1/beat"] * 4
    assert metric(metrics, "heartbeat_failures_total") == 2
