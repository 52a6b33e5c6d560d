"""Creates partitions in advance, and deletes rows that are older than their retention."""

from typing import Any

import sql
from worker.duty import Work

STATEMENT_TIMEOUT_S = 300.0


async def keep_partitions(work: Work) -> None:
    """Creates and drops partitions, on both engines. None is dropped before its checks are in the rollups."""
    await _execute(work, "keep_partitions")


async def prune_events(work: Work) -> None:
    """Deletes old events of the feed, parked checks and announced days."""
    await _execute(work, "prune_events", event_retention=work.settings.event_retention)


async def prune_sessions(work: Work) -> None:
    """Deletes old sessions, refresh tokens, known addresses of users, and counts of rate limits."""
    await _execute(work, "prune_sessions")


async def prune_idempotency(work: Work) -> None:
    await _execute(work, "prune_idempotency")


async def prune_audit(work: Work) -> None:
    await _execute(work, "prune_audit", audit_retention=work.settings.audit_retention)


async def _execute(work: Work, name: str, **values: Any) -> None:
    async with work.session(STATEMENT_TIMEOUT_S) as connection:
        await connection.execute(sql.query(f"housekeeping/{name}"), values)
