"""/console/account: who I am here, where I am logged in, my password."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest, principal_of
from api.auth.tokens import Tokens
from api.cache.entries import Cacheable
from api.console.rest import rest
from api.console.submissions import answer_of, done, refusal, told
from api.edge.cookies import session_cookie
from api.pages.forms import read_form
from api.pages.site import page, page_texts
from api.rest.injected import Injected
from sla_monitor.settings import Settings
from sql import database

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/account"


class OwnSession(msgspec.Struct):
    id: UUID
    created_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str | None


@get(HERE, **shown_to("session:use"))
async def account(request: ApiRequest) -> Template:
    return await _page(request)


@post(HERE, **shown_to("session:use"))
async def change_password(request: ApiRequest, settings: Injected[Settings], tokens: Injected[Tokens]) -> Response[Any]:
    """It ends all sessions; this browser is given the one that REST has opened in their place."""
    form = await read_form(request)
    new = form.secret("newPassword")
    if new != form.secret("again"):
        t = await page_texts(request)
        return await _page(request, {"again": t("account.again_differs")}, 400)
    body = {"currentPassword": form.secret("currentPassword"), "newPassword": new}
    agent = {"User-Agent": request.headers.get("user-agent", "")}
    said = await rest(request, "POST", "/api/auth/password", body, agent)
    if wrong := refusal(said):
        return await _page(request, wrong, said.status)
    opened = await tokens.read(said.body["accessToken"], "access")
    lifetime = settings.refresh_token_lifetime
    token = await tokens.issue("browser", opened.user_id, opened.session_id, lifetime)
    answer = done(HERE, "password")
    answer.cookies.append(session_cookie(token, lifetime, request.scope["state"].get("secure", False)))
    return answer


async def _page(request: ApiRequest, problems: Mapping[str, str] | None = None, status: int = 200) -> Template:
    """Nothing of a password is shown again."""
    sessions = await database.rows(
        request.app.state.pool, "accounts/own_sessions", OwnSession, user_id=principal_of(request).user_id
    )
    return await page(
        request,
        "console/account.html",
        status_code=status,
        me=(await answer_of(request, "/api/auth/me"))["user"],
        sessions=sessions,
        problems=problems or {},
        done=told(request, "account", "password"),
    )


router = Router("/", route_handlers=[account, change_password], include_in_schema=False)
