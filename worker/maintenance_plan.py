"""Starts and ends maintenance of services, and stores further occurrences of recurring windows."""

import logging
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import psycopg
from anyio.lowlevel import checkpoint
from psycopg.rows import class_row

import sql
from sla_monitor.formats.time_zones import zone
from sla_monitor.recurrence.occurrences import Occurrence, Schedule, local_starts, occurrences, overlap
from sla_monitor.recurrence.rules import RuleError, parse, require_time
from sla_monitor.texts.problems import text_of
from sla_monitor.windows import AHEAD, LEAST_AHEAD
from sql import Pool, database
from worker.duty import Work

log = logging.getLogger(__name__)


class WindowError(Exception):
    """Some windows could not be extended; the log names them."""


class _OutdatedError(Exception):
    """The window has become invalid since it was saved: it was changed in the database, or its time zone was
    removed."""


class _Due(msgspec.Struct):
    id: UUID


class _Window(msgspec.Struct):
    id: UUID
    starts_at: datetime
    ends_at: datetime
    rrule: str | None
    time_zone: str
    expanded_until: datetime


async def turn(work: Work) -> None:
    """Applies maintenance that begins or ends now to the states of services."""
    async with work.pool.connection() as connection:
        await connection.execute("SELECT turn_maintenance()")


async def extend(work: Work) -> None:
    await extend_windows(work.pool, datetime.now(UTC))


async def extend_windows(pool: Pool, now: datetime) -> int:
    """Stores the occurrences up to `AHEAD` from now. Returns the number of windows that were handled, including those
    that have become invalid and get no occurrences.

    Each window has its own transaction, so that an invalid one does not stop the others. If any window failed, raises
    WindowError after the last one.
    """
    count, failed = 0, 0
    for due in await database.rows(pool, "maintenance/due_for_extension", _Due, ahead=now + LEAST_AHEAD):
        await checkpoint()  # computing the occurrences of a year takes some milliseconds
        try:
            count += await _extend_one(pool, due.id, now)
        except (psycopg.Error, ArithmeticError, ValueError) as error:
            failed += 1
            reason = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
            log.error("maintenance window %s cannot be extended: %s", due.id, reason)
    if failed:
        raise WindowError(f"{failed} maintenance windows cannot be extended")
    return count


async def _extend_one(pool: Pool, window_id: UUID, now: datetime) -> int:
    async with database.transaction(pool) as connection:
        async with connection.cursor(row_factory=class_row(_Window)) as cursor:
            values = {"id": window_id, "ahead": now + LEAST_AHEAD}
            await cursor.execute(sql.query("maintenance/take_for_extension"), values)
            window = await cursor.fetchone()
        if window is None:  # another process is extending it, or it has changed
            return 0
        found = _coming(window, now + AHEAD)
        coming = {
            "id": window_id,
            "until": now + AHEAD,
            "starts": [one.starts_at for one in found],
            "ends": [one.ends_at for one in found],
        }
        await connection.execute(sql.query("maintenance/extend"), coming)
        return 1


def _coming(window: _Window, until: datetime) -> list[Occurrence]:
    """The occurrences to store: from `expanded_until` to `until`. Empty if the window has become invalid, which is
    logged."""
    known = zone(window.time_zone)
    try:
        if known is None:
            raise _OutdatedError(f"{window.time_zone} is not a known time zone")
        rule = parse(window.rrule) if window.rrule is not None else None
        schedule = Schedule(window.starts_at, window.ends_at, rule, known)
        if rule is not None:
            require_time(rule, schedule.first)
        if next(local_starts(schedule, schedule.first), None) != schedule.first:
            raise _OutdatedError("it does not begin with an occurrence of its rule")
        if overlap(schedule, window.starts_at + AHEAD):
            raise _OutdatedError("its occurrences overlap")
    except (RuleError, _OutdatedError) as error:
        reason = f"its rule {text_of(error.code, error.parameters)}" if isinstance(error, RuleError) else error
        log.error("maintenance window %s cannot be extended: %s", window.id, reason)
        return []
    return [found for found in occurrences(schedule, until) if found.starts_at >= window.expanded_until]
