"""Who is at work on incidents at this moment, and what somebody has not saved: what the console says beside them."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec

from api.auth.permissions import Principal
from sql import Pool, database


class EditorRow(msgspec.Struct):
    """Somebody else who has an incident open to change it; `field` is where they are."""

    incident_id: str
    user_id: UUID
    user_name: str
    field: str | None


class WaitingDraft(msgspec.Struct):
    incident_id: str
    title: str
    saved_at: datetime


async def editors(pool: Pool, user: Principal, incidents: Collection[str]) -> dict[str, list[EditorRow]]:
    """Those but `user` who edit, by incident."""
    rows = await database.rows(pool, "presence/editing", EditorRow, incidents=list(incidents), user_id=user.user_id)
    by_incident: dict[str, list[EditorRow]] = {}
    for row in rows:
        by_incident.setdefault(row.incident_id, []).append(row)
    return by_incident


async def waiting_drafts(pool: Pool, user: Principal) -> list[WaitingDraft]:
    """Newest first."""
    return await database.rows(pool, "drafts/waiting", WaitingDraft, user_id=user.user_id)
