"""Stores the occurrences of corrections with endless rules when they begin."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import psycopg
from anyio.lowlevel import checkpoint
from psycopg.rows import class_row

import sql
from sla_monitor.formats.time_zones import zone
from sla_monitor.recurrence.occurrences import Occurrence, Schedule, stored_occurrences
from sla_monitor.recurrence.rules import parse
from sql import Pool, database
from worker.duty import Work

log = logging.getLogger(__name__)

POSTPONED = timedelta(hours=1)
"""A correction that cannot be extended is due again after this time."""


class _Due(msgspec.Struct):
    id: UUID


class _Correction(msgspec.Struct):
    starts_at: datetime
    ends_at: datetime
    rrule: str
    time_zone: str
    stored_until: datetime | None


async def extend(work: Work) -> None:
    await extend_corrections(work.pool, datetime.now(UTC))


async def extend_corrections(pool: Pool, now: datetime) -> int:
    """Stores the occurrences that have begun before `now`. Returns the number of corrections that were extended.

    Each correction has its own transaction. One that has become invalid, since it was changed in the database or its
    time zone was removed, does not stop the others: it is logged and postponed.
    """
    count = 0
    for due in await database.rows(pool, "sla/corrections/due", _Due, now=now):
        await checkpoint()  # computing the occurrences of many years takes some milliseconds
        try:
            count += await _extend_one(pool, due.id, now)
        except (psycopg.DataError, ArithmeticError, ValueError) as error:
            reason = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
            log.error("correction %s cannot be extended: %s", due.id, reason)
            async with database.transaction(pool) as connection:
                postponed = {"id": due.id, "due_at": now + POSTPONED}
                await connection.execute(sql.query("sla/corrections/postpone"), postponed)
    return count


async def _extend_one(pool: Pool, correction_id: UUID, now: datetime) -> int:
    async with database.transaction(pool) as connection:
        async with connection.cursor(row_factory=class_row(_Correction)) as cursor:
            await cursor.execute(sql.query("sla/corrections/take"), {"id": correction_id, "now": now})
            correction = await cursor.fetchone()
        if correction is None:  # another process is extending it, or it has been withdrawn
            return 0
        found, due_at = _begun(correction, now)
        values = {
            "id": correction_id,
            "due_at": due_at,
            "starts": [occurrence.starts_at for occurrence in found],
            "ends": [occurrence.ends_at for occurrence in found],
        }
        await connection.execute(sql.query("sla/corrections/extend"), values)
        return 1


def _begun(correction: _Correction, now: datetime) -> tuple[list[Occurrence], datetime | None]:
    """The occurrences to store, which are later than those that are stored, and the start of the next one."""
    known = zone(correction.time_zone)
    if known is None:
        raise ValueError(f"{correction.time_zone} is not a known time zone")
    schedule = Schedule(correction.starts_at, correction.ends_at, parse(correction.rrule), known)
    found, due_at = stored_occurrences(schedule, now)
    last = correction.stored_until
    return [occurrence for occurrence in found if last is None or occurrence.starts_at > last], due_at
