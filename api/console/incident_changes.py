"""What is added to an incident from its page in the console, and what is taken away."""

from typing import Any

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console.incidents import HOME, incident_page
from api.console.rest import rest
from api.console.submissions import confirmation, done, refusal
from api.incidents import records
from api.pages.forms import read_form
from api.rest.injected import Injected
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
ONE = HOME + "/{incident_id:str}"


@post(ONE + "/updates", **shown_to("incidents:write"))
async def add_update(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Response[Any]:
    form = await read_form(request)
    body = {"status": form.text("status"), "description": form.text("description")}
    said = await rest(request, "POST", f"/api/incidents/{incident_id}/updates", body=body)
    if problems := refusal(said):
        return await incident_page(request, pool, incident_id, said.status, problems, form.said())
    return done(f"{HOME}/{incident_id}", "updated")


@post(ONE + "/comments", **shown_to("incidents:write"))
async def add_comment(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Response[Any]:
    form = await read_form(request)
    body = {"text": form.text("text"), "public": form.flag("public")}
    said = await rest(request, "POST", f"/api/incidents/{incident_id}/comments", body=body)
    if problems := refusal(said):
        return await incident_page(request, pool, incident_id, said.status, problems, form.said())
    return done(f"{HOME}/{incident_id}", "commented")


@post(ONE + "/comments/{comment_id:int}/delete", **shown_to("comments:delete"))
async def delete_comment(request: ApiRequest, incident_id: FromPath[str], comment_id: FromPath[int]) -> Response[Any]:
    """One that is gone already is none the worse."""
    await read_form(request)
    said = await rest(request, "DELETE", f"/api/incidents/{incident_id}/comments/{comment_id}")
    if said.status != 404:
        refusal(said)
    return done(f"{HOME}/{incident_id}", "withdrawn")


@get(ONE + "/delete", **shown_to("incidents:delete"))
async def ask_to_delete(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Template:
    incident = await records.visible(pool, incident_id, request.user)
    return await confirmation(request, "console_incidents", f"{incident.id}: {incident.title}", f"{HOME}/{incident_id}")


@post(ONE + "/delete", **shown_to("incidents:delete"))
async def delete_incident(request: ApiRequest, incident_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    refusal(await rest(request, "DELETE", f"/api/incidents/{incident_id}"))
    return done(HOME, "deleted")


router = Router(
    "/",
    route_handlers=[add_update, add_comment, delete_comment, ask_to_delete, delete_incident],
    include_in_schema=False,
)
