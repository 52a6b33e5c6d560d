"""/console/incidents/{id}/edit: changing an incident that other users may change at the same time.

The form carries digests of its original values. If another user has changed a field meanwhile, both versions are shown
side by side before anything is saved. A new update in the timeline is no conflict. A form that could not be saved is
kept as the user's draft, which the page offers on the next visit. No step requires scripts.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal, get_args
from urllib.parse import quote

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Template

from api.auth.gatekeeper import actor
from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.console import incident_form as forms
from api.console.incident_form import HOME, Written, draft_of, of_draft, of_form, of_incident
from api.console.incident_merge import Choice, clash, differences, merged
from api.console.incident_people import editors
from api.console.new_incident import new_page
from api.console.submissions import REFUSED, ServiceChoice, done, refusal, service_choices
from api.incidents import drafts, records, saving
from api.incidents.fields import Incident, IncidentChange
from api.pages.forms import Form, read_form
from api.pages.problems import Problem
from api.pages.site import page
from api.rest.errors import ApiError
from api.rest.handling import respond_to_program
from api.rest.injected import Injected
from api.rest.validation import converted
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
ONE = HOME + "/{incident_id:str}"
ATTEMPTS = 3
"""How often a save is attempted while other users save first; then both versions are shown again."""
CHOICE = "choice-"


@get(ONE + "/edit", **shown_to("incidents:write"))
async def edit(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Template:
    """The form. If the user has a draft, it is offered first, so that it is not overwritten; `?draft=restore` continues
    it."""
    current = await records.visible(pool, incident_id, request.user)
    stored = of_incident(current)
    fresh = Written(stored, forms.marks(stored), current.version)
    try:
        draft = await drafts.one(pool, principal_of(request), incident_id)
    except ApiError:  # there is none
        return await form_page(request, pool, current, fresh)
    written = of_draft(draft.data, draft.base_version, current)
    differing = differences(written.values, stored, written.base)
    if not differing:
        return await form_page(request, pool, current, fresh)
    if request.query_params.get("draft") != "restore":
        return await comparison(
            request, pool, current, written, "draft", saved_at=datetime.fromisoformat(draft.saved_at)
        )
    if written.version != current.version and clash(differing):
        return await comparison(request, pool, current, written, "requested")
    return await form_page(request, pool, current, fresh._replace(values=written.values))


@post(ONE + "/edit", **shown_to("incidents:write"))
async def save(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Response[Any]:
    """Saves the form. `compare` shows both versions instead; that page submits a `choice-…` for each field, and `go`:
    `save` or `edit`."""
    form = await read_form(request)
    written = of_form(form)
    try:
        current = await records.visible(pool, incident_id, request.user)
    except ApiError as error:
        if error.status != 404:
            raise
        return await new_page(request, pool, written.values, notice="gone", status_code=404)
    if form.flag("compare"):
        return await comparison(request, pool, current, written, "requested")
    if not form.flag("seen"):
        return await _saved(request, pool, current, written)
    stored = of_incident(current)
    chosen = _choices(form, stored)
    if any(found.name not in chosen for found in differences(written.values, stored, written.base)):
        await _keep(request, pool, incident_id, written)
        return await comparison(request, pool, current, written, "undecided", 400, chosen=chosen)
    written = Written(merged(written.values, stored, chosen), forms.marks(stored), current.version)
    if form.text("go") == "edit":
        await _keep(request, pool, incident_id, written)
        return await form_page(request, pool, current, written)
    return await _saved(request, pool, current, written)


def _choices(form: Form, stored: forms.Values) -> dict[str, str]:
    """The choices for fields whose stored value has not changed since both versions were shown (`seen`)."""
    seen, now = forms.read_marks(form.text("seen")), forms.marks(stored)
    chosen = {name: form.text(CHOICE + name) for name in forms.FIELDS if seen.get(name) == now[name]}
    return {name: choice for name, choice in chosen.items() if choice in get_args(Choice)}


async def _saved(request: ApiRequest, pool: Pool, current: Incident, written: Written) -> Response[Any]:
    """Saves the fields that the user has changed. Changes of other fields by other users are kept."""
    for _ in range(ATTEMPTS):
        differing = differences(written.values, of_incident(current), written.base)
        if written.version != current.version and clash(differing):
            break
        try:
            await _put(request, pool, current, written, [found.name for found in differing])
        except saving.IncidentOutdatedError as error:
            current = error.stored
        except REFUSED as error:
            problems, status = refusal(error)
            await _keep(request, pool, current.id, written)
            return await form_page(request, pool, current, written, problems, status)
        else:
            return done(f"{HOME}/{current.id}", "saved")
    await _keep(request, pool, current.id, written)
    return await comparison(request, pool, current, written, "first", 412)


async def _put(request: ApiRequest, pool: Pool, current: Incident, written: Written, names: list[str]) -> None:
    """Saves the named fields, even if there are none: saving ends the draft."""
    change = converted(forms.body(written.values, names), IncidentChange)
    tag = f'"{current.version}"'
    await saving.change(pool, principal_of(request), actor(request), current.id, change, tag)


@post(ONE + "/draft", status_code=200, exception_handlers={Exception: respond_to_program}, **shown_to("drafts:write"))
async def keep_draft(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Response[Any]:
    """Stores the form as a draft. Pages call it when they are left, or without a socket."""
    data = converted(draft_of(of_form(await read_form(request))), drafts.DraftToSave)
    saved = await drafts.save(pool, principal_of(request), actor(request), incident_id, data)
    return Response(drafts.DraftResponse(saved), media_type="application/json")


@post(ONE + "/draft/discard", **shown_to("drafts:write"))
async def discard_draft(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    try:
        await drafts.discard(pool, principal_of(request), actor(request), incident_id)
    except ApiError as error:
        if error.status != 404:
            raise
    return Redirect(f"{HOME}/{quote(incident_id, safe='')}/edit", status_code=303)


async def _keep(request: ApiRequest, pool: Pool, incident_id: str, written: Written) -> None:
    """Stores the form as a draft. A refusal is ignored, since the form is shown again in any case."""
    with suppress(*REFUSED):
        data = converted(draft_of(written), drafts.DraftToSave)
        await drafts.save(pool, principal_of(request), actor(request), incident_id, data)


async def form_page(
    request: ApiRequest,
    pool: Pool,
    current: Incident,
    written: Written,
    problems: Mapping[str, Problem] | None = None,
    status_code: int = 200,
) -> Template:
    return await page(
        request,
        "console/incident_edit.html",
        status_code=status_code,
        incident=current,
        values=written.values,
        base=written.base,
        limits=forms.LIMITS,
        version=written.version,
        unsaved=bool(problems) or written.values != of_incident(current),
        services=await _services(pool, current, written),
        editors=(await editors(pool, principal_of(request), [current.id])).get(current.id, []),
        problems=problems or {},
    )


async def comparison(
    request: ApiRequest,
    pool: Pool,
    current: Incident,
    written: Written,
    why: Literal["first", "requested", "undecided", "draft"],
    status_code: int = 200,
    *,
    chosen: Mapping[str, str] | None = None,
    saved_at: datetime | None = None,
) -> Template:
    """Both versions side by side. The form in it holds all values of the user's version, based on the stored one.

    If a draft is only offered (`saved_at` is set), there is nothing to choose yet.
    """
    stored = of_incident(current)
    services = await _services(pool, current, written)
    return await page(
        request,
        "console/incident_compare.html",
        status_code=status_code,
        incident=current,
        values=written.values,
        base=written.base,
        version=written.version,
        seen=forms.marks(stored),
        changed_at=datetime.fromisoformat(current.updated_at),
        differing=differences(written.values, stored, written.base),
        chosen=chosen or {},
        why=why,
        saved_at=saved_at,
        names={service.id: service.name for service in services},
        editors=(await editors(pool, principal_of(request), [current.id])).get(current.id, []),
    )


async def _services(pool: Pool, current: Incident, written: Written) -> list[ServiceChoice]:
    """All services, and deleted ones that either version still names."""
    services = await service_choices(pool)
    named = {*current.affected_services, *_listed(written.values["affectedServices"])}
    gone = sorted(named - {service.id for service in services})
    return services + [ServiceChoice(id=name, name=name, group_name=None, public=False) for name in gone]


def _listed(value: forms.Value) -> list[str]:
    return value if isinstance(value, list) else []


router = Router("/", route_handlers=[edit, save, keep_draft, discard_draft], include_in_schema=False)
