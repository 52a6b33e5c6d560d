"""Keeps the continuous aggregates true: late rows reach them, and their closed part moves on."""

import logging

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from sql import query

log = logging.getLogger(__name__)


async def refresh(connection: AsyncConnection[TupleRow]) -> bool:
    """Materialises what has ended since the last call, then recomputes what late rows have touched.

    One process at a time; another's turn, or TimescaleDB refreshing the same range at this moment, means False: the
    ranges stay noted and the next call finds them. The connection must be in autocommit mode, since a refresh commits.
    """
    row = await (await connection.execute(query("aggregates/lock"))).fetchone()
    if row is None or not row[0]:
        return False
    try:
        await connection.execute("CALL advance_aggregates()")
        spans = await (await connection.execute(query("aggregates/touched"))).fetchall()
        for low, high, _ in spans:
            await connection.execute("CALL refresh_aggregates(%s, %s)", (low, high))
        if spans:
            await connection.execute(query("aggregates/forget_touched"), {"ids": spans[0][2]})
    except (psycopg.errors.LockNotAvailable, psycopg.errors.ObjectInUse) as error:
        log.info("aggregates are being refreshed elsewhere, trying again later: %s", error.diag.message_primary)
        return False
    finally:
        if not connection.closed:
            await connection.execute(query("aggregates/unlock"))
    return True
