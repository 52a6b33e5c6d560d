"""Incidents: what people write about what is going on, several of them at once without losing a word.

The rules of an incident's life (ids, versions, timeline, events) are the database's: sql/functions/incidents.sql.
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
MOST_PAST = 1000
"""Incidents of a page of past days."""
_OUTDATED = {412: ResponseSpec(IncidentConflict, description="Somebody else saved first", generate_examples=False)}


class ListRow(msgspec.Struct):
    total: int
    incidents: list[dict[str, Any]]


class DayRow(msgspec.Struct):
    """A day with what began on it; of the `total`, those for which there was room on the page."""

    day: date
    incidents: list[dict[str, Any]]
    total: int


@get(
    "/incidents",
    summary="Incidents, newest first",
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
    """Without a filter, all that are not resolved, 1000 of them where no `limit` is given; `status=all` for the others
    too. Days are those of the reporting time zone, and the time of an incident is when it began. Of each timeline the
    newest 20 updates."""
    asked = filters(status, severity, priority, service, from_, to, q)
    limit = page_size(asked, limit)
    row = await database.row(
        pool,
        "incidents/listing",
        ListRow,
        **asked._asdict(),
        internal=sees_internal(request.user),
        limit=limit,
        offset=(page - 1) * limit,
    )
    assert row is not None
    return IncidentList(_incidents(row.incidents), Pagination.of(page, limit, row.total))


@get(
    "/incidents/past",
    summary="The incidents of the last days",
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
    """Every day of the reporting time zone, today first, with what began on it, resolved or not; a page is `limit`
    days. Of each timeline the newest 20 updates."""
    rows = await database.rows(
        pool,
        "incidents/past",
        DayRow,
        internal=sees_internal(request.user),
        days=days,
        limit=limit,
        offset=(page - 1) * limit,
        most=MOST_PAST,
    )
    listed = [PastDay(row.day.isoformat(), _incidents(row.incidents)) for row in rows]
    truncated = any(row.total > len(row.incidents) for row in rows)
    return PastIncidents(listed, Pagination.of(page, limit, days), truncated)


@get(
    "/incidents/{incident_id:str}",
    summary="One incident with its timeline",
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
    """An internal one is a 404 to those who are not logged in. The `ETag` is what `If-Match` takes."""
    answer = _answer(await records.visible(pool, incident_id, request.user))
    if is_known(if_none_match, answer.headers["ETag"]):
        return not_modified(answer)
    return answer


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
    """Under an `Idempotency-Key` that was used before, the incident that was made then; 409 where another one was
    asked for under it. New incidents are limited per user: those that are created count."""
    if wrong := problems(data):
        raise invalid(*wrong)
    claimed = claim(principal_of(request).actor_id, idempotency_key, data)
    if claimed is not None and (existing_id := await claimed.created(pool)) is not None:
        return await _replayed(pool, existing_id)
    async with pool.connection() as connection:
        given = await records.complete(connection, data)
    created = await _created(request, pool, settings, limits, given, claimed)
    if created is not None:
        return _answer(created, 201, {"Location": f"/api/incidents/{created.id}"})
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
    """Fields that are not given stay as they are. A changed status adds to the timeline. With `If-Match`, 412 and the
    incident as it is now, with the newest 20 updates, where somebody else saved first. One's own draft of it ends."""
    if wrong := problems(data):
        raise invalid(*wrong)
    async with database.transaction(pool, actor(request)) as connection:
        if not allows_version(if_match, await records.lock(connection, incident_id)):
            return _outdated(await records.one(connection, incident_id, whole=False))
        await records.save(connection, incident_id, data)
        draft = {"incident_id": incident_id, "user_id": principal_of(request).user_id}
        await connection.execute(sql.query("drafts/end"), draft)
        return _answer(await records.one(connection, incident_id))


@post(
    "/incidents/{incident_id:str}/updates",
    summary="Add to the timeline of an incident",
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
    """Sets the status, in any order; a resolved incident may be opened again. What was written before stays. An
    `Idempotency-Key` is not looked at: what is sent again is added again."""
    if wrong := text_problems("description", data.description):
        raise invalid(*wrong)
    async with database.transaction(pool, actor(request)) as connection:
        if not allows_version(if_match, await records.lock(connection, incident_id)):
            return _outdated(await records.one(connection, incident_id, whole=False))
        update, version = await records.add_update(connection, incident_id, data)
    return Response(UpdateAnswer(update), status_code=201, headers={"ETag": f'"{version}"'})


@delete(
    "/incidents/{incident_id:str}",
    summary="Remove an incident",
    tags=["incidents"],
    responses=responses(400, 401, 403, 404, 429, 503),
    **requires("incidents:delete"),
)
async def delete_incident(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> None:
    """With its timeline, comments and drafts. The audit log keeps what it said."""
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
    """The new incident; None where somebody with the same key was faster. Only what is created is counted."""
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
    return _answer(row.published(), 201, {REPLAYED: "true"})


def _incidents(documents: list[dict[str, Any]]) -> list[Incident]:
    return msgspec.convert(documents, list[Incident])


def _answer(incident: Incident, status: int = 200, headers: dict[str, str] | None = None) -> Response[IncidentAnswer]:
    content = IncidentAnswer(incident)
    return Response(content, status_code=status, headers={"ETag": etag(incident.version, content), **(headers or {})})


def _outdated(incident: Incident) -> Response[Any]:
    content = IncidentConflict("Somebody else saved first", code_of(412), incident)
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
