"""Creates, changes and deletes incidents for REST and the console. Each function writes in one transaction."""

from typing import Any

import sql
from api.auth.permissions import Principal
from api.edge.limits import Limits
from api.incidents import records
from api.incidents.fields import (
    Incident,
    IncidentChange,
    IncidentUpdate,
    NewIncident,
    NewUpdate,
    problems,
)
from api.rest.errors import ApiError, raise_problems
from api.rest.idempotency import Claim, claim
from api.rest.preconditions import allows_version
from api.rest.texts import text_problems
from sla_monitor.settings import Settings
from sql import Pool, database
from sql.database import Actor


class IncidentOutdatedError(ApiError):
    """412: another user saved first; `stored` is the current incident with its newest 20 updates."""

    def __init__(self, stored: Incident) -> None:
        super().__init__(412)
        self.stored = stored


async def create(
    pool: Pool,
    settings: Settings,
    limits: Limits,
    author: Principal,
    by: Actor,
    data: NewIncident,
    key: str | None = None,
) -> tuple[Incident, bool]:
    """Creates an incident. Returns it, and whether it had been created before with the same idempotency `key`. Raises
    400 for invalid fields, 409 if the key was used for another request, 429 for too many incidents of one user."""
    raise_problems(problems(data))
    claimed = claim(author.actor_id, key, data)
    if claimed is not None and (existing_id := await claimed.created(pool)) is not None:
        return await _existing(pool, existing_id), True
    async with pool.connection() as connection:
        given = await records.complete(connection, data)
    created = await _store(pool, settings, limits, author, by, given, claimed)
    if created is not None:
        return created, False
    assert claimed is not None  # a concurrent request has claimed the key
    existing_id = await claimed.created(pool)
    if existing_id is None:
        raise ApiError(409, "key_in_use")
    return await _existing(pool, existing_id), True


async def change(
    pool: Pool, author: Principal, by: Actor, incident_id: str, data: IncidentChange, if_match: str | None = None
) -> Incident:
    """Saves the fields in `data` and deletes the author's draft. Raises 400 for invalid fields, 404 if there is no such
    incident, IncidentOutdatedError if `if_match` names another version."""
    raise_problems(problems(data))
    async with database.transaction(pool, by) as connection:
        if not allows_version(if_match, await records.lock(connection, incident_id)):
            raise IncidentOutdatedError(await records.one(connection, incident_id, whole=False))
        await records.save(connection, incident_id, data)
        draft = {"incident_id": incident_id, "user_id": author.user_id}
        await connection.execute(sql.query("drafts/end"), draft)
        return await records.one(connection, incident_id)


async def add_update(
    pool: Pool, by: Actor, incident_id: str, data: NewUpdate, if_match: str | None = None
) -> tuple[IncidentUpdate, int]:
    """Stores an update. Returns it with the new version of the incident. Raises as `change` does, and 409 if the
    timeline is full."""
    raise_problems(text_problems("description", data.description))
    async with database.transaction(pool, by) as connection:
        if not allows_version(if_match, await records.lock(connection, incident_id)):
            raise IncidentOutdatedError(await records.one(connection, incident_id, whole=False))
        return await records.add_update(connection, incident_id, data)


async def remove(pool: Pool, by: Actor, incident_id: str) -> None:
    """Deletes an incident with its timeline, comments and drafts. Raises 404 if there is no such incident."""
    async with database.transaction(pool, by) as connection:
        await records.lock(connection, incident_id)
        await connection.execute(sql.query("incidents/delete"), {"id": incident_id})


async def _store(
    pool: Pool,
    settings: Settings,
    limits: Limits,
    author: Principal,
    by: Actor,
    given: dict[str, Any],
    claimed: Claim | None,
) -> Incident | None:
    """Stores the new incident and returns it; None if a concurrent request has claimed the key. Raises 429 for too many
    incidents of one user. Only a stored incident counts against this limit."""
    user = str(author.user_id)
    await limits.take("incidents", user, settings.rate_limit_incidents)
    is_counted = False
    try:
        async with database.transaction(pool, by) as connection:
            created = None
            if claimed is None or await claimed.take(connection):
                created = await records.create(connection, given)
                if claimed is not None:
                    await claimed.fulfil(connection, created.id)
        is_counted = created is not None
    finally:
        if not is_counted:
            await limits.give_back("incidents", user)
    return created


async def _existing(pool: Pool, incident_id: str) -> Incident:
    """The incident that was created with a key. Raises 409 if it has been deleted."""
    incident = await records.find(pool, incident_id, internal=True)
    if incident is None:
        raise ApiError(409, "key_of_deleted")
    return incident
