"""The dead man's switch."""

import anyio
import pytest

from prober import heartbeat
from prober.judge import Judgement
from prober.metrics import Metrics
from prober.outcome import Outcome, ProberTrouble
from prober.services import Service
from tests.prober.figures import PATIENCE_S, reached, value


async def test_it_is_called_only_while_checks_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "CYCLE_SECONDS", 0.02)
    stored = cycles = 0
    cycle = anyio.Event()
    called: list[Service] = []
    answers = [Judgement(True, "o"), Judgement(False, "mo", "timeout", "timed out"), None, Judgement(True, "o")]

    async def check(service: Service) -> tuple[Outcome, Judgement, int]:
        called.append(service)
        answer = answers[len(called) - 1]
        if answer is None:
            raise ProberTrouble("no file descriptors")
        return Outcome(total_ms=1.0), answer, 1

    def count_stored() -> int:
        nonlocal cycles, cycle
        cycles += 1
        cycle.set()
        cycle = anyio.Event()
        return stored

    async def more_cycles(count: int) -> None:
        until = cycles + count
        with anyio.fail_after(PATIENCE_S):
            while cycles < until:
                await cycle.wait()

    metrics = Metrics()
    async with anyio.create_task_group() as group:
        group.start_soon(heartbeat.beat, "http://127.0.0.1/beat", check, count_stored, metrics)
        await more_cycles(3)
        assert called == []
        for count in range(1, 5):
            stored += 1
            await reached(metrics, "heartbeats_total", count)
        await more_cycles(3)
        group.cancel_scope.cancel()

    assert [service.check_config.target for service in called] == ["http://127.0.0.1/beat"] * 4
    assert value(metrics, "heartbeat_failures_total") == 2
