"""The interval that a check covers: the rows of a service have no gaps and no overlaps, for checks of any duration."""

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
from tests.prober.dispatching import GOOD, RunningDispatch, running_dispatch, service, succeed
from tests.prober.services import http_service

FAILED = Outcome(total_ms=900.0, error_type="timeout", error_message="timed out")
VERDICTS = {
    "good": (GOOD, Judgement(True, "o"), 1),
    "failed": (FAILED, Judgement(False, "mo", "timeout", "timed out"), 6),
}


def end(check: Check) -> datetime:
    return check.scheduled_at + timedelta(seconds=check.interval_seconds)


def are_contiguous(rows: list[Check], running: RunningDispatch) -> bool:
    """A loaded machine can miss a slot between two checks, which makes a gap. Rows never overlap."""
    gaps = [later.scheduled_at - end(row) for row, later in pairwise(rows)]
    missed = timedelta(seconds=running.metric("missed_slots_total"))
    return all(timedelta(0) <= gap <= missed for gap in gaps)


async def first_of(service_id: str, running: RunningDispatch) -> Check:
    """The first check of a service, as soon as it is finished."""
    while not (rows := [check for check in running.checks if check.service_id == service_id]):
        await running.wait_for_checks(len(running.checks) + 1)
    return rows[0]


class Held:
    """The first check of a service ends when `free` is set. All others succeed at once."""

    def __init__(self, verdict: str = "failed") -> None:
        self.started = anyio.Event()
        self.free = anyio.Event()
        self._verdict = VERDICTS[verdict]

    async def __call__(self, checked: Service) -> tuple[Outcome, Judgement, int]:
        if self.started.is_set():
            return await succeed(checked)
        self.started.set()
        await self.free.wait()
        return self._verdict


@asynccontextmanager
async def holding(
    held: Held, checked: Service, *, shift_ms: list[float] | None = None
) -> AsyncIterator[RunningDispatch]:
    """Runs a dispatch until its first check has started. The sum of `shift_ms` is added to its wall clock."""
    steps = shift_ms if shift_ms is not None else []
    async with running_dispatch(held, checked, clock_ms=lambda: wall_ms() + sum(steps)) as running:
        with anyio.fail_after(120):
            await held.started.wait()
        yield running
        held.free.set()


class TestRowsAreContiguous:
    @pytest.mark.parametrize("verdict", VERDICTS)
    async def test_a_check_covers_the_slots_that_were_skipped_meanwhile(self, verdict: str) -> None:
        held = Held(verdict)
        async with holding(held, service("web")) as running:
            await running.wait_for_metric("skipped_slots_total", 2, reason="overlap")
            held.free.set()
            first, second, third = (await running.wait_for_checks(3))[:3]

        assert first.interval_seconds >= 3
        assert first.success is (verdict == "good")
        assert are_contiguous([first, second, third], running)
        assert (second.interval_seconds, third.interval_seconds) == (1, 1)

    async def test_checks_that_end_close_to_the_next_slot(self) -> None:
        """Microseconds decide whether the slot is skipped or checked. The rows are contiguous in both cases."""
        offsets_ms = {f"service {number}": number - 5 for number in range(11)}

        async def end_near_slot(checked: Service) -> tuple[Outcome, Judgement, int]:
            offset_ms = offsets_ms[checked.id]
            left_ms = 1000 - (wall_ms() - phase_ms(checked.id, 1000) - offset_ms) % 1000
            await asyncio.sleep(left_ms / 1000)
            return VERDICTS["failed"]

        async with running_dispatch(end_near_slot, *(service(name) for name in offsets_ms)) as running:
            await running.wait_for_checks(40)

        for name in offsets_ms:
            rows = [check for check in running.checks if check.service_id == name]
            assert len(rows) >= 2
            assert are_contiguous(rows, running), name

    @given(
        durations=st.lists(st.integers(0, 9_000), min_size=1, max_size=12),
        delays=st.lists(st.integers(0, 400), min_size=1, max_size=5),
        interval_s=st.integers(1, 4),
    )
    def test_checks_of_any_duration(self, durations: list[int], delays: list[int], interval_s: int) -> None:
        """Schedule and coverage only, in simulated time. The schedule is read up to 400 ms late."""
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


class TestChangesDuringACheck:
    async def test_a_check_of_a_removed_service_covers_the_time_until_the_removal(self) -> None:
        held = Held()
        async with holding(held, service("web")) as running:
            await running.wait_for_metric("skipped_slots_total", 1, reason="overlap")
            running.dispatch.replace([service("other")])
            removed = datetime.now(UTC)
            await running.wait_for_checks(4)  # of the other service: at least two seconds
            running.dispatch.replace([service("web")])  # resumed: its slots are skipped until the check ends
            await running.wait_for_metric("skipped_slots_total", 3, reason="overlap")
            held.free.set()
            first = await first_of("web", running)

        assert timedelta(0) <= end(first) - removed <= timedelta(seconds=1.1)

    async def test_a_shorter_interval(self) -> None:
        held = Held()
        async with holding(held, service("web", 60)) as running:
            running.dispatch.replace([service("web", 1)])
            await running.wait_for_metric("skipped_slots_total", 2, reason="overlap")
            held.free.set()
            first, second = (await running.wait_for_checks(2))[:2]

        # The interval of the first row is a whole number of seconds, so the gap is less than one.
        assert timedelta(0) <= second.scheduled_at - end(first) < timedelta(seconds=1)

    async def test_a_shorter_interval_before_a_slot_is_skipped(self) -> None:
        coverage = Coverage(at_ms=0, interval_ms=60_000)
        assert coverage.seconds(23_456, 5.0, 800.0, 795.0) == 23

    async def test_a_longer_interval_does_not_extend_the_coverage(self) -> None:
        held = Held()
        async with holding(held, service("web")) as running:
            await running.wait_for_metric("skipped_slots_total", 1, reason="overlap")
            running.dispatch.replace([service("web", 86_400), service("other")])
            await running.wait_for_checks(3)  # of the other service: at least a second
            held.free.set()
            first = await first_of("web", running)

        assert timedelta(0) < end(first) - first.finished_at <= timedelta(seconds=1)

    @pytest.mark.parametrize("hours", [1, -1])
    async def test_setting_the_clock_adds_no_time(self, hours: int) -> None:
        held, shift_ms = Held(), list[float]()
        async with holding(held, service("web"), shift_ms=shift_ms) as running:
            shift_ms.append(hours * 3_600_000)
            await running.wait_for_metric("skipped_slots_total", 2, reason="overlap")
            held.free.set()
            first = (await running.wait_for_checks(1))[0]

        # Set forward: the time that has passed. Set back: the skipped slots are due again later.
        assert first.interval_seconds in (range(2, 7) if hours > 0 else [1])

    async def test_slots_that_the_schedule_missed_are_covered(self) -> None:
        coverage = Coverage(at_ms=0, interval_ms=1000)
        coverage.extend(1000, 1000)
        # The schedule never returned the slots at 2000 and 3000.
        assert coverage.seconds(4000, 1.0, 3200.0, 3199.0) == 4


@given(
    at_ms=st.integers(0, 2**42),
    interval_s=st.integers(1, 86_400),
    skipped=st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(1, 86_400)), max_size=4),
    next_ms=st.none() | st.integers(0, 2**43),
    late_ms=st.floats(-(10**9), 10**6),
    elapsed_ms=st.floats(0, 10**7),
    step_ms=st.floats(-(10**9), 10**9),
)
def test_an_interval_is_always_within_the_limits_of_the_database(
    at_ms: int,
    interval_s: int,
    skipped: list[tuple[int, int]],
    next_ms: int | None,
    late_ms: float,
    elapsed_ms: float,
    step_ms: float,
) -> None:
    coverage = Coverage(at_ms, interval_s * 1000)
    for distance_ms, interval in skipped:
        coverage.extend(at_ms + distance_ms, interval * 1000)
    began_ms = at_ms + late_ms
    assert 1 <= coverage.seconds(next_ms, began_ms, began_ms + elapsed_ms + step_ms, elapsed_ms) <= MOST_SECONDS


async def test_retries_do_not_change_the_down_time() -> None:
    """The target responds and then hangs. The retries of one service take longer than its interval."""
    hanging = anyio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (targets.hang if hanging.is_set() else targets.good())(reader, writer)

    def down_and_covered(checks: list[Check], until: datetime) -> tuple[float, float]:
        spans = [(check.success, (min(end(check), until) - check.scheduled_at).total_seconds()) for check in checks]
        spans = [span for span in spans if span[1] > 0]
        return sum(seconds for success, seconds in spans if not success), sum(seconds for _, seconds in spans)

    async with targets.serving(behave) as port, Engine(Settings()) as probe_engine:
        once = http_service(id="web", endpoint_url=f"http://127.0.0.1:{port}/", interval_seconds=1, timeout_ms=900)
        again = msgspec.structs.replace(once, retries=2)
        async with (
            running_dispatch(lambda checked: run_check(checked, probe_engine), once) as without,
            running_dispatch(lambda checked: run_check(checked, probe_engine), again) as with_retries,
        ):
            await without.wait_for_checks(3)
            await with_retries.wait_for_checks(3)
            hanging.set()
            until = datetime.now(UTC) + timedelta(seconds=6)
            with anyio.fail_after(120):
                for running in (without, with_retries):
                    while end(running.checks[-1]) < until:
                        await running.wait_for_checks(len(running.checks) + 1)

    down, covered = down_and_covered(without.checks, until)
    assert covered == pytest.approx(down_and_covered(with_retries.checks, until)[1], abs=1)
    assert down == pytest.approx(down_and_covered(with_retries.checks, until)[0], abs=1)
    assert 5 <= down <= 7.1
