"""/console/tokens: API tokens for machines. A secret is shown once, on the answer that made it."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth.permissions import ROLES, shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console.rest import rest
from api.console.submissions import PageNumber, answer_of, confirmation, done, refusal, told
from api.pages.forms import read_form
from api.pages.site import page, page_texts
from api.rest.errors import ApiError
from api.rest.texts import uuid_or_none
from sla_monitor.recurrence import instant
from sla_monitor.texts.languages import Texts
from sql import database

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/tokens"


class TokenName(msgspec.Struct):
    name: str


@get(HERE, **shown_to("tokens:administer"))
async def tokens(request: ApiRequest, number: PageNumber = 1) -> Template:
    return await page(
        request,
        "console/tokens.html",
        **await answer_of(request, "/api/tokens", f"page={number}&limit=50"),
        parsed=datetime.fromisoformat,
        done=told(request, "tokens", "deleted"),
    )


@get(f"{HERE}/new", **shown_to("tokens:administer"))
async def new_token(request: ApiRequest) -> Template:
    return await _form(request, {"name": "", "role": "reporter", "lastDay": ""})


@post(HERE, **shown_to("tokens:administer"))
async def create_token(request: ApiRequest) -> Response[Any]:
    form = await read_form(request)
    values = {name: form.text(name) for name in ("name", "role", "lastDay")}
    try:
        expires_at = _end_of(values["lastDay"], await page_texts(request))
    except (ValueError, OverflowError):
        wrong = {"expiresAt": (await page_texts(request))("tokens.day_wrong")}
        return await _form(request, values, wrong, 400)
    body = {"name": values["name"], "role": values["role"], "expiresAt": expires_at}
    said = await rest(request, "POST", "/api/tokens", body)
    if wrong := refusal(said):
        return await _form(request, values, wrong, said.status)
    secret = said.body["secret"]
    return await page(
        request, "console/secret.html", section="tokens", subject=values["name"], secret=secret, back=HERE
    )


@get(HERE + "/{token_id:str}/delete", **shown_to("tokens:administer"))
async def confirm_revocation(request: ApiRequest, token_id: FromPath[str]) -> Template:
    return await confirmation(request, "tokens", await _name(request, token_id), HERE)


@post(HERE + "/{token_id:str}/delete", **shown_to("tokens:administer"))
async def revoke_token(request: ApiRequest, token_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    name = await _name(request, token_id)
    said = await rest(request, "DELETE", f"/api/tokens/{uuid_or_none(token_id)}")
    if wrong := refusal(said):
        return await confirmation(request, "tokens", name, HERE, wrong, said.status)
    return done(HERE, "deleted")


async def _form(
    request: ApiRequest, values: Mapping[str, str], problems: Mapping[str, str] | None = None, status: int = 200
) -> Template:
    return await page(
        request,
        "console/token_form.html",
        status_code=status,
        values=values,
        problems=problems or {},
        roles=ROLES,
    )


async def _name(request: ApiRequest, token_id: str) -> str:
    key = uuid_or_none(token_id)
    found = await database.row(request.app.state.pool, "api_tokens/one", TokenName, id=key)
    if found is None:
        raise ApiError(404, "There is no such token")
    return found.name


def _end_of(day: str, t: Texts) -> datetime | None:
    """When `day` is over in the reporting time zone; None where none is given. Raises ValueError for what is no day."""
    if not day:
        return None
    following = datetime.combine(date.fromisoformat(day) + timedelta(days=1), time())
    return instant(following, ZoneInfo(t.zone))


router = Router(
    "/", route_handlers=[tokens, new_token, create_token, confirm_revocation, revoke_token], include_in_schema=False
)
