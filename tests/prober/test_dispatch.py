"""The dispatch: one check of a service at a time, the concurrency limit, and the counts of skipped slots."""

import logging
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from prober.judge import Judgement
from prober.outcome import Outcome, ProberTrouble
from prober.schedule import phase_ms
from prober.services import Service
from tests.prober.dispatching import GOOD, RunningDispatch, running_dispatch, service, succeed


async def test_a_check_has_the_time_of_its_slot() -> None:
    began = datetime.now(UTC)
    async with running_dispatch(succeed, service("web")) as running:
        checks = await running.wait_for_checks(3)

    for check in checks:
        assert check.scheduled_at.timestamp() * 1000 % 1000 == pytest.approx(phase_ms("web", 1000))
        assert check.finished_at >= check.scheduled_at
        assert (check.service_id, check.location, check.severity) == ("web", "lab", "o")
        assert (check.total_ms, check.dns_ms, check.attempts) == (12.5, None, 1)
    times = [check.scheduled_at for check in checks]
    steps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert all(step >= 1 and step.is_integer() for step in steps)  # 1 unless the machine is overloaded
    assert began - timedelta(seconds=1) < times[0] <= began
    assert running.metric("start_late_seconds_count") == 3
    assert running.metric("start_late_seconds_bucket", le="1.0") == 3


class Gate:
    """Checks that wait until `open` is set. Counts how many run at the same time."""

    def __init__(self) -> None:
        self.open = anyio.Event()
        self.running = self.most = 0

    async def __call__(self, _: Service) -> tuple[Outcome, Judgement, int]:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.open.wait()
        await anyio.lowlevel.checkpoint()
        self.running -= 1
        return GOOD, Judgement(True, "o"), 1


async def test_a_slot_is_skipped_while_the_service_is_being_checked() -> None:
    gate = Gate()
    async with running_dispatch(gate, service("slow"), service("also-slow", 3600)) as running:
        await running.wait_for_metric("skipped_slots_total", 2, reason="overlap")
        gate.open.set()
        await running.wait_for_checks(2)
    assert gate.most <= 2


async def test_checks_above_the_concurrency_limit_wait() -> None:
    gate = Gate()
    services = [service(f"service-{number}", 60) for number in range(30)]
    async with running_dispatch(gate, *services, concurrency=3) as running:
        await running.wait_for_metric("checks_running", 3)
        await anyio.wait_all_tasks_blocked()
        assert gate.running == 3
        gate.open.set()
        # A service whose next slot comes in the meantime may have two checks.
        await running.wait_for_services(each.id for each in services)

    assert gate.most == 3
    assert running.metric("skipped_slots_total", reason="full") == 0


async def test_a_check_that_waits_too_long_is_skipped_and_counted() -> None:
    gate = Gate()
    async with running_dispatch(gate, service("a"), service("b"), service("c"), concurrency=1) as running:
        # After two more slots of each service the waiting checks are a second late. Half a second is allowed.
        await running.wait_for_metric("skipped_slots_total", 6, reason="overlap")
        gate.open.set()
        await running.wait_for_checks(1)
        await running.wait_for_metric("skipped_slots_total", 1, reason="full")
        await running.wait_for_checks(4)

    for check in running.checks[1:]:
        assert check.finished_at - check.scheduled_at < timedelta(seconds=1.5)  # the skipped slots are older


async def test_an_error_of_the_prober_is_not_recorded(caplog: pytest.LogCaptureFixture) -> None:
    async def trouble(checked: Service) -> tuple[Outcome, Judgement, int]:
        if checked.id == "defect":
            raise KeyError("a defect")
        raise ProberTrouble("no file descriptors\nFAKE log line")

    async with running_dispatch(trouble, service("web"), service("defect")) as running:
        await running.wait_for_metric("trouble_total", 4)

    assert running.checks == []
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1  # logged once a minute
    assert "\n" not in errors[0].getMessage()


async def test_a_replaced_service_is_no_longer_checked() -> None:
    async with running_dispatch(succeed, service("old")) as running:
        await running.wait_for_checks(1)
        running.dispatch.replace([service("new")])
        before = len(running.checks)
        checks = await running.wait_for_checks(before + 2)

    assert {check.service_id for check in checks[before:]} == {"new"}


async def test_a_stop_waits_for_running_checks_and_counts_those_that_do_not_end() -> None:
    async def by_name(checked: Service) -> tuple[Outcome, Judgement, int]:
        await (ending.wait() if checked.id == "quick" else anyio.sleep_forever())
        return GOOD, Judgement(True, "o"), 1

    ending = anyio.Event()
    running = RunningDispatch(by_name, 100)
    running.dispatch.replace([service("quick", 60), service("stuck", 60)])
    async with anyio.create_task_group() as group:
        group.start_soon(running.dispatch.run)
        await running.wait_for_metric("checks_running", 2)
        running.dispatch.stop(0.5)
        ending.set()

    assert [check.service_id for check in running.checks] == ["quick"]
    assert running.metric("skipped_slots_total", reason="stopping") == 1
