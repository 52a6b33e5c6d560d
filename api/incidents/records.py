"""Incidents in the database: reading one, locking it, and what one transaction writes to it."""

from datetime import date
from typing import Any

import msgspec
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

import sql
from api.auth.permissions import Principal, sees_internal
from api.incidents.fields import Incident, IncidentChange, IncidentUpdate, NewIncident, NewUpdate, is_incident_id
from api.incidents.filters import Filters
from api.incidents.templates import template_data
from api.rest.constraints import constraint_errors
from api.rest.errors import ApiError, invalid
from api.rest.problems import FieldProblem, camel
from api.services.affected import require_services
from sql import Pool, database
from sql.database import Connection

MOST_PAST = 1000
"""Incidents of a page of past days."""
REQUIRED = ("title", "severity", "priority", "affected_services")


class IncidentRow(msgspec.Struct):
    """As `incident_json` writes it."""

    incident: dict[str, Any]

    def published(self) -> Incident:
        return msgspec.convert(self.incident, Incident)


class ListRow(msgspec.Struct):
    total: int
    incidents: list[dict[str, Any]]


class DayRow(msgspec.Struct):
    """A day with what began on it; of the `total`, those for which there was room on the page."""

    day: date
    incidents: list[dict[str, Any]]
    total: int


async def listed(pool: Pool, principal: Principal | None, asked: Filters, limit: int, offset: int = 0) -> ListRow:
    """The incidents that pass the filters and that `principal` may see, newest first."""
    values = asked._asdict() | {"internal": sees_internal(principal), "limit": limit, "offset": offset}
    row = await database.row(pool, "incidents/listing", ListRow, **values)
    assert row is not None
    return row


async def past(
    pool: Pool, principal: Principal | None, days: int, limit: int, offset: int = 0, most: int = MOST_PAST
) -> list[DayRow]:
    """`limit` of the last `days` days, today first, each with what began on it and `principal` may see; `most`
    incidents at most."""
    values = {"internal": sees_internal(principal), "days": days, "limit": limit, "offset": offset, "most": most}
    return await database.rows(pool, "incidents/past", DayRow, **values)


async def visible(pool: Pool, incident_id: str, principal: Principal | None) -> Incident:
    """The incident as `principal` may see it. Raises 404 where there is none for them."""
    row = None
    if is_incident_id(incident_id):
        internal = sees_internal(principal)
        row = await database.row(pool, "incidents/one", IncidentRow, id=incident_id, internal=internal, whole=True)
    if row is None:
        raise not_found()
    return row.published()


def not_found() -> ApiError:
    return ApiError(404, "unknown_incident")


async def complete(connection: Connection, data: NewIncident) -> dict[str, Any]:
    """What a new incident begins with, by column, with what its template gives. Raises 400 for what cannot be."""
    given = await _template(connection, data) | data.given()
    if missing := [name for name in REQUIRED if name not in given]:
        raise invalid(*(FieldProblem.of(camel(name), "required") for name in missing))
    await require_services(connection, given["affected_services"])
    return given


async def create(connection: Connection, given: dict[str, Any]) -> Incident:
    """A new incident with its services and, where one is given, its first update."""
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
    """What the template gives, by column."""
    if not data.template:
        return {}
    template = await template_data(connection, data.template)
    if template is None:
        raise invalid(FieldProblem.of("template", "unknown_template"))
    return msgspec.structs.asdict(template)


async def save(connection: Connection, incident_id: str, data: IncidentChange) -> None:
    """What `data` names; the rest stays. Raises 400 for new services that are none."""
    change = data.given()
    services = change.pop("affected_services", None)
    if services:
        named = await (await connection.execute(sql.query("incidents/services"), {"id": incident_id})).fetchall()
        await require_services(connection, services, kept=[service for (service,) in named])
    with constraint_errors():
        await connection.execute(sql.query("incidents/update"), {"id": incident_id, "change": Jsonb(change)})
    if services is not None:
        await connection.execute(sql.query("incidents/set_services"), {"id": incident_id, "services": services})


async def add_update(connection: Connection, incident_id: str, update: NewUpdate) -> tuple[IncidentUpdate, int]:
    """The update as it is stored, and the incident's version with it. Raises 409 where the timeline is full."""
    values = {"id": incident_id, "status": update.status, "description": update.description}
    with constraint_errors():
        row = await (await connection.execute(sql.query("incidents/add_update"), values)).fetchone()
    assert row is not None
    return msgspec.convert(row[0], IncidentUpdate), int(row[1])


async def lock(connection: Connection, incident_id: str) -> int:
    """The version of the incident, which nobody else changes until the transaction has ended."""
    if not is_incident_id(incident_id):
        raise not_found()
    row = await (await connection.execute(sql.query("incidents/lock"), {"id": incident_id})).fetchone()
    if row is None:
        raise not_found()
    return int(row[0])


async def one(connection: Connection, incident_id: str, whole: bool = True) -> Incident:
    """As those inside see it, in this transaction; of the timeline all or, as in lists, the newest."""
    async with connection.cursor(row_factory=class_row(IncidentRow)) as cursor:
        await cursor.execute(sql.query("incidents/one"), {"id": incident_id, "internal": True, "whole": whole})
        row = await cursor.fetchone()
    assert row is not None
    return row.published()
