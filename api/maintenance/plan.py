"""When maintenance takes place: written ahead as rows. The worker writes on, and puts it into effect."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sql
from api.rest.errors import FieldProblem, invalid
from sla_monitor.recurrence import (
    LONGEST,
    Occurrence,
    RuleError,
    Schedule,
    local_starts,
    occurrences,
    overlap,
    parse,
    require_time,
)
from sla_monitor.windows import AHEAD, zone
from sql.database import Connection

EARLIEST, LATEST = timedelta(days=1), timedelta(days=5 * 366)
"""How long ago a new window may have begun, and how far in the future it may begin."""


def planned(starts_at: datetime, ends_at: datetime, rrule: str | None, time_zone: str) -> Schedule:
    """The schedule that some fields make. Raises 400 for those that make none."""
    if ends_at <= starts_at:
        raise invalid(FieldProblem("endsAt", "must be after startsAt"))
    if ends_at - starts_at > LONGEST:
        raise invalid(FieldProblem("endsAt", f"must be at most {LONGEST.days} days after startsAt"))
    known = zone(time_zone)
    if known is None:
        raise invalid(FieldProblem("timeZone", "must be an IANA time zone such as Asia/Seoul"))
    try:
        schedule = Schedule(starts_at, ends_at, parse(rrule) if rrule is not None else None, known)
        if schedule.rule is not None:
            require_time(schedule.rule, schedule.first)
    except RuleError as error:
        raise invalid(FieldProblem("rrule", str(error))) from None
    if next(local_starts(schedule, schedule.first), None) != schedule.first:
        raise invalid(FieldProblem("startsAt", f"must be the first occurrence of rrule, in {time_zone}"))
    if overlap(schedule, starts_at + AHEAD):
        raise invalid(FieldProblem("endsAt", "must not lie after the next occurrence has begun"))
    return schedule


def require_ahead(schedule: Schedule, now: datetime) -> None:
    """Of a window that is new or was moved: the past is not planned. Raises 400."""
    if not now - EARLIEST <= schedule.starts_at <= now + LATEST:
        raise invalid(FieldProblem("startsAt", "must not be more than a day ago or five years ahead"))
    if schedule.ends_at <= now and schedule.rule is None:
        raise invalid(FieldProblem("endsAt", "must be in the future"))


async def plan(connection: Connection, window_id: UUID, schedule: Schedule, now: datetime) -> None:
    """Writes when a window takes place, in the transaction that saves it. What is over stays as it was."""
    until = max(now, schedule.starts_at) + AHEAD
    coming = [found for found in occurrences(schedule, until) if found.ends_at > now]
    values = {"id": window_id, "until": until if schedule.rule is not None else None} | _arrays(coming)
    await connection.execute(sql.query("maintenance/plan"), values)


def _arrays(found: list[Occurrence]) -> dict[str, Any]:
    return {"starts": [one.starts_at for one in found], "ends": [one.ends_at for one in found]}
