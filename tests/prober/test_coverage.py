"""The time a check stands for: the rows of a service lie end to end, however long its checks take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.coverage import MOST_SECONDS, Coverage
from prober.dispatch import wall_ms
from prober.judge import Judgement
from prober.outcome import Outcome
from prober.probes import Engine, run_check
from prober.schedule import Schedule, Slot, phase_ms
from prober.services import Service
from prober.store import Check
from sla_monitor.settings import Settings
from tests.prober import targets
from tests.prober.rounds import GOOD, Round, at_once, dispatching, service
from tests.prober.services import http_service

FAILED = Outcome(total_ms=900.0, error_type="timeout", error_message="timed out")
VERDICTS = {
    "good": (GOOD, Judgement(True, "o"), 1),
    "failed": (FAILED, Judgement(False, "mo", "timeout", "timed out"), 6),
}


def end(check: Check) -> datetime:
    return check.scheduled_at + timedelta(seconds=check.interval_seconds)


def lie_end_to_end(rows: list[Check], this: Round) -> bool:
    """A loaded machine may miss a slot while no check is under way; it never makes rows overlap."""
    gaps = [later.scheduled_at - end(row) for row, later in pairwise(rows)]
    missed = timedelta(seconds=this.value("missed_slots_total"))
    return all(timedelta(0) <= gap <= missed for gap in gaps)


async def first_of(service_id: str, this: Round) -> Check:
    """The first check of a service, as soon as it is finished."""
    while not (rows := [check for check in this.checks if check.service_id == service_id]):
        await this.finished(len(this.checks) + 1)
    return rows[0]


class Held:
    """The first check of a service takes until `free` is set, all others none."""

    def __init__(self, verdict: str = "failed") -> None:
        self.started = anyio.Event()
        self.free = anyio.Event()
        self._verdict = VERDICTS[verdict]

    async def __call__(self, checked: Service) -> tuple[Outcome, Judgement, int]:
        if self.started.is_set():
            return await at_once(checked)
        self.started.set()
        await self.free.wait()
        return self._verdict


@asynccontextmanager
async def holding(held: Held, checked: Service, *, shift_ms: list[float] | None = None) -> AsyncIterator[Round]:
    """A dispatch whose first check is under way. What is added to `shift_ms` sets its wall clock."""
    steps = shift_ms if shift_ms is not None else []
    async with dispatching(held, checked, clock_ms=lambda: wall_ms() + sum(steps)) as this:
        with anyio.fail_after(120):
            await held.started.wait()
        yield this
        held.free.set()


class TestRowsLieEndToEnd:
    @pytest.mark.parametrize("verdict", VERDICTS)
    async def test_a_check_stands_for_the_slots_that_were_given_up(self, verdict: str) -> None:
        held = Held(verdict)
        async with holding(held, service("web")) as this:
            await this.counted("skipped_slots_total", 2, reason="overlap")
            held.free.set()
            first, second, third = (await this.finished(3))[:3]

        assert first.interval_seconds >= 3
        assert first.success is (verdict == "good")
        assert lie_end_to_end([first, second, third], this)
        assert (second.interval_seconds, third.interval_seconds) == (1, 1)

    async def test_checks_that_end_about_when_a_slot_is_due(self) -> None:
        """Whether the slot is given up or probed is decided by microseconds; the rows agree either way."""
        offsets_ms = {f"service {number}": number - 5 for number in range(11)}

        async def until_the_slot(checked: Service) -> tuple[Outcome, Judgement, int]:
            offset_ms = offsets_ms[checked.id]
            left_ms = 1000 - (wall_ms() - phase_ms(checked.id, 1000) - offset_ms) % 1000
            await asyncio.sleep(left_ms / 1000)
            return VERDICTS["failed"]

        async with dispatching(until_the_slot, *(service(name) for name in offsets_ms)) as this:
            await this.finished(40)

        for name in offsets_ms:
            rows = [check for check in this.checks if check.service_id == name]
            assert len(rows) >= 2
            assert lie_end_to_end(rows, this), name

    @given(
        durations=st.lists(st.integers(0, 9_000), min_size=1, max_size=12),
        delays=st.lists(st.integers(0, 400), min_size=1, max_size=5),
        interval_s=st.integers(1, 4),
    )
    def test_whatever_they_take(self, durations: list[int], delays: list[int], interval_s: int) -> None:
        """The schedule and the coverage alone, in a simulated time; the schedule is asked up to 400 ms late."""
        interval_ms = interval_s * 1000
        schedule, now, tick = Schedule(), 1_000_000_000, 0
        schedule.replace({"web": interval_ms}, now)
        rows: list[tuple[int, int]] = []
        for duration in durations:
            slots: list[Slot] = []
            while not slots:
                now = max(now, (schedule.next_ms() or 0) + delays[tick % len(delays)])
                tick += 1
                slots = schedule.due(now)
            coverage, began, finish = Coverage(slots[0].at_ms, interval_ms), now, now + duration
            while (due := max(now, (schedule.next_ms() or 0) + delays[tick % len(delays)])) < finish:
                now = due
                tick += 1
                for slot in schedule.due(now):
                    coverage.extend(slot.at_ms, interval_ms)
            now = finish
            seconds = coverage.seconds(schedule.next_slot("web"), began, finish, duration)
            rows.append((slots[0].at_ms, slots[0].at_ms + seconds * 1000))
        assert [row[1] for row in rows[:-1]] == [row[0] for row in rows[1:]]


class TestChangesWhileACheckIsUnderWay:
    async def test_a_removed_service_is_covered_until_it_was_removed(self) -> None:
        held = Held()
        async with holding(held, service("web")) as this:
            await this.counted("skipped_slots_total", 1, reason="overlap")
            this.dispatch.replace([service("other")])
            removed = datetime.now(UTC)
            await this.finished(4)  # of the other service: at least two seconds
            this.dispatch.replace([service("web")])  # resumed: the slots until the check ends are given up
            await this.counted("skipped_slots_total", 3, reason="overlap")
            held.free.set()
            first = await first_of("web", this)

        assert timedelta(0) <= end(first) - removed <= timedelta(seconds=1.1)

    async def test_a_shorter_interval(self) -> None:
        held = Held()
        async with holding(held, service("web", 60)) as this:
            this.dispatch.replace([service("web", 1)])
            await this.counted("skipped_slots_total", 2, reason="overlap")
            held.free.set()
            first, second = (await this.finished(2))[:2]

        assert timedelta(0) <= second.scheduled_at - end(first) < timedelta(seconds=1), "whole seconds, no overlap"

    async def test_a_shorter_interval_before_a_slot_is_given_up(self) -> None:
        coverage = Coverage(at_ms=0, interval_ms=60_000)
        assert coverage.seconds(23_456, 5.0, 800.0, 795.0) == 23

    async def test_a_longer_interval_adds_none_of_its_time(self) -> None:
        held = Held()
        async with holding(held, service("web")) as this:
            await this.counted("skipped_slots_total", 1, reason="overlap")
            this.dispatch.replace([service("web", 86_400), service("other")])
            await this.finished(3)  # of the other service: at least a second
            held.free.set()
            first = await first_of("web", this)

        assert timedelta(0) < end(first) - first.finished_at <= timedelta(seconds=1)

    @pytest.mark.parametrize("hours", [1, -1])
    async def test_a_clock_that_is_set_invents_no_time(self, hours: int) -> None:
        held, shift_ms = Held(), list[float]()
        async with holding(held, service("web"), shift_ms=shift_ms) as this:
            shift_ms.append(hours * 3_600_000)
            await this.counted("skipped_slots_total", 2, reason="overlap")
            held.free.set()
            first = (await this.finished(1))[0]

        # Set forward: for the time that has really passed. Set back: its later slots are probed when they come again.
        assert first.interval_seconds in (range(2, 7) if hours > 0 else [1])

    async def test_a_schedule_that_missed_a_slot_does_not_leave_it_out(self) -> None:
        coverage = Coverage(at_ms=0, interval_ms=1000)
        coverage.extend(1000, 1000)
        assert coverage.seconds(4000, 1.0, 3200.0, 3199.0) == 4  # the slots at 2000 and 3000 never came


@given(
    at_ms=st.integers(0, 2**42),
    interval_s=st.integers(1, 86_400),
    given_up=st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(1, 86_400)), max_size=4),
    next_ms=st.none() | st.integers(0, 2**43),
    late_ms=st.floats(-(10**9), 10**6),
    elapsed_ms=st.floats(0, 10**7),
    step_ms=st.floats(-(10**9), 10**9),
)
def test_a_row_always_has_an_interval_that_the_database_takes(
    at_ms: int,
    interval_s: int,
    given_up: list[tuple[int, int]],
    next_ms: int | None,
    late_ms: float,
    elapsed_ms: float,
    step_ms: float,
) -> None:
    coverage = Coverage(at_ms, interval_s * 1000)
    for distance_ms, interval in given_up:
        coverage.extend(at_ms + distance_ms, interval * 1000)
    began_ms = at_ms + late_ms
    assert 1 <= coverage.seconds(next_ms, began_ms, began_ms + elapsed_ms + step_ms, elapsed_ms) <= MOST_SECONDS


async def test_retries_change_no_uptime() -> None:
    """A target that answers and then hangs: the same down time with retries that outlast the interval and without."""
    hanging = anyio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (targets.hang if hanging.is_set() else targets.good())(reader, writer)

    def down_and_covered(checks: list[Check], until: datetime) -> tuple[float, float]:
        spans = [(check.success, (min(end(check), until) - check.scheduled_at).total_seconds()) for check in checks]
        spans = [span for span in spans if span[1] > 0]
        return sum(seconds for success, seconds in spans if not success), sum(seconds for _, seconds in spans)

    async with targets.serving(behave) as port, Engine(Settings()) as engine:
        once = http_service(id="web", endpoint_url=f"http://127.0.0.1:{port}/", interval_seconds=1, timeout_ms=900)
        again = msgspec.structs.replace(once, retries=2)
        async with (
            dispatching(lambda checked: run_check(checked, engine), once) as without,
            dispatching(lambda checked: run_check(checked, engine), again) as with_retries,
        ):
            await without.finished(3)
            await with_retries.finished(3)
            hanging.set()
            until = datetime.now(UTC) + timedelta(seconds=6)
            with anyio.fail_after(120):
                for this in (without, with_retries):
                    while end(this.checks[-1]) < until:
                        await this.finished(len(this.checks) + 1)

    down, covered = down_and_covered(without.checks, until)
    assert covered == pytest.approx(down_and_covered(with_retries.checks, until)[1], abs=1)
    assert down == pytest.approx(down_and_covered(with_retries.checks, until)[0], abs=1)
    assert 5 <= down <= 7.1
