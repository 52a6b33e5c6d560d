"""What is added to an incident from its page in the console, and what is taken away."""

from typing import Any

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth.gatekeeper import actor
from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.console.incident_form import HOME
from api.console.incidents import incident_page
from api.console.submissions import REFUSED, confirmation, done, refusal
from api.edge.limits import Limits
from api.incidents import comments, records, saving
from api.incidents.fields import NewUpdate
from api.pages.forms import read_form
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.validation import converted
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
ONE = HOME + "/{incident_id:str}"


@post(ONE + "/updates", **shown_to("incidents:write"))
async def add_update(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Response[Any]:
    form = await read_form(request)
    body = {"status": form.text("status"), "description": form.text("description")}
    try:
        await saving.add_update(pool, actor(request), incident_id, converted(body, NewUpdate))
    except REFUSED as error:
        problems, status = refusal(error)
        return await incident_page(request, pool, incident_id, status, problems, form.values())
    return done(f"{HOME}/{incident_id}", "updated")


@post(ONE + "/comments", **shown_to("incidents:write"))
async def add_comment(
    request: ApiRequest, pool: Injected[Pool], limits: Injected[Limits], incident_id: FromPath[str]
) -> Response[Any]:
    form = await read_form(request)
    body = {"text": form.text("text"), "public": form.flag("public")}
    try:
        new = converted(body, comments.NewComment)
        await comments.add(pool, limits, principal_of(request), actor(request), incident_id, new)
    except REFUSED as error:
        problems, status = refusal(error)
        return await incident_page(request, pool, incident_id, status, problems, form.values())
    return done(f"{HOME}/{incident_id}", "commented")


@post(ONE + "/comments/{comment_id:int}/delete", **shown_to("comments:delete"))
async def delete_comment(
    request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str], comment_id: FromPath[int]
) -> Response[Any]:
    """Deletes a comment. It is no error if it has been deleted already."""
    await read_form(request)
    try:
        await comments.remove(pool, principal_of(request), actor(request), incident_id, comment_id)
    except ApiError as error:
        if error.status != 404:
            raise
    return done(f"{HOME}/{incident_id}", "withdrawn")


@get(ONE + "/delete", **shown_to("incidents:delete"))
async def confirm_deletion(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Template:
    incident = await records.visible(pool, incident_id, request.user)
    return await confirmation(request, "console_incidents", f"{incident.id}: {incident.title}", f"{HOME}/{incident_id}")


@post(ONE + "/delete", **shown_to("incidents:delete"))
async def delete_incident(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    await saving.remove(pool, actor(request), incident_id)
    return done(HOME, "deleted")


router = Router(
    "/",
    route_handlers=[add_update, add_comment, delete_comment, confirm_deletion, delete_incident],
    include_in_schema=False,
)
