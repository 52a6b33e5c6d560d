"""Reads and writes incidents in the database."""

from datetime import date
from typing import Any

import msgspec
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

import sql
from api.auth.permissions import Principal, sees_internal
from api.incidents.fields import (
    Incident,
    IncidentChange,
    IncidentList,
    IncidentUpdate,
    NewIncident,
    NewUpdate,
    TemplateData,
    is_incident_id,
)
from api.incidents.filters import Filters, page_size
from api.rest.constraints import constraint_errors
from api.rest.errors import ApiError, invalid, raise_problems
from api.rest.pagination import Pagination
from api.rest.problems import FieldProblem, camel
from api.rest.texts import uuid_or_none
from api.services.affected import require_services
from sql import Pool, database
from sql.database import Connection

MAX_PAST = 1000
"""The largest number of incidents on a page of past days."""
REQUIRED = ("title", "severity", "priority", "affected_services")


class IncidentRow(msgspec.Struct):
    """The JSON of the SQL function `incident_json`."""

    incident: dict[str, Any]

    def published(self) -> Incident:
        return msgspec.convert(self.incident, Incident)


class ListRow(msgspec.Struct):
    """The row of the query incidents/listing: a page of incidents, and the number of incidents on all pages."""

    total: int
    incidents: list[dict[str, Any]]


class DayRow(msgspec.Struct):
    """A day and the incidents that began on it. `total`: their number, including incidents that are left out."""

    day: date
    incidents: list[dict[str, Any]]
    total: int


async def listed(pool: Pool, principal: Principal | None, selected: Filters, limit: int, offset: int = 0) -> ListRow:
    """The incidents that pass the filters and that `principal` may see, newest first: at most `limit` after the first
    `offset` ones."""
    values = selected._asdict() | {"internal": sees_internal(principal), "limit": limit, "offset": offset}
    row = await database.row(pool, "incidents/listing", ListRow, **values)
    assert row is not None
    return row


async def past(
    pool: Pool, principal: Principal | None, days: int, limit: int, offset: int = 0, most: int = MAX_PAST
) -> list[DayRow]:
    """A page of the last `days` days, today first: `limit` days after the first `offset` ones. Each has the incidents
    that began on it and that `principal` may see; `most` limits their number on the page."""
    values = {"internal": sees_internal(principal), "days": days, "limit": limit, "offset": offset, "most": most}
    return await database.rows(pool, "incidents/past", DayRow, **values)


async def visible(pool: Pool, incident_id: str, principal: Principal | None) -> Incident:
    """The incident as `principal` may see it. Raises 404 if there is none, or if it is internal and `principal` may not
    see it."""
    incident = None
    if is_incident_id(incident_id):
        incident = await find(pool, incident_id, internal=sees_internal(principal))
    if incident is None:
        raise not_found()
    return incident


async def find(pool: Pool, incident_id: str, *, internal: bool) -> Incident | None:
    """The incident with its whole timeline, or None. `internal`: include internal incidents and fields."""
    row = await database.row(pool, "incidents/one", IncidentRow, id=incident_id, internal=internal, whole=True)
    return row.published() if row is not None else None


def not_found() -> ApiError:
    """The 404 for an incident."""
    return ApiError(404, "unknown_incident")


async def complete(connection: Connection, data: NewIncident) -> dict[str, Any]:
    """The columns of a new incident, including those from its template. Raises 400 for missing or invalid fields."""
    given = await _template(connection, data) | data.given()
    raise_problems([FieldProblem.of(camel(name), "required") for name in REQUIRED if name not in given])
    await require_services(connection, given["affected_services"])
    return given


async def create(connection: Connection, given: dict[str, Any]) -> Incident:
    """Stores a new incident with its services and, if given, its first update. Returns the incident."""
    services, update = given["affected_services"], given.get("update")
    incident = Jsonb({"public": True} | given)
    with constraint_errors():
        row = await (await connection.execute(sql.query("incidents/create"), {"incident": incident})).fetchone()
    assert row is not None
    incident_id = str(row[0])
    await connection.execute(sql.query("incidents/set_services"), {"id": incident_id, "services": services})
    if update:
        await add_update(connection, incident_id, NewUpdate(status="investigating", description=update))
    return await one(connection, incident_id)


async def _template(connection: Connection, data: NewIncident) -> dict[str, Any]:
    """The columns from the template. Raises 400 if there is no such template."""
    if not data.template:
        return {}
    template = await template_data(connection, data.template)
    if template is None:
        raise invalid(FieldProblem.of("template", "unknown_template"))
    return msgspec.structs.asdict(template)


async def save(connection: Connection, incident_id: str, data: IncidentChange) -> None:
    """Saves the fields in `data`. Raises 400 for services that do not exist, unless the incident has them already."""
    change = data.given()
    services = change.pop("affected_services", None)
    if services:
        await require_services(connection, services, incident_id=incident_id)
    with constraint_errors():
        await connection.execute(sql.query("incidents/update"), {"id": incident_id, "change": Jsonb(change)})
    if services is not None:
        await connection.execute(sql.query("incidents/set_services"), {"id": incident_id, "services": services})


async def add_update(connection: Connection, incident_id: str, update: NewUpdate) -> tuple[IncidentUpdate, int]:
    """Stores an update. Returns it with the new version of the incident. Raises 409 if the timeline is full."""
    values = {"id": incident_id, "status": update.status, "description": update.description}
    with constraint_errors():
        row = await (await connection.execute(sql.query("incidents/add_update"), values)).fetchone()
    assert row is not None
    return msgspec.convert(row[0], IncidentUpdate), int(row[1])


async def lock(connection: Connection, incident_id: str) -> int:
    """Locks the incident until the end of the transaction. Returns its version. Raises 404."""
    if not is_incident_id(incident_id):
        raise not_found()
    row = await (await connection.execute(sql.query("incidents/lock"), {"id": incident_id})).fetchone()
    if row is None:
        raise not_found()
    return int(row[0])


async def one(connection: Connection, incident_id: str, whole: bool = True) -> Incident:
    """The incident with internal fields, in this transaction. `whole`: with the whole timeline, not only the newest 20
    updates."""
    async with connection.cursor(row_factory=class_row(IncidentRow)) as cursor:
        await cursor.execute(sql.query("incidents/one"), {"id": incident_id, "internal": True, "whole": whole})
        row = await cursor.fetchone()
    assert row is not None
    return row.published()


async def template_data(connection: Connection, template_id: str) -> TemplateData | None:
    """The values of a template, without services that have been deleted. None if there is no such template."""
    key = uuid_or_none(template_id)
    if key is None:
        return None
    async with connection.cursor(row_factory=class_row(TemplateData)) as cursor:
        await cursor.execute(sql.query("templates/start"), {"id": key})
        return await cursor.fetchone()


async def listing(
    pool: Pool, principal: Principal | None, selected: Filters, page: int, limit: int | None
) -> IncidentList:
    """One page of the incidents that pass the filters and that `principal` may see, newest first."""
    size = page_size(selected, limit)
    row = await listed(pool, principal, selected, size, (page - 1) * size)
    return IncidentList(published(row.incidents), Pagination.of(page, size, row.total))


def published(documents: list[dict[str, Any]]) -> list[Incident]:
    """Converts the JSON of the SQL function `incident_json` to incidents."""
    return msgspec.convert(documents, list[Incident])
