"""/login and /logout, the choice of language and theme, and the token for the live feed."""

import re
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest, principal_of
from api.auth.sessions import Credentials, IssuedTokens, LoginParts, end_session, log_in
from api.auth.tokens import Tokens
from api.cache.entries import Cacheable
from api.edge.cookies import THEMES, preference, session_cookie
from api.pages.forms import read_form
from api.pages.site import page
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.request_state import request_state
from sla_monitor.texts.languages import LANGUAGES
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
LIVE_TOKEN_LIFETIME = timedelta(hours=1)
HOME = "/console"
MAX_TARGET_CHARACTERS = 2000
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")
Target = Annotated[str, QueryParameter(name="next", max_length=MAX_TARGET_CHARACTERS)]


class LiveToken(msgspec.Struct):
    """For `auth` on `/ws`, since scripts cannot read the session cookie."""

    token: str


def own_path(target: str, otherwise: str) -> str:
    """`target` if it is a path on this site, else `otherwise`. `//evil.example` is not such a path."""
    return target if _OWN_PATH.fullmatch(target) and len(target) <= MAX_TARGET_CHARACTERS else otherwise


@get("/login", **shown_to("pages:read"))
async def login_page(request: ApiRequest, target: Target = HOME) -> Response[Any]:
    """Redirects users who are logged in already."""
    if request.user is not None:
        return Redirect(own_path(target, HOME), status_code=303)
    return await page(request, "login.html", target=own_path(target, HOME), username="", problem=None, retry_after=0)


@post("/login", **shown_to("session:open"))
async def login(request: ApiRequest, login_parts: Injected[LoginParts]) -> Response[Any]:
    """After a wrong password, the form is shown again, without the password."""
    form = await read_form(request)
    target, username = own_path(form.text("next"), HOME), form.text("username")
    try:
        credentials = msgspec.convert({"username": username, "password": form.secret("password")}, Credentials)
        issued, _ = await log_in(request, login_parts, credentials, IssuedTokens.for_browser)
    except (ApiError, msgspec.ValidationError) as error:
        status = error.status if isinstance(error, ApiError) else 401
        if status >= 500:
            raise
        problem = "limited" if status == 429 else "wrong"
        headers = error.headers if isinstance(error, ApiError) else {}
        shown = {"target": target, "username": username, "problem": problem}
        wait_s = int(headers.get("Retry-After", "0"))
        response = await page(request, "login.html", status_code=status, retry_after=wait_s, **shown)
        response.headers |= headers
        return response
    lifetime = login_parts.settings.refresh_token_lifetime
    return _redirect(target, session_cookie(issued.access, lifetime, _secure(request)))


@post("/logout", **shown_to("session:use"))
async def logout(request: ApiRequest, pool: Injected[Pool]) -> Response[Any]:
    await read_form(request)
    await end_session(request, pool)
    return _redirect("/", session_cookie("", timedelta(), _secure(request)))


@post("/live-token", status_code=200, **shown_to("rooms:join-incident"))
async def live_token(request: ApiRequest, tokens: Injected[Tokens]) -> LiveToken:
    """An access token for an hour. The script of the page requests the next one."""
    user = principal_of(request)
    assert user.session_id is not None  # the action needs a browser's session
    return LiveToken(await tokens.issue("access", user.user_id, user.session_id, LIVE_TOKEN_LIFETIME))


@get("/language/{language:str}", **shown_to("status:read"))
async def choose_language(request: ApiRequest, language: FromPath[str], target: Target = "/") -> Response[Any]:
    if language not in LANGUAGES:
        raise ApiError(404)
    return _redirect(own_path(target, "/"), preference("language", language, _secure(request)))


@get("/theme/{theme:str}", **shown_to("status:read"))
async def choose_theme(request: ApiRequest, theme: FromPath[str], target: Target = "/") -> Response[Any]:
    """`auto` follows the setting of the device."""
    if theme not in (*THEMES, "auto"):
        raise ApiError(404)
    return _redirect(own_path(target, "/"), preference("theme", theme, _secure(request)))


def _redirect(target: str, cookie: Cookie) -> Response[Any]:
    return Redirect(target, status_code=303, cookies=[cookie])


def _secure(request: ApiRequest) -> bool:
    return request_state(request.scope).get("secure", False)


router = Router(
    "/", route_handlers=[login_page, login, logout, live_token, choose_language, choose_theme], include_in_schema=False
)
