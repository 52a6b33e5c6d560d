"""The routes of incidents.

Ids, versions, the timeline and events are maintained by the database: sql/functions/incidents.sql.
"""

from datetime import date
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import requires, sees_internal
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable, Change
from api.edge.limits import Limits
from api.incidents import records
from api.incidents.fields import (
    Incident,
    IncidentAnswer,
    IncidentChange,
    IncidentConflict,
    IncidentList,
    NewIncident,
    NewUpdate,
    PastDay,
    PastIncidents,
    UpdateAnswer,
    problems,
)
from api.incidents.filters import PARAMETERS, FromMoment, PageLimit, Text, ToMoment, Values, filters, page_size
from api.rest.errors import ApiError, code_of, invalid, responses
from api.rest.idempotency import REPLAYED, Claim, KeyHeader, claim
from api.rest.injected import Injected
from api.rest.pagination import PageNumber, PageSize, Pagination
from api.rest.preconditions import NOT_MODIFIED, IfMatch, IfNoneMatch, allows_version, etag, is_known, not_modified
from api.rest.texts import text_problems
from sla_monitor.settings import Settings
from sql import Pool, database

_CHANGES: frozenset[Change] = frozenset({"event", "services"})
CACHEABLE = (
    Cacheable("/api/incidents", _CHANGES, PARAMETERS, personal=True),
    Cacheable("/api/incidents/past", _CHANGES, frozenset({"days", "page", "limit"}), personal=True),
    Cacheable("/api/incidents/", _CHANGES, personal=True),
)
MAX_PAST = 1000
"""Incidents on a page of past days."""
_OUTDATED = {412: ResponseSpec(IncidentConflict, description="Another user saved first", generate_examples=False)}


class ListRow(msgspec.Struct):
    total: int
    incidents: list[dict[str, Any]]


class DayRow(msgspec.Struct):
    """A day and the incidents that began on it. `total`: their number, also of those left out of the page."""

    day: date
    incidents: list[dict[str, Any]]
    total: int


@get(
    "/incidents",
    summary="List incidents",
    tags=["incidents"],
    responses=responses(400, 401, 429, 503),
    **requires("incidents:read"),
)
async def list_incidents(
    request: ApiRequest,
    pool: Injected[Pool],
    status: Values = "",
    severity: Values = "",
    priority: Values = "",
    service: Values = "",
    from_: FromMoment = "",
    to: ToMoment = "",
    q: Text = "",
    page: PageNumber = 1,
    limit: PageLimit = None,
) -> IncidentList:
    """Newest first. Without a filter: unresolved incidents, up to 1000 if no `limit` is given; `status=all` includes
    resolved ones. `from` and `to` refer to the start of an incident; days are those of the reporting time zone. Each
    timeline contains the newest 20 updates."""
    selected = filters(status, severity, priority, service, from_, to, q)
    limit = page_size(selected, limit)
    row = await database.row(
        pool,
        "incidents/listing",
        ListRow,
        **selected._asdict(),
        internal=sees_internal(request.user),
        limit=limit,
        offset=(page - 1) * limit,
    )
    assert row is not None
    return IncidentList(_incidents(row.incidents), Pagination.of(page, limit, row.total))


@get(
    "/incidents/past",
    summary="List the incidents of the last days",
    tags=["incidents"],
    responses=responses(400, 401, 429, 503),
    **requires("incidents:read"),
)
async def past_incidents(
    request: ApiRequest,
    pool: Injected[Pool],
    days: Annotated[int, QueryParameter(ge=1, le=3660)] = 30,
    page: PageNumber = 1,
    limit: PageSize = 10,
) -> PastIncidents:
    """Every day of the reporting time zone, today first, with the incidents that began on it, resolved or not. A page
    has `limit` days. Each timeline contains the newest 20 updates."""
    rows = await database.rows(
        pool,
        "incidents/past",
        DayRow,
        internal=sees_internal(request.user),
        days=days,
        limit=limit,
        offset=(page - 1) * limit,
        most=MAX_PAST,
    )
    listed = [PastDay(row.day.isoformat(), _incidents(row.incidents)) for row in rows]
    truncated = any(row.total > len(row.incidents) for row in rows)
    return PastIncidents(listed, Pagination.of(page, limit, days), truncated)


@get(
    "/incidents/{incident_id:str}",
    summary="Get an incident with its timeline",
    tags=["incidents"],
    responses=responses(400, 401, 404, 429, 503) | NOT_MODIFIED,
    **requires("incidents:read"),
)
async def get_incident(
    request: ApiRequest,
    pool: Injected[Pool],
    incident_id: FromPath[str],
    if_none_match: IfNoneMatch = None,
) -> Response[IncidentAnswer]:
    """404 for an internal incident if the client is anonymous. The `ETag` can be used in `If-Match`."""
    response = _response(await records.visible(pool, incident_id, request.user))
    if is_known(if_none_match, response.headers["ETag"]):
        return not_modified(response)
    return response


@post(
    "/incidents",
    summary="Create an incident",
    tags=["incidents"],
    responses=responses(400, 401, 403, 409, 413, 415, 429, 503),
    **requires("incidents:write"),
)
async def create_incident(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    limits: Injected[Limits],
    data: JSONBody[NewIncident],
    idempotency_key: KeyHeader = None,
) -> Response[IncidentAnswer]:
    """With an `Idempotency-Key` that was used before: the incident that was created then, or 409 if that request was
    different. The number of new incidents is limited for each user."""
    if found := problems(data):
        raise invalid(*found)
    claimed = claim(principal_of(request).actor_id, idempotency_key, data)
    if claimed is not None and (existing_id := await claimed.created(pool)) is not None:
        return await _replayed(pool, existing_id)
    async with pool.connection() as connection:
        given = await records.complete(connection, data)
    created = await _created(request, pool, settings, limits, given, claimed)
    if created is not None:
        return _response(created, 201, {"Location": f"/api/incidents/{created.id}"})
    assert claimed is not None  # a concurrent request has claimed the key
    existing_id = await claimed.created(pool)
    if existing_id is None:
        raise ApiError(409, "The other request with this key is not finished; try again")
    return await _replayed(pool, existing_id)


@put(
    "/incidents/{incident_id:str}",
    summary="Change an incident",
    tags=["incidents"],
    responses=responses(400, 401, 403, 404, 409, 413, 415, 429, 503) | _OUTDATED,
    **requires("incidents:write"),
)
async def change_incident(
    request: ApiRequest,
    pool: Injected[Pool],
    incident_id: FromPath[str],
    data: JSONBody[IncidentChange],
    if_match: IfMatch = None,
) -> Response[IncidentAnswer]:
    """Fields that are not given stay unchanged. A changed status adds an update to the timeline. With `If-Match`: 412
    with the current incident and its newest 20 updates, if another user has saved it since. Deletes the user's draft of
    the incident."""
    if found := problems(data):
        raise invalid(*found)
    async with database.transaction(pool, actor(request)) as connection:
        if not allows_version(if_match, await records.lock(connection, incident_id)):
            return _outdated(await records.one(connection, incident_id, whole=False))
        await records.save(connection, incident_id, data)
        draft = {"incident_id": incident_id, "user_id": principal_of(request).user_id}
        await connection.execute(sql.query("drafts/end"), draft)
        return _response(await records.one(connection, incident_id))


@post(
    "/incidents/{incident_id:str}/updates",
    summary="Add an update to an incident",
    tags=["incidents"],
    responses=responses(400, 401, 403, 404, 409, 413, 415, 429, 503) | _OUTDATED,
    **requires("incidents:write"),
)
async def add_update(
    request: ApiRequest,
    pool: Injected[Pool],
    incident_id: FromPath[str],
    data: JSONBody[NewUpdate],
    if_match: IfMatch = None,
) -> Response[UpdateAnswer]:
    """Adds to the timeline and sets the status. Any status may follow any other; a resolved incident can be reopened.
    `Idempotency-Key` is ignored."""
    if found := text_problems("description", data.description):
        raise invalid(*found)
    async with database.transaction(pool, actor(request)) as connection:
        if not allows_version(if_match, await records.lock(connection, incident_id)):
            return _outdated(await records.one(connection, incident_id, whole=False))
        update, version = await records.add_update(connection, incident_id, data)
    return Response(UpdateAnswer(update), status_code=201, headers={"ETag": f'"{version}"'})


@delete(
    "/incidents/{incident_id:str}",
    summary="Delete an incident",
    tags=["incidents"],
    responses=responses(400, 401, 403, 404, 429, 503),
    **requires("incidents:delete"),
)
async def delete_incident(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> None:
    """Also deletes its timeline, comments and drafts. The audit log keeps its fields."""
    async with database.transaction(pool, actor(request)) as connection:
        await records.lock(connection, incident_id)
        await connection.execute(sql.query("incidents/delete"), {"id": incident_id})


async def _created(
    request: ApiRequest,
    pool: Pool,
    settings: Settings,
    limits: Limits,
    given: dict[str, Any],
    claimed: Claim | None,
) -> Incident | None:
    """Stores the new incident; None if a concurrent request has claimed the key. Only a created incident is counted
    against the limit."""
    user = str(principal_of(request).user_id)
    await limits.take("incidents", user, settings.rate_limit_incidents)
    counts = False
    try:
        async with database.transaction(pool, actor(request)) as connection:
            created = None
            if claimed is None or await claimed.take(connection):
                created = await records.create(connection, given)
                if claimed is not None:
                    await claimed.fulfil(connection, created.id)
        counts = created is not None
    finally:
        if not counts:
            await limits.give_back("incidents", user)
    return created


async def _replayed(pool: Pool, incident_id: str) -> Response[IncidentAnswer]:
    row = await database.row(pool, "incidents/one", records.IncidentRow, id=incident_id, internal=True, whole=True)
    if row is None:
        raise ApiError(409, "The incident that was created under this key has been deleted")
    return _response(row.published(), 201, {REPLAYED: "true"})


def _incidents(documents: list[dict[str, Any]]) -> list[Incident]:
    return msgspec.convert(documents, list[Incident])


def _response(incident: Incident, status: int = 200, headers: dict[str, str] | None = None) -> Response[IncidentAnswer]:
    content = IncidentAnswer(incident)
    return Response(content, status_code=status, headers={"ETag": etag(incident.version, content), **(headers or {})})


def _outdated(incident: Incident) -> Response[Any]:
    content = IncidentConflict("Another user saved first", code_of(412), incident)
    tag = etag(incident.version, IncidentAnswer(incident))
    return Response(content, status_code=412, headers={"ETag": tag})


router = Router(
    "/api",
    route_handlers=[
        list_incidents,
        past_incidents,
        get_incident,
        create_incident,
        change_incident,
        add_update,
        delete_incident,
    ],
)
