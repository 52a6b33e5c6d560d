"""The occurrences of maintenance windows: stored in advance as rows, and put into effect at their time."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import anyio
import msgspec
import psycopg
from anyio.lowlevel import checkpoint
from psycopg.rows import class_row

import sql
from api.metrics import Metrics
from api.rest.errors import ApiError, FieldProblem, invalid
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
from sql import Pool, database
from sql.database import Connection

log = logging.getLogger(__name__)

AHEAD = timedelta(days=400)
"""How far in advance occurrences are stored: a little more than a year, so that yearly ones are included."""
MIN_AHEAD = AHEAD - timedelta(days=30)
EARLIEST, LATEST = timedelta(days=1), timedelta(days=5 * 366)
"""How long ago a new window may have begun, and how far in the future it may begin."""
LOCAL_NAMES = frozenset({"localtime", "posixrules", "Factory"})
"""Names of time zones that differ between systems."""
TURN_S = 1.0
EXTEND_S = 3600.0
TIMEOUT_S = 10.0


class _Due(msgspec.Struct):
    id: UUID


class DueWindow(msgspec.Struct):
    id: UUID
    starts_at: datetime
    ends_at: datetime
    rrule: str | None
    time_zone: str
    expanded_until: datetime


def zone(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name; None if there is no such zone."""
    try:
        return ZoneInfo(name) if name not in LOCAL_NAMES else None
    except (ValueError, KeyError, OSError):  # a name that is a path, is unknown, is a folder of names
        return None


def planned(starts_at: datetime, ends_at: datetime, rrule: str | None, time_zone: str) -> Schedule:
    """The schedule of a window with these fields. Raises 400 for an invalid one."""
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
    """Checks that a new or moved window lies in the future. Raises 400."""
    if not now - EARLIEST <= schedule.starts_at <= now + LATEST:
        raise invalid(FieldProblem("startsAt", "must not be more than a day ago or five years ahead"))
    if schedule.ends_at <= now and schedule.rule is None:
        raise invalid(FieldProblem("endsAt", "must be in the future"))


async def plan(connection: Connection, window_id: UUID, schedule: Schedule, now: datetime) -> None:
    """Stores the occurrences of a window, in the transaction that saves it. Past occurrences do not change."""
    until = max(now, schedule.starts_at) + AHEAD
    coming = [found for found in occurrences(schedule, until) if found.ends_at > now]
    values = {"id": window_id, "until": until if schedule.rule is not None else None} | _arrays(coming)
    await connection.execute(sql.query("maintenance/plan"), values)


async def turn(pool: Pool) -> None:
    """Starts and ends the maintenance of services."""
    async with pool.connection() as connection:
        await connection.execute("SELECT turn_maintenance()")


async def extend(pool: Pool, metrics: Metrics, now: datetime | None = None) -> int:
    """Stores further occurrences of recurring windows; the number of windows. Several processes can do this at once.

    Each window has its own transaction, so that one with invalid data does not stop the others.
    """
    now = now or datetime.now(UTC)
    count = 0
    for due in await database.rows(pool, "maintenance/due_for_extension", _Due, ahead=now + MIN_AHEAD):
        await checkpoint()  # working out a year takes some milliseconds
        try:
            count += await _extend_one(pool, due.id, now)
        except (psycopg.Error, ArithmeticError, ValueError) as error:
            metrics.maintenance_failures.labels("window").inc()
            log.error("maintenance window %s cannot be extended: %s", due.id, _reason(error))
    return count


async def _extend_one(pool: Pool, window_id: UUID, now: datetime) -> int:
    async with database.transaction(pool) as connection:
        async with connection.cursor(row_factory=class_row(DueWindow)) as cursor:
            values = {"id": window_id, "ahead": now + MIN_AHEAD}
            await cursor.execute(sql.query("maintenance/take_for_extension"), values)
            window = await cursor.fetchone()
        if window is None:
            return 0
        coming = {"id": window_id, "until": now + AHEAD} | _arrays(_coming(window, now + AHEAD))
        await connection.execute(sql.query("maintenance/extend"), coming)
        return 1


def _coming(window: DueWindow, until: datetime) -> list[Occurrence]:
    try:
        schedule = planned(window.starts_at, window.ends_at, window.rrule, window.time_zone)
    except ApiError as error:  # valid when saved: it was changed in the database, or its time zone no longer exists
        log.error("maintenance window %s cannot be extended: %s", window.id, error)
        return []
    return [found for found in occurrences(schedule, until) if found.starts_at >= window.expanded_until]


def _arrays(found: list[Occurrence]) -> dict[str, Any]:
    return {"starts": [one.starts_at for one in found], "ends": [one.ends_at for one in found]}


async def run(pool: Pool, metrics: Metrics) -> None:
    """Until cancelled; the database may come and go, or be one that is only read from."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_regularly, TURN_S, "turn", partial(turn, pool), metrics)
        tasks.start_soon(_regularly, EXTEND_S, "extend", partial(extend, pool, metrics), metrics)


async def _regularly(pause: float, name: str, work: Callable[[], Awaitable[object]], metrics: Metrics) -> None:
    while True:
        try:
            with anyio.fail_after(TIMEOUT_S):
                await work()
        except (psycopg.Error, TimeoutError) as error:
            metrics.maintenance_failures.labels(name).inc()
            log.warning("maintenance, %s: %s", name, _reason(error))
        await anyio.sleep(pause)


def _reason(error: Exception) -> str:
    """One line."""
    return " ".join([type(error).__name__, *str(error).splitlines()[:1]])
