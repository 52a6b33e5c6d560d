"""Users who have an incident open for editing, and drafts that were not saved. The console shows them at the
incidents."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec

from api.auth.permissions import Principal
from sql import Pool, database


class EditorRow(msgspec.Struct):
    """Another user who has an incident open for editing; `field` is the field that has the focus."""

    incident_id: str
    user_id: UUID
    user_name: str
    field: str | None


class WaitingDraft(msgspec.Struct):
    incident_id: str
    title: str
    saved_at: datetime


async def editors(pool: Pool, user: Principal, incidents: Collection[str]) -> dict[str, list[EditorRow]]:
    """Editors other than `user`, by incident."""
    rows = await database.rows(pool, "presence/editing", EditorRow, incidents=list(incidents), user_id=user.user_id)
    by_incident: dict[str, list[EditorRow]] = {}
    for row in rows:
        by_incident.setdefault(row.incident_id, []).append(row)
    return by_incident


async def waiting_drafts(pool: Pool, user: Principal) -> list[WaitingDraft]:
    """The drafts of `user`, newest first."""
    return await database.rows(pool, "drafts/waiting", WaitingDraft, user_id=user.user_id)
