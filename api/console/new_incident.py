"""/console/incidents/new: an incident from nothing or from a template. Sent twice it is made once."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import uuid4

from litestar import Response, Router, get, post
from litestar.response import Template

from api.auth.gatekeeper import actor
from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.console.incident_form import EMPTY, HOME, LIMITS, Values, body, of_form
from api.console.submissions import REFUSED, done, refusal, service_choices
from api.edge.limits import Limits
from api.incidents import saving, templates
from api.incidents.fields import NewIncident
from api.pages.forms import read_form
from api.pages.problems import Problem
from api.pages.site import page
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.validation import converted
from sla_monitor.settings import Settings
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
MAX_TEMPLATES = 100
MAY_GO_BACK = "private, no-cache"
"""Not no-store: with that a browser forgets what was typed, and there is no draft of what does not exist yet."""
ASKED = ("title", "description", "severity", "priority", "public", "affectedServices", "detectionCriteria")


@get(HOME + "/new", **shown_to("incidents:write"))
async def new_incident(request: ApiRequest, pool: Injected[Pool]) -> Template:
    """`?template=` fills the form in; one that is gone leaves it empty, and says so."""
    wanted = request.query_params.get("template", "")
    if not wanted:
        return await new_page(request, pool, EMPTY)
    try:
        template = (await templates.one(pool, wanted)).published().data
    except ApiError:
        return await new_page(request, pool, EMPTY, notice="no_template")
    start: Values = {
        "title": template.title,
        "description": template.description or "",
        "severity": template.severity,
        "priority": template.priority,
        "affectedServices": template.affected_services,
    }
    return await new_page(request, pool, {**EMPTY, **start}, update=template.update or "", template=wanted)


@post(HOME + "/new", **shown_to("incidents:write"))
async def create_incident(
    request: ApiRequest, pool: Injected[Pool], settings: Injected[Settings], limits: Injected[Limits]
) -> Response[Any]:
    form = await read_form(request)
    values, update, key = of_form(form).values, form.text("update"), form.text("key")
    asked = body(values, ASKED) | {"update": update or None}
    try:
        new = converted(asked, NewIncident)
        user = principal_of(request)
        incident, _ = await saving.create(pool, settings, limits, user, actor(request), new, key or None)
    except REFUSED as error:
        problems, status = refusal(error)
        # A key is good for one incident: where another was made under it, this one needs its own.
        key = "" if status == 409 else key
        return await new_page(request, pool, values, update=update, key=key, problems=problems, status_code=status)
    return done(f"{HOME}/{incident.id}", "created")


async def new_page(
    request: ApiRequest,
    pool: Pool,
    values: Values,
    *,
    update: str = "",
    template: str = "",
    key: str = "",
    notice: Literal["no_template", "gone"] | None = None,
    problems: Mapping[str, Problem] | None = None,
    status_code: int = 200,
) -> Template:
    """The form; `notice` says why it is not filled in as was asked, or what it is filled with."""
    stored, _ = await templates.listing(pool, 1, MAX_TEMPLATES)
    answer = await page(
        request,
        "console/incident_new.html",
        status_code=status_code,
        values=values,
        limits=LIMITS,
        update=update,
        key=key or uuid4().hex,
        templates=stored,
        template=template,
        services=await service_choices(pool),
        notice=notice,
        problems=problems or {},
    )
    answer.headers["Cache-Control"] = MAY_GO_BACK
    return answer


router = Router("/", route_handlers=[new_incident, create_incident], include_in_schema=False)
