"""/console/tokens: API tokens for programs. A secret is shown once, in the response that created it."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth import api_tokens
from api.auth.gatekeeper import actor
from api.auth.permissions import ROLES, shown_to
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.console.submissions import REFUSED, PageNumber, confirmation, done, done_key, refusal
from api.pages.forms import read_form
from api.pages.problems import Problem
from api.pages.site import page, page_texts
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.texts import uuid_or_none
from api.rest.validation import converted
from sla_monitor.recurrence.occurrences import instant
from sla_monitor.texts.languages import Texts
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/tokens"
PAGE_SIZE = 50


class TokenName(msgspec.Struct):
    name: str


@get(HERE, **shown_to("tokens:administer"))
async def tokens(request: ApiRequest, pool: Injected[Pool], number: PageNumber = 1) -> Template:
    return await page(
        request,
        "console/tokens.html",
        **msgspec.to_builtins(await api_tokens.listing(pool, number, PAGE_SIZE)),
        parsed=datetime.fromisoformat,
        done=done_key(request, "tokens", "deleted"),
    )


@get(f"{HERE}/new", **shown_to("tokens:administer"))
async def new_token(request: ApiRequest) -> Template:
    return await _form(request, {"name": "", "role": "reporter", "lastDay": ""})


@post(HERE, **shown_to("tokens:administer"))
async def create_token(request: ApiRequest, pool: Injected[Pool]) -> Response[Any]:
    form = await read_form(request)
    values = {name: form.text(name) for name in ("name", "role", "lastDay")}
    try:
        expires_at = _end_of(values["lastDay"], await page_texts(request))
    except (ValueError, OverflowError):
        wrong: dict[str, Problem] = {"expiresAt": (await page_texts(request))("tokens.day_wrong")}
        return await _form(request, values, wrong, 400)
    body = {"name": values["name"], "role": values["role"], "expiresAt": expires_at}
    try:
        new = converted(body, api_tokens.NewApiToken)
        created = await api_tokens.create(pool, principal_of(request), actor(request), new)
    except REFUSED as error:
        return await _form(request, values, *refusal(error))
    return await page(
        request, "console/secret.html", section="tokens", subject=values["name"], secret=created.secret, back=HERE
    )


@get(HERE + "/{token_id:str}/delete", **shown_to("tokens:administer"))
async def confirm_revocation(request: ApiRequest, pool: Injected[Pool], token_id: FromPath[str]) -> Template:
    return await confirmation(request, "tokens", await _name(pool, token_id), HERE)


@post(HERE + "/{token_id:str}/delete", **shown_to("tokens:administer"))
async def revoke_token(request: ApiRequest, pool: Injected[Pool], token_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    name = await _name(pool, token_id)
    try:
        await api_tokens.revoke(pool, actor(request), token_id)
    except REFUSED as error:
        return await confirmation(request, "tokens", name, HERE, *refusal(error))
    return done(HERE, "deleted")


async def _form(
    request: ApiRequest, values: Mapping[str, str], problems: Mapping[str, Problem] | None = None, status: int = 200
) -> Template:
    return await page(
        request,
        "console/token_form.html",
        status_code=status,
        values=values,
        problems=problems or {},
        roles=ROLES,
    )


async def _name(pool: Pool, token_id: str) -> str:
    key = uuid_or_none(token_id)
    found = await database.row(pool, "api_tokens/one", TokenName, id=key)
    if found is None:
        raise ApiError(404, "unknown_token")
    return found.name


def _end_of(day: str, t: Texts) -> datetime | None:
    """The end of `day` in the reporting time zone; None if it is empty. Raises ValueError if it is not a date."""
    if not day:
        return None
    following = datetime.combine(date.fromisoformat(day) + timedelta(days=1), time())
    return instant(following, ZoneInfo(t.zone))


router = Router(
    "/", route_handlers=[tokens, new_token, create_token, confirm_revocation, revoke_token], include_in_schema=False
)
