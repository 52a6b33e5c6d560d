"""Starting what is due: never two at once, never more than allowed, nothing lost without being counted."""

import logging
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import anyio
import pytest

from prober.judge import Judgement
from prober.outcome import Outcome, ProberTrouble
from prober.schedule import phase_ms
from prober.services import Service
from tests.prober.rounds import GOOD, Round, at_once, dispatching, service


async def test_a_check_carries_its_slot() -> None:
    began = datetime.now(UTC)
    async with dispatching(at_once, service("web")) as this:
        checks = await this.finished(3)

    for check in checks:
        assert check.scheduled_at.timestamp() * 1000 % 1000 == pytest.approx(phase_ms("web", 1000))
        assert check.finished_at >= check.scheduled_at
        assert (check.service_id, check.location, check.severity) == ("web", "lab", "o")
        assert (check.total_ms, check.dns_ms, check.attempts) == (12.5, None, 1)
    times = [check.scheduled_at for check in checks]
    steps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert all(step >= 1 and step.is_integer() for step in steps)  # 1 where the machine lets the prober run in time
    assert began - timedelta(seconds=1) < times[0] <= began
    assert this.value("start_late_seconds_count") == 3
    assert this.value("start_late_seconds_bucket", le="1.0") == 3


async def test_a_service_that_is_still_being_checked_has_its_slot_skipped() -> None:
    running = most = 0
    free = anyio.Event()

    async def hang(_: Service) -> tuple[Outcome, Judgement, int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await free.wait()
        running -= 1
        return GOOD, Judgement(True, "o"), 1

    async with dispatching(hang, service("slow"), service("also-slow", 3600)) as this:
        await this.counted("skipped_slots_total", 2, reason="overlap")
        free.set()
        await this.finished(2)
    assert most <= 2


async def test_at_most_as_many_as_allowed_run_and_the_rest_wait_their_turn() -> None:
    running = most = 0

    async def brief(_: Service) -> tuple[Outcome, Judgement, int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.05)
        running -= 1
        return GOOD, Judgement(True, "o"), 1

    services = [service(f"service-{number}", 60) for number in range(30)]
    async with dispatching(brief, *services, concurrency=3) as this:
        checks = await this.finished(30)

    assert most == 3
    assert {check.service_id for check in checks} == {each.id for each in services}
    assert this.value("skipped_slots_total", reason="full") == 0


async def test_who_waits_too_long_for_a_place_is_skipped_and_counted() -> None:
    free = anyio.Event()

    async def hang(_: Service) -> tuple[Outcome, Judgement, int]:
        await free.wait()
        return GOOD, Judgement(True, "o"), 1

    async with dispatching(hang, service("a"), service("b"), service("c"), concurrency=1) as this:
        # Two more slots of each: those that wait are a second late, and half a second is allowed.
        await this.counted("skipped_slots_total", 6, reason="overlap")
        free.set()
        await this.finished(1)
        await this.counted("skipped_slots_total", 1, reason="full")
        await this.finished(4)

    for check in this.checks[1:]:
        assert check.finished_at - check.scheduled_at < timedelta(seconds=1.5)  # the slots given up are older


async def test_the_probers_own_trouble_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    async def trouble(checked: Service) -> tuple[Outcome, Judgement, int]:
        if checked.id == "defect":
            raise KeyError("a defect")
        raise ProberTrouble("no file descriptors\nFAKE log line")

    async with dispatching(trouble, service("web"), service("defect")) as this:
        await this.counted("trouble_total", 4)

    assert this.checks == []
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1  # once a minute
    assert "\n" not in errors[0].getMessage()


async def test_services_come_and_go_while_others_are_checked() -> None:
    async with dispatching(at_once, service("old")) as this:
        await this.finished(1)
        this.dispatch.replace([service("new")])
        seen = len(this.checks)
        checks = await this.finished(seen + 2)

    assert {check.service_id for check in checks[seen:]} == {"new"}


async def test_a_stop_lets_checks_finish_and_counts_those_that_do_not() -> None:
    async def by_name(checked: Service) -> tuple[Outcome, Judgement, int]:
        await (ending.wait() if checked.id == "quick" else anyio.sleep_forever())
        return GOOD, Judgement(True, "o"), 1

    ending = anyio.Event()
    this = Round(by_name, 100)
    this.dispatch.replace([service("quick", 60), service("stuck", 60)])
    async with anyio.create_task_group() as group:
        group.start_soon(this.dispatch.run)
        await this.counted("checks_running", 2)
        this.dispatch.stop(0.5)
        ending.set()

    assert [check.service_id for check in this.checks] == ["quick"]
    assert this.value("skipped_slots_total", reason="stopping") == 1
