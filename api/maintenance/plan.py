"""Plans the next occurrences of a maintenance window and stores them as rows. The worker plans later occurrences, and
starts and ends all of them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sql
from api.rest.errors import invalid
from api.rest.problems import FieldProblem
from sla_monitor.formats.time_zones import zone
from sla_monitor.recurrence.occurrences import LONGEST, Occurrence, Schedule, local_starts, occurrences, overlap
from sla_monitor.recurrence.rules import RuleError, parse, require_time
from sla_monitor.windows import AHEAD
from sql.database import Connection

EARLIEST, LATEST = timedelta(days=1), timedelta(days=5 * 366)
"""A new window begins at most EARLIEST before now and at most LATEST after now."""


def window_schedule(
    starts_at: datetime, ends_at: datetime, rrule: str | None, time_zone: str, longest: timedelta = LONGEST
) -> Schedule:
    """The schedule of a window or a correction with these fields. Raises 400 for an invalid one, and for occurrences
    that are longer than `longest`."""
    if ends_at <= starts_at:
        raise invalid(FieldProblem.of("endsAt", "after_start"))
    if ends_at - starts_at > longest:
        raise invalid(FieldProblem.of("endsAt", "days_long", days=longest.days))
    known = zone(time_zone)
    if known is None:
        raise invalid(FieldProblem.of("timeZone", "time_zone"))
    try:
        schedule = Schedule(starts_at, ends_at, parse(rrule) if rrule is not None else None, known)
        if schedule.rule is not None:
            require_time(schedule.rule, schedule.first)
    except RuleError as error:
        raise invalid(FieldProblem.of("rrule", error.code, **error.parameters)) from None
    if next(local_starts(schedule, schedule.first), None) != schedule.first:
        raise invalid(FieldProblem.of("startsAt", "first_occurrence", zone=time_zone))
    if overlap(schedule, starts_at + AHEAD):
        raise invalid(FieldProblem.of("endsAt", "overlapping"))
    return schedule


def require_ahead(schedule: Schedule, now: datetime) -> None:
    """Raises 400 if a new or moved window begins before EARLIEST or after LATEST, or is over."""
    if not now - EARLIEST <= schedule.starts_at <= now + LATEST:
        raise invalid(FieldProblem.of("startsAt", "planning_range"))
    if schedule.ends_at <= now and schedule.rule is None:
        raise invalid(FieldProblem.of("endsAt", "future"))


async def plan(connection: Connection, window_id: UUID, schedule: Schedule, now: datetime) -> None:
    """Stores the occurrences of a window in the caller's transaction. Past occurrences do not change."""
    until = max(now, schedule.starts_at) + AHEAD
    coming = [found for found in occurrences(schedule, until) if found.ends_at > now]
    values = {"id": window_id, "until": until if schedule.rule is not None else None} | _arrays(coming)
    await connection.execute(sql.query("maintenance/plan"), values)


def _arrays(found: list[Occurrence]) -> dict[str, Any]:
    return {"starts": [one.starts_at for one in found], "ends": [one.ends_at for one in found]}
