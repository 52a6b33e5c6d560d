"""Records the reports of jobs, and missing reports, as checks with `record_incoming_checks()`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from sla_monitor.heartbeats import LOCATION, Event, State, Update, after_report, without_report
from sql import query
from sql.database import Connection

BATCH_SIZE = 500
"""The maximum number of heartbeats in one transaction, which holds the recording lock."""


async def report(connection: Connection, key: UUID, event: Event, text: str) -> bool:
    """Records the report of a job in the caller's transaction. Returns False if no heartbeat has this key."""
    known = await _known(connection, "heartbeats/known", key=key)
    if not known:
        return False
    await _store(connection, [after_report(known[0], event, text)])
    return True


async def record_due(connection: Connection) -> int:
    """Records the checks that are due now, in the caller's transaction: failed ones for late reports. Returns the
    number of heartbeats, at most `BATCH_SIZE`."""
    known = await _known(connection, "heartbeats/due", most=BATCH_SIZE)
    await _store(connection, [without_report(each) for each in known])
    return len(known)


async def _known(connection: Connection, name: str, **values: Any) -> list[State]:
    await connection.execute("SELECT lock_recording()")
    async with connection.cursor(row_factory=class_row(State)) as cursor:
        await cursor.execute(query(name), values)
        return await cursor.fetchall()


async def _store(connection: Connection, updates: Sequence[Update]) -> None:
    checks = [_plain(check._asdict()) for update in updates for check in update.checks]
    if checks:
        await connection.execute(query("locations/register"), {"id": LOCATION})
        await connection.execute(query("checks/incoming"))
        await connection.execute(query("heartbeats/incoming"), {"location": LOCATION, "checks": Jsonb(checks)})
        await connection.execute("SELECT record_incoming_checks()")
    if updates:
        values = {"heartbeats": Jsonb([_plain(update.columns) for update in updates])}
        await connection.execute(query("heartbeats/update"), values)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The values for JSON: times become ISO 8601 texts."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
