"""Starts the checks that are due and passes their results on: schedule -> check -> recorder.

At most `concurrency` checks are under way. Further checks wait in order for as long as a slot may be late
(`grace_ms`); then the slot is skipped and counted. If the check of a service is still under way at the next
slot, that slot is skipped and counted: a service never has two checks at once. The check covers the time of
the slots that were skipped because of it (see coverage.py).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

import anyio

from prober.coverage import Coverage
from prober.judge import Judgement
from prober.metrics import Metrics
from prober.outcome import Outcome, ProberTrouble, TargetDenied, printable
from prober.schedule import Schedule, Slot, grace_ms
from prober.services import Service
from prober.store import Check

LONGEST_SLEEP_MS = 1000
"""The longest time between two reads of the wall clock, so that a change of it is noticed."""
SHORTEST_SLEEP_MS = 10
"""Slots that are due within this time are started together: the event loop wakes up less often, which at 4,000 checks a
second saves 7 % of the CPU. A start is late by this time at most."""
TROUBLE_EVERY_S = 60.0
"""The shortest time between two log lines about checks without a result."""
DENIED_EVERY_S = 3600.0
"""The shortest time between two log lines about the same denied service."""

CheckRunner = Callable[[Service], Awaitable[tuple[Outcome, Judgement, int]]]

_log = logging.getLogger(__name__)


def wall_ms() -> float:
    """Milliseconds since the Unix epoch, the unit of the grid."""
    return time.time_ns() / 1e6


class Dispatch:
    """The running checks. `replace` may be called at any time; `run` ends some seconds after `stop`."""

    def __init__(
        self,
        run_check: CheckRunner,
        put: Callable[[Check], None],
        metrics: Metrics,
        *,
        location: str,
        concurrency: int,
        clock_ms: Callable[[], float] = wall_ms,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_check = run_check
        self._put = put
        self._metrics = metrics
        self._location = location
        self._concurrency = concurrency
        self._clock_ms = clock_ms
        self._steady_s = steady_s
        self._schedule = Schedule()
        self._services: dict[str, Service] = {}
        self._busy: dict[str, Coverage] = {}  # by service: its check that is under way or waiting
        self._waiting: deque[Slot] = deque()
        self._running = 0
        self._missed = 0
        self._trouble_logged_at = -TROUBLE_EVERY_S
        self._denied: dict[str, tuple[Service, float]] = {}  # by id: the service and the time of the last log line
        self._checks: asyncio.TaskGroup | None = None
        self._alarm: asyncio.Future[None] | None = None
        self._scheduling = anyio.CancelScope()
        self._everything = anyio.CancelScope()
        metrics.running.set_function(lambda: self._running)
        metrics.services.set_function(lambda: len(self._services))

    def replace(self, services: Iterable[Service]) -> None:
        """Replaces the services. A check that is under way is not changed."""
        self._services = {service.id: service for service in services}
        for service_id in self._denied.keys() - self._services.keys():
            del self._denied[service_id]
        intervals = {service.id: service.interval_seconds * 1000 for service in self._services.values()}
        self._schedule.replace(intervals, int(self._clock_ms()))
        for service_id in self._busy.keys() - intervals.keys():
            self._busy[service_id].release()
        self._wake()

    def stop(self, patience_s: float) -> None:
        """Starts no more checks. `run` ends when the checks under way have ended, after `patience_s` at the latest."""
        self._scheduling.cancel()
        self._everything.deadline = anyio.current_time() + patience_s

    async def run(self) -> None:
        """Runs checks until `stop`."""
        # Two scopes, because running checks outlive the scheduling. The task group of asyncio starts a task in 2 µs,
        # that of anyio in 13 µs.
        with self._everything:
            async with asyncio.TaskGroup() as self._checks:
                with self._scheduling:
                    await self._schedule_checks()
                self._give_up_waiting()
        self._checks = None

    async def _schedule_checks(self) -> None:
        while True:
            now_ms = self._clock_ms()
            for slot in self._schedule.due(int(now_ms)):
                self._admit(slot)
            self._start_waiting()
            if self._schedule.missed != self._missed:
                self._metrics.missed.inc(self._schedule.missed - self._missed)
                self._missed = self._schedule.missed
            next_ms = self._schedule.next_ms()
            pause_ms = LONGEST_SLEEP_MS if next_ms is None else min(next_ms - self._clock_ms(), LONGEST_SLEEP_MS)
            await self._sleep(max(SHORTEST_SLEEP_MS, int(pause_ms) + 1))

    async def _sleep(self, milliseconds: int) -> None:
        """Waits until `_wake`, or for this time."""
        loop = asyncio.get_running_loop()
        self._alarm = loop.create_future()
        timer = loop.call_later(milliseconds / 1000, self._wake)
        try:
            await self._alarm
        finally:
            timer.cancel()

    def _wake(self) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    def _admit(self, slot: Slot) -> None:
        interval_ms = self._services[slot.service_id].interval_seconds * 1000
        busy = self._busy.get(slot.service_id)
        if busy is not None:
            busy.extend(slot.at_ms, interval_ms)
            self._metrics.overlap.inc()
            return
        self._busy[slot.service_id] = Coverage(slot.at_ms, interval_ms)
        self._waiting.append(slot)

    def _start_waiting(self) -> None:
        """Starts waiting slots, the oldest first, while fewer than `concurrency` checks are under way."""
        while self._waiting and self._running < self._concurrency and self._checks is not None:
            slot = self._waiting.popleft()
            service = self._services.get(slot.service_id)
            late_ms = self._clock_ms() - slot.due_ms
            if service is None:  # the service was removed while the slot waited
                del self._busy[slot.service_id]
            elif late_ms > grace_ms(service.interval_seconds * 1000):
                del self._busy[slot.service_id]
                self._metrics.full.inc()
            else:
                self._running += 1
                self._metrics.late_seconds.observe(max(0.0, late_ms / 1000))
                self._checks.create_task(self._check(service, slot))

    def _give_up_waiting(self) -> None:
        self._metrics.stopping.inc(len(self._waiting))
        self._waiting.clear()

    async def _check(self, service: Service, slot: Slot) -> None:
        began_s, began_ms = self._steady_s(), self._clock_ms()
        try:
            outcome, judgement, attempts = await self._run_check(service)
        except asyncio.CancelledError:
            self._metrics.stopping.inc()
            raise
        except TargetDenied as denied:
            self._count_denied(service, printable(str(denied)))
        except ProberTrouble as trouble:
            self._count_trouble(printable(str(trouble)))
        except Exception:  # a defect in one check type must not end the checks of all others; nothing is recorded
            self._count_trouble("a defect of the prober", exc_info=True)
        else:
            self._metrics.checks[judgement.severity].inc()
            elapsed_s = self._steady_s() - began_s
            self._metrics.check_seconds.observe(elapsed_s)
            finished_ms = self._clock_ms()
            next_ms = self._schedule.next_slot(service.id)
            seconds = self._busy[service.id].seconds(next_ms, began_ms, finished_ms, elapsed_s * 1000)
            self._put(self._row(slot, finished_ms, seconds, outcome, judgement, attempts))
        finally:
            self._running -= 1
            del self._busy[service.id]
            if self._waiting:
                self._start_waiting()

    def _row(
        self, slot: Slot, finished_ms: float, seconds: int, outcome: Outcome, judgement: Judgement, attempts: int
    ) -> Check:
        return Check(
            slot.service_id,
            self._location,
            datetime.fromtimestamp(slot.at_ms / 1000, UTC),
            datetime.fromtimestamp(finished_ms / 1000, UTC),
            seconds,
            outcome.status_code,
            judgement.success,
            judgement.severity,
            outcome.total_ms,
            outcome.dns_ms,
            outcome.connect_ms,
            outcome.tls_ms,
            outcome.first_byte_ms,
            attempts,
            judgement.error_type,
            printable(judgement.error_message) if judgement.error_message else None,
            *(outcome.certificate or ()),
        )

    def _count_denied(self, service: Service, why: str) -> None:
        """Logs why a service is not checked. No check is recorded, so its state becomes unknown."""
        self._metrics.denied.inc()
        now = self._steady_s()
        logged, logged_at = self._denied.get(service.id, (None, 0.0))
        if logged is not service or now - logged_at >= DENIED_EVERY_S:
            self._denied[service.id] = service, now
            _log.warning("service %s is not checked and stays unknown: %s", service.id, why)

    def _count_trouble(self, what: str, *, exc_info: bool = False) -> None:
        self._metrics.trouble.inc()
        now = self._steady_s()
        if now - self._trouble_logged_at >= TROUBLE_EVERY_S:
            self._trouble_logged_at = now
            _log.error("a check had no result and is not recorded: %s", what, exc_info=exc_info)
