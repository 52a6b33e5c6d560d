"""The routes of incidents.

The database maintains ids, versions, the timeline and events (sql/functions/incidents.sql).
"""

from typing import Annotated, Any

from litestar import Response, Router, delete, get, post, put
from litestar.params import JSONBody, QueryParameter

from api.auth.gatekeeper import actor
from api.auth.permissions import requires
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable, Change
from api.edge.limits import Limits
from api.incidents import records, saving
from api.incidents.fields import (
    Incident,
    IncidentChange,
    IncidentConflict,
    IncidentList,
    IncidentPath,
    IncidentResponse,
    NewIncident,
    NewUpdate,
    PastDay,
    PastIncidents,
    UpdateResponse,
)
from api.incidents.filters import PARAMETERS, FromMoment, PageLimit, Text, ToMoment, Values, filters
from api.rest.errors import BODY_ERRORS, ApiError, code_of
from api.rest.idempotency import REPLAYED, KeyHeader
from api.rest.injected import Injected
from api.rest.pagination import PageNumber, PageSize, Pagination
from api.rest.preconditions import NOT_MODIFIED, IfMatch, IfNoneMatch, etag, outdated, tagged, unless_known
from sla_monitor.settings import Settings
from sql import Pool

_CHANGES: frozenset[Change] = frozenset({"event", "services"})
CACHEABLE = (
    Cacheable("/api/incidents", _CHANGES, PARAMETERS, personal=True),
    Cacheable("/api/incidents/past", _CHANGES, frozenset({"days", "page", "limit"}), personal=True),
    Cacheable("/api/incidents/", _CHANGES, personal=True),
)
_OUTDATED = outdated(IncidentConflict)


@get(
    "/incidents",
    summary="List incidents",
    **requires("incidents:read", 400),
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
    """The incidents, newest first. Without a filter: the unresolved ones, up to 1000 on a page; `status=all` includes
    resolved ones. `from` and `to` refer to the start of an incident; days are those of the reporting time zone. Each
    timeline contains the newest 20 updates. Anonymous clients get only public incidents."""
    selected = filters(status, severity, priority, service, from_, to, q)
    return await records.listing(pool, request.user, selected, page, limit)


@get(
    "/incidents/past",
    summary="List the incidents of the last days by day",
    **requires("incidents:read", 400),
)
async def past_incidents(
    request: ApiRequest,
    pool: Injected[Pool],
    days: Annotated[int, QueryParameter(ge=1, le=3660, description="The number of days, up to today")] = 30,
    page: PageNumber = 1,
    limit: PageSize = 10,
) -> PastIncidents:
    """The last `days` days of the reporting time zone, today first, each with the incidents that began on it, resolved
    or not. A page has `limit` days. Each timeline contains the newest 20 updates. Anonymous clients get only public
    incidents."""
    rows = await records.past(pool, request.user, days, limit, (page - 1) * limit)
    listed = [PastDay(row.day.isoformat(), records.published(row.incidents)) for row in rows]
    truncated = any(row.total > len(row.incidents) for row in rows)
    return PastIncidents(listed, Pagination.of(page, limit, days), truncated)


@get(
    "/incidents/{incident_id:str}",
    summary="Get an incident with its timeline",
    **requires("incidents:read", 400, 404, responses=NOT_MODIFIED),
)
async def get_incident(
    request: ApiRequest,
    pool: Injected[Pool],
    incident_id: IncidentPath,
    if_none_match: IfNoneMatch = None,
) -> Response[IncidentResponse]:
    """The incident with its whole timeline. 404 for an internal incident if the client is anonymous. The `ETag` can be
    used in `If-Match`."""
    return unless_known(_response(await records.visible(pool, incident_id, request.user)), if_none_match)


@post(
    "/incidents",
    summary="Create an incident",
    **requires("incidents:write", 409, *BODY_ERRORS),
)
async def create_incident(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    limits: Injected[Limits],
    data: JSONBody[NewIncident],
    idempotency_key: KeyHeader = None,
) -> Response[IncidentResponse]:
    """With an `Idempotency-Key` that was used before: returns the incident that was created then, with
    `Idempotent-Replayed: true`; 409 if that request was different. 429 for too many new incidents of one user
    (RATE_LIMIT_INCIDENTS)."""
    incident, replayed = await saving.create(
        pool, settings, limits, principal_of(request), actor(request), data, idempotency_key
    )
    if replayed:
        return _response(incident, 201, {REPLAYED: "true"})
    return _response(incident, 201, {"Location": f"/api/incidents/{incident.id}"})


@put(
    "/incidents/{incident_id:str}",
    summary="Change an incident",
    **requires("incidents:write", 404, 409, *BODY_ERRORS, responses=_OUTDATED),
)
async def change_incident(
    request: ApiRequest,
    pool: Injected[Pool],
    incident_id: IncidentPath,
    data: JSONBody[IncidentChange],
    if_match: IfMatch = None,
) -> Response[IncidentResponse]:
    """Fields that are not in the body stay unchanged. A changed status adds an update to the timeline. Deletes the
    user's draft of the incident. With `If-Match`: 412 if another user has saved the incident since; the body contains
    the current incident with its newest 20 updates. 409 if the timeline has 500 updates already."""
    try:
        return _response(await saving.change(pool, principal_of(request), actor(request), incident_id, data, if_match))
    except saving.IncidentOutdatedError as error:
        return _outdated(error.stored)


@post(
    "/incidents/{incident_id:str}/updates",
    summary="Add an update to an incident",
    **requires("incidents:write", 404, 409, *BODY_ERRORS, responses=_OUTDATED),
)
async def add_update(
    request: ApiRequest,
    pool: Injected[Pool],
    incident_id: IncidentPath,
    data: JSONBody[NewUpdate],
    if_match: IfMatch = None,
) -> Response[UpdateResponse]:
    """Adds an update to the timeline and sets the status of the incident. Any status may follow any other; a resolved
    incident can be reopened. `Idempotency-Key` is ignored. 409 if the timeline has 500 updates already. 412 as for a
    change."""
    try:
        update, version = await saving.add_update(pool, actor(request), incident_id, data, if_match)
    except saving.IncidentOutdatedError as error:
        return _outdated(error.stored)
    return Response(UpdateResponse(update), status_code=201, headers={"ETag": f'"{version}"'})


@delete(
    "/incidents/{incident_id:str}",
    summary="Delete an incident",
    **requires("incidents:delete", 400, 404),
)
async def delete_incident(request: ApiRequest, pool: Injected[Pool], incident_id: IncidentPath) -> None:
    """Deletes the incident with its timeline, comments and drafts. The audit log keeps its fields."""
    await saving.remove(pool, actor(request), incident_id)


def _response(
    incident: Incident, status: int = 200, headers: dict[str, str] | None = None
) -> Response[IncidentResponse]:
    return tagged(IncidentResponse(incident), incident.version, status, headers)


def _outdated(incident: Incident) -> Response[Any]:
    content = IncidentConflict(str(ApiError(412)), code_of(412), incident)
    tag = etag(incident.version, IncidentResponse(incident))
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
    tags=["incidents"],
)
