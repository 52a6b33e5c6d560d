"""What a report of a job means, and what it means that none comes. Pure: values and a clock in, checks and values out.

A check of a heartbeat speaks from its time until the next report is late, or for a day where that is longer; then the
worker records the next one. The outage of a late report begins when it was due.
"""

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from sla_monitor.checks.heartbeat import Heartbeat
from sla_monitor.formats.one_line import on_one_line

LOCATION = "heartbeat"
"""Where checks of heartbeats come from, as far as the database is concerned."""
LONGEST = timedelta(days=1)
"""A check speaks no longer."""
LONGEST_RUN_MS = 1e7
"""The database takes no longer time of a check."""
MOST_TEXT = 10_000
MESSAGE_LIMIT = 500
INSTANT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
Event = Literal["success", "start", "fail", "log"] | int
"""What a job reports; a number is its exit code."""


class Known(msgspec.Struct, kw_only=True):
    """What is known of one heartbeat (queries/heartbeats/known.sql)."""

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


class Turn(NamedTuple):
    """What is recorded, and what is known afterwards (queries/heartbeats/update.sql)."""

    checks: list[Check]
    known: dict[str, Any]


def reported(known: Known, event: Event, text: str) -> Turn:
    """A report came at `known.now`. A paused job's is noted, and nothing is recorded of it."""
    now = known.now
    noted = {"ping_at": now, "event": str(event), "text": text[:MOST_TEXT].replace("\0", "�")}
    if not known.enabled or event == "log":
        return Turn([], _after(known) | noted)
    if event == "start":
        began = {"started_at": now}
        if known.due_at is None:
            began |= {"due_at": now, "late_at": now + known.config.grace}
        return Turn([], _after(known) | noted | began)
    run_ms = (now - known.started_at) / timedelta(milliseconds=1) if known.started_at is not None else None
    failing = event not in ("success", 0)
    at = max(now, known.recorded_at + INSTANT) if known.recorded_at is not None else now
    due = known.config.due_after(now, known.interval_seconds)
    late = due + known.config.grace
    check = Check(
        known.service_id,
        at,
        at,
        _seconds(at, due, late),
        failing,
        total_ms=min(max(0.0, run_ms), LONGEST_RUN_MS) if run_ms is not None else None,
        error_type="assertion_failed" if failing else None,
        error_message=_message(event, text) if failing else None,
    )
    after = _recorded(check) | {"started_at": None, "due_at": due, "late_at": late, "run_ms": run_ms}
    return Turn([check], _after(known) | after | noted)


def turned(known: Known) -> Turn:
    """No report came until `known.now`: is it late, and does the last check still speak?"""
    now, after = known.now, _after(known)
    checks: list[Check] = []
    if known.due_at is None:
        due = known.config.due_after(now, known.interval_seconds)
        after |= {"due_at": due, "late_at": due + known.config.grace}
    elif known.late_at is not None and known.late_at <= now:
        due, late = known.due_at, known.late_at
        first = due
        while late <= now:  # one check for all times that have passed without a report
            due = known.config.due_after(max(due, now - known.config.grace), known.interval_seconds)
            late = due + known.config.grace
        at = max(first, known.recorded_at + INSTANT) if known.recorded_at is not None else first
        checks = _covering(known.service_id, at, due, late, now, "no report came in time")
        after |= {"due_at": due, "late_at": late}
    elif known.covered_to is not None and known.covered_to <= now and known.late_at is not None:
        why = "it goes on as it was last reported" if known.failing else None
        checks = _covering(known.service_id, known.covered_to, known.due_at, known.late_at, now, why)
    if checks:
        after |= _recorded(checks[-1])
    return Turn(checks, after)


def _covering(
    service_id: str, start: datetime, due: datetime, late: datetime, now: datetime, why: str | None
) -> list[Check]:
    """The checks that speak from `start` until `late`, as far as the present has come; failed ones with a `why`."""
    checks = []
    while start <= now and start < late:
        seconds = _seconds(start, due, late)
        kind = "timeout" if why else None
        checks.append(Check(service_id, start, now, seconds, why is not None, error_type=kind, error_message=why))
        start += timedelta(seconds=seconds)
    return checks


def _seconds(start: datetime, due: datetime, late: datetime) -> int:
    """How long a check of `start` speaks: until the next report is late, or for a day. None begins in the grace time: a
    late report's check takes that time over, from when it was due.

    Whole seconds, rounded up: there must be no gap before the next check.
    """
    end = start + LONGEST
    if late <= end:
        end = late
    elif due <= end:
        end = due - SECOND
    return max(1, -((start - end) // SECOND))


def _after(known: Known) -> dict[str, Any]:
    names = ("service_id", "started_at", "due_at", "late_at", "recorded_at", "covered_to", "failing")
    return {name: getattr(known, name) for name in names}


def _recorded(check: Check) -> dict[str, Any]:
    end = check.scheduled_at + timedelta(seconds=check.interval_seconds)
    return {"recorded_at": check.scheduled_at, "covered_to": end, "failing": check.failing}


def _message(event: Event, text: str) -> str:
    """The first line that the job sent, after what it reported."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    what = "the job reported a failure" if event == "fail" else f"the job ended with exit code {event}"
    return on_one_line(f"{what}: {line}" if line else what, "�")[:MESSAGE_LIMIT]
