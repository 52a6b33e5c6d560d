"""/console/incidents/new: an incident from nothing or from a template. Sent twice it is made once."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import uuid4

import msgspec
from litestar import Response, Router, get, post
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console.incident_form import EMPTY, LIMITS, Values, body, of_form
from api.console.incidents import HOME
from api.console.rest import rest
from api.console.submissions import answer_of, done, refusal, service_choices
from api.incidents.templates import TemplateAnswer, TemplateList
from api.pages.forms import read_form
from api.pages.site import page
from api.rest.idempotency import HEADER
from api.rest.injected import Injected
from api.rest.texts import uuid_or_none
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
    said = await rest(request, "GET", f"/api/templates/{wanted}") if uuid_or_none(wanted) else None
    if said is None or not said.ok:
        return await new_page(request, pool, EMPTY, notice="no_template")
    template = msgspec.convert(said.body, TemplateAnswer).data.data
    start: Values = {
        "title": template.title,
        "description": template.description or "",
        "severity": template.severity,
        "priority": template.priority,
        "affectedServices": template.affected_services,
    }
    return await new_page(request, pool, {**EMPTY, **start}, update=template.update or "", template=wanted)


@post(HOME + "/new", **shown_to("incidents:write"))
async def create_incident(request: ApiRequest, pool: Injected[Pool]) -> Response[Any]:
    form = await read_form(request)
    values, update, key = of_form(form).values, form.text("update"), form.text("key")
    asked = body(values, ASKED) | {"update": update or None}
    said = await rest(request, "POST", "/api/incidents", body=asked, headers={HEADER: key} if key else None)
    if problems := refusal(said):
        # A key is good for one incident: where another was made under it, this one needs its own.
        key = "" if said.status == 409 else key
        return await new_page(request, pool, values, update=update, key=key, problems=problems, status_code=said.status)
    return done(f"{HOME}/{said.body['incident']['id']}", "created")


async def new_page(
    request: ApiRequest,
    pool: Pool,
    values: Values,
    *,
    update: str = "",
    template: str = "",
    key: str = "",
    notice: Literal["no_template", "gone"] | None = None,
    problems: Mapping[str, str] | None = None,
    status_code: int = 200,
) -> Template:
    """The form; `notice` says why it is not filled in as was asked, or what it is filled with."""
    templates = await answer_of(request, "/api/templates", query=f"limit={MAX_TEMPLATES}")
    answer = await page(
        request,
        "console/incident_new.html",
        status_code=status_code,
        values=values,
        limits=LIMITS,
        update=update,
        key=key or uuid4().hex,
        templates=msgspec.convert(templates, TemplateList).data,
        template=template,
        services=await service_choices(pool),
        notice=notice,
        problems=problems or {},
    )
    answer.headers["Cache-Control"] = MAY_GO_BACK
    return answer


router = Router("/", route_handlers=[new_incident, create_incident], include_in_schema=False)
