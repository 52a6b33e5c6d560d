"""/console/account: the user's own data, sessions and password."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest, principal_of
from api.auth.sessions import IssuedTokens, LoginParts, PasswordChange, change_own_password, own_account
from api.cache.entries import Cacheable
from api.console.submissions import REFUSED, done, done_key, refusal
from api.edge.cookies import session_cookie
from api.pages.forms import read_form
from api.pages.problems import Problem
from api.pages.site import page, page_texts
from api.rest.injected import Injected
from api.rest.request_state import request_state
from api.rest.validation import converted
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/account"


class OwnSession(msgspec.Struct):
    id: UUID
    created_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str | None


@get(HERE, **shown_to("session:use"))
async def account(request: ApiRequest, pool: Injected[Pool]) -> Template:
    return await _page(request, pool)


@post(HERE, **shown_to("session:use"))
async def change_password(request: ApiRequest, login_parts: Injected[LoginParts]) -> Response[Any]:
    """Changes the password and ends all sessions of the user. The browser gets a new session."""
    form = await read_form(request)
    new = form.secret("newPassword")
    if new != form.secret("again"):
        t = await page_texts(request)
        return await _page(request, login_parts.pool, {"again": t("account.again_differs")}, 400)
    body = {"currentPassword": form.secret("currentPassword"), "newPassword": new}
    try:
        change = converted(body, PasswordChange)
        issued, _ = await change_own_password(request, login_parts, change, IssuedTokens.for_browser)
    except REFUSED as error:
        return await _page(request, login_parts.pool, *refusal(error))
    lifetime = login_parts.settings.refresh_token_lifetime
    answer = done(HERE, "password")
    answer.cookies.append(session_cookie(issued.access, lifetime, request_state(request.scope).get("secure", False)))
    return answer


async def _page(
    request: ApiRequest, pool: Pool, problems: Mapping[str, Problem] | None = None, status: int = 200
) -> Template:
    """The page. Passwords that were entered are not filled in again."""
    sessions = await database.rows(pool, "accounts/own_sessions", OwnSession, user_id=principal_of(request).user_id)
    return await page(
        request,
        "console/account.html",
        status_code=status,
        me=await own_account(request, pool),
        sessions=sessions,
        problems=problems or {},
        done=done_key(request, "account", "password"),
    )


router = Router("/", route_handlers=[account, change_password], include_in_schema=False)
