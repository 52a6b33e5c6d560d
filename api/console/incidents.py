"""/console/incidents: the list of incidents, and one incident with its timeline and comments, for staff."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args
from urllib.parse import urlencode

import msgspec
from litestar import Response, Router, get
from litestar.params import FromPath
from litestar.response import Redirect, Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.console.incident_form import HOME
from api.console.incident_people import editors, waiting_drafts
from api.console.submissions import REFUSED, PageNumber, Refusal, done_key, refusal, service_choices
from api.incidents import records
from api.incidents.comments import listing as listing_of_comments
from api.incidents.fields import IncidentStatus, Priority, Severity
from api.incidents.filters import PARAMETERS, FromMoment, Text, ToMoment, Values
from api.incidents.filters import filters as read_filters
from api.incidents.records import listing
from api.pages.problems import Problem
from api.pages.shown_incidents import ShownIncident, shown
from api.pages.site import page
from api.rest.injected import Injected
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
PER_PAGE = 20
OPEN = ",".join(status for status in get_args(IncidentStatus) if status != "resolved")
_CHOICES = {"statuses": get_args(IncidentStatus), "severities": get_args(Severity), "priorities": get_args(Priority)}


class ManagedIncident(ShownIncident, rename="camel"):
    """An incident with its internal fields."""

    reporter: str | None
    detection_criteria: str | None
    author: str | None
    updated_at: datetime
    version: int


class ShownComment(msgspec.Struct, rename="camel"):
    id: int
    text: str
    public: bool
    author: str | None
    user_id: str | None
    created_at: datetime


@get("/console", **shown_to("incidents:read-internal"))
async def console() -> Response[Any]:
    return Redirect(HOME, status_code=303)


@get(HOME, **shown_to("incidents:read-internal"))
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
    number: PageNumber = 1,
) -> Template:
    """The filters are those of GET /api/incidents."""
    given = {name: value for name, value in request.query_params.items() if name in PARAMETERS and value}
    listed, refused = None, Refusal({}, 200)
    try:
        wanted = read_filters(status, severity, priority, service, from_, to, q)
        listed = await listing(pool, request.user, wanted, number, PER_PAGE)
    except REFUSED as error:
        refused = refusal(error)
    incidents = shown(msgspec.to_builtins(listed.incidents)) if listed is not None else []
    filters = {name: given.get(name, "") for name in PARAMETERS - {"limit", "page"}}
    return await page(
        request,
        "console/incidents.html",
        status_code=refused.status,
        incidents=incidents,
        pagination=msgspec.to_builtins(listed.pagination) if listed is not None else None,
        problems=refused.problems,
        filters=filters,
        filtered=any(filters.values()),
        open=OPEN,
        here=f"{HOME}?" + urlencode({**{name: text for name, text in filters.items() if text}, "page": ""}),
        services=(services := await service_choices(pool)),
        names={service.id: service.name for service in services},
        editors=await editors(pool, principal_of(request), [incident.id for incident in incidents]),
        drafts=await waiting_drafts(pool, principal_of(request)),
        done=done_key(request, "console_incidents", "deleted"),
        **_CHOICES,
    )


@get(HOME + "/{incident_id:str}", **shown_to("incidents:read-internal"))
async def show_incident(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Template:
    done = done_key(request, "console_incidents", "created", "saved", "updated", "commented", "discarded", "withdrawn")
    return await incident_page(request, pool, incident_id, done=done)


async def incident_page(
    request: ApiRequest,
    pool: Pool,
    incident_id: str,
    status_code: int = 200,
    problems: Mapping[str, Problem] | None = None,
    entered: Mapping[str, str] | None = None,
    done: str | None = None,
) -> Template:
    """The page of one incident. After a refusal it shows the problems, and the `entered` values again."""
    found = await records.visible(pool, incident_id, request.user)
    incident = msgspec.convert(msgspec.to_builtins(found), ManagedIncident)
    comments = [row.published() for row in await listing_of_comments(pool, incident_id, request.user)]
    return await page(
        request,
        "console/incident.html",
        status_code=status_code,
        incident=incident,
        comments=msgspec.convert(msgspec.to_builtins(comments), list[ShownComment]),
        names={service.id: service.name for service in await service_choices(pool)},
        editors=(await editors(pool, principal_of(request), [incident_id])).get(incident_id, []),
        draft=next(
            (kept for kept in await waiting_drafts(pool, principal_of(request)) if kept.incident_id == incident_id),
            None,
        ),
        problems=problems or {},
        entered=entered or {},
        done=done,
        **_CHOICES,
    )


router = Router("/", route_handlers=[console, list_incidents, show_incident], include_in_schema=False)
