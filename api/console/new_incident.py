"""/console/incidents/new: a new incident, empty or from a template. A form that is sent twice creates one incident."""

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
"""Not no-store: with it, browsers discard the entered values on the way back. A new incident has no draft."""
FIELDS = ("title", "description", "severity", "priority", "public", "affectedServices", "detectionCriteria")


@get(HOME + "/new", **shown_to("incidents:write"))
async def new_incident(request: ApiRequest, pool: Injected[Pool]) -> Template:
    """The form. `?template=` fills it in; if there is no such template, it is empty and has a notice."""
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
    data = body(values, FIELDS) | {"update": update or None}
    try:
        new = converted(data, NewIncident)
        user = principal_of(request)
        incident, _ = await saving.create(pool, settings, limits, user, actor(request), new, key or None)
    except REFUSED as error:
        problems, status = refusal(error)
        # An idempotency key belongs to one incident. If it was used for another one, this form needs a new key.
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
    """The form. `notice` is shown if the template does not exist (`no_template`), or if the values are those of an
    incident that was deleted (`gone`)."""
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
