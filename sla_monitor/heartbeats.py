"""Derives the checks of a heartbeat from the reports of its job, or from their absence. Pure: no I/O, the clock is a
parameter.

A check of a heartbeat covers the time until the next report is late, at most a day. The worker then records the next
check. The outage of a late report starts when the report was due.
"""

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from sla_monitor.checks.heartbeat import Heartbeat
from sla_monitor.formats.one_line import on_one_line

LOCATION = "heartbeat"
"""The location of these checks in the database."""
MAX_COVERED = timedelta(days=1)
"""The longest time that one check covers."""
MAX_RUN_MS = 1e7
"""The largest `total_ms` that the database accepts."""
MAX_TEXT = 10_000
MAX_MESSAGE = 500
INSTANT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
Event = Literal["success", "start", "fail", "log"] | int
"""What a job reports. A number is its exit code."""


class State(msgspec.Struct, kw_only=True):
    """The stored state of one heartbeat (queries/heartbeats/known.sql)."""

    service_id: str
    check_config: dict[str, Any]
    interval_seconds: int
    enabled: bool
    started_at: datetime | None
    due_at: datetime | None
    late_at: datetime | None
    recorded_at: datetime | None
    covered_to: datetime | None
    failing: bool
    last_ping_at: datetime | None
    now: datetime

    @property
    def config(self) -> Heartbeat:
        return msgspec.convert(self.check_config, Heartbeat)


class Check(NamedTuple):
    """One check to be recorded."""

    service_id: str
    scheduled_at: datetime
    finished_at: datetime
    interval_seconds: int
    failing: bool
    total_ms: float | None = None
    error_type: str | None = None
    error_message: str | None = None


class Update(NamedTuple):
    """The checks to be recorded, and the columns of the new state (queries/heartbeats/update.sql)."""

    checks: list[Check]
    columns: dict[str, Any]


def after_report(state: State, event: Event, text: str) -> Update:
    """The update for a report at `state.now`. A report of a paused job is stored as the last one, without a check."""
    now = state.now
    report = {"ping_at": now, "event": str(event), "text": text[:MAX_TEXT].replace("\0", "�")}
    if not state.enabled or event == "log":
        return Update([], _columns(state) | report)
    if event == "start":
        started = {"started_at": now}
        if state.due_at is None:
            started |= {"due_at": now, "late_at": now + state.config.grace}
        return Update([], _columns(state) | report | started)
    run_ms = (now - state.started_at) / timedelta(milliseconds=1) if state.started_at is not None else None
    failing = event not in ("success", 0)
    at = max(now, state.recorded_at + INSTANT) if state.recorded_at is not None else now
    due = state.config.due_after(now, state.interval_seconds)
    late = due + state.config.grace
    check = Check(
        state.service_id,
        at,
        at,
        _covered_seconds(at, due, late),
        failing,
        total_ms=min(max(0.0, run_ms), MAX_RUN_MS) if run_ms is not None else None,
        error_type="assertion_failed" if failing else None,
        error_message=_message(event, text) if failing else None,
    )
    after = _recorded(check) | {"started_at": None, "due_at": due, "late_at": late, "run_ms": run_ms}
    return Update([check], _columns(state) | after | report)


def without_report(state: State) -> Update:
    """The update if there was no report up to `state.now`: failed checks for a late report, or checks that continue
    the last state after the time that the last check covers."""
    now, after = state.now, _columns(state)
    checks: list[Check] = []
    if state.due_at is None:
        due = state.config.due_after(now, state.interval_seconds)
        after |= {"due_at": due, "late_at": due + state.config.grace}
    elif state.late_at is not None and state.late_at <= now:
        due, late = state.due_at, state.late_at
        first = due
        while late <= now:  # one check for all times that have passed without a report
            due = state.config.due_after(max(due, now - state.config.grace), state.interval_seconds)
            late = due + state.config.grace
        at = max(first, state.recorded_at + INSTANT) if state.recorded_at is not None else first
        checks = _covering(state.service_id, at, due, late, now, "no report came in time")
        after |= {"due_at": due, "late_at": late}
    elif state.covered_to is not None and state.covered_to <= now and state.late_at is not None:
        failure = "the last report was a failure" if state.failing else None
        checks = _covering(state.service_id, state.covered_to, state.due_at, state.late_at, now, failure)
    if checks:
        after |= _recorded(checks[-1])
    return Update(checks, after)


def _covering(
    service_id: str, start: datetime, due: datetime, late: datetime, now: datetime, failure: str | None
) -> list[Check]:
    """The checks that cover the time from `start` to `late`, as far as they start before `now`. They are failed if
    there is a `failure`, the error message."""
    checks = []
    while start <= now and start < late:
        seconds = _covered_seconds(start, due, late)
        kind = "timeout" if failure else None
        checks.append(
            Check(service_id, start, now, seconds, failure is not None, error_type=kind, error_message=failure)
        )
        start += timedelta(seconds=seconds)
    return checks


def _covered_seconds(start: datetime, due: datetime, late: datetime) -> int:
    """The time that a check at `start` covers: until the next report is late, at most a day. No check starts in the
    grace time, which belongs to the check of a late report: that one starts when the report was due.

    Whole seconds, rounded up: there must be no gap before the next check.
    """
    end = start + MAX_COVERED
    if late <= end:
        end = late
    elif due <= end:
        end = due - SECOND
    return max(1, -((start - end) // SECOND))


def _columns(state: State) -> dict[str, Any]:
    names = ("service_id", "started_at", "due_at", "late_at", "recorded_at", "covered_to", "failing")
    return {name: getattr(state, name) for name in names}


def _recorded(check: Check) -> dict[str, Any]:
    end = check.scheduled_at + timedelta(seconds=check.interval_seconds)
    return {"recorded_at": check.scheduled_at, "covered_to": end, "failing": check.failing}


def _message(event: Event, text: str) -> str:
    """The error message of a reported failure, with the first line of the text that the job sent."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    failure = "the job reported a failure" if event == "fail" else f"the job ended with exit code {event}"
    return on_one_line(f"{failure}: {line}" if line else failure, "�")[:MAX_MESSAGE]
