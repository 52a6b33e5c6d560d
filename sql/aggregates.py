"""Adds raw checks to the rollups, and upgrades an installation of release 0.1 in the background."""

import logging
import time

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from sql import query
from sql.migrate import finish_upgrade

log = logging.getLogger(__name__)

UPGRADE_SECONDS = 10.0
"""The time limit of an upgrade from release 0.1 in one round. Recording waits for one step at a time only."""


async def refresh(connection: AsyncConnection[TupleRow]) -> bool:
    """Adds the raw checks of completed intervals to the rollups, and continues an upgrade if there is one.

    Only one process at a time does this. Returns False if another process does it, or holds a lock that is needed. The
    connection must be in autocommit mode, since each step commits.
    """
    row = await (await connection.execute(query("aggregates/lock"))).fetchone()
    if row is None or not row[0]:
        return False
    try:
        await connection.execute("CALL fold_checks()")
        if await _pending(connection):
            if await _owns_schema(connection):
                await _refresh_legacy(connection)
                await _upgrade(connection)
            else:
                log.warning("an upgrade from release 0.1 needs a worker that connects as the owner: see docs/roles.md")
    except (psycopg.errors.LockNotAvailable, psycopg.errors.ObjectInUse) as error:
        log.info("another process refreshes the aggregates; the next round tries again: %s", error.diag.message_primary)
        return False
    finally:
        if not connection.closed:
            await connection.execute(query("aggregates/unlock"))
    return True


async def _pending(connection: AsyncConnection[TupleRow]) -> bool:
    row = await (await connection.execute("SELECT upgrade_pending()")).fetchone()
    return row is not None and bool(row[0])


async def _owns_schema(connection: AsyncConnection[TupleRow]) -> bool:
    """Whether the user of the connection may refresh and drop the aggregates of release 0.1."""
    row = await (await connection.execute(query("aggregates/owns_schema"))).fetchone()
    return row is not None and bool(row[0])


async def _refresh_legacy(connection: AsyncConnection[TupleRow]) -> None:
    """Refreshes the aggregates of release 0.1, which the views read until the upgrade is complete."""
    await connection.execute("CALL advance_aggregates()")
    spans = await (await connection.execute(query("aggregates/touched"))).fetchall()
    for low, high, _ in spans:
        await connection.execute("CALL refresh_aggregates(%s, %s)", (low, high))
    if spans:
        await connection.execute(query("aggregates/delete_touched"), {"ids": spans[0][2]})


async def _upgrade(connection: AsyncConnection[TupleRow]) -> None:
    until = time.monotonic() + UPGRADE_SECONDS
    while time.monotonic() < until:
        row = await (await connection.execute("SELECT run_upgrade_task()")).fetchone()
        if row is None or not row[0]:
            await finish_upgrade(connection)
            return
