"""The routes of sessions (login, renewal, logout) and of the user's own account and password."""

from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import JSONBody
from msgspec import Meta

from api.auth.permissions import requires
from api.auth.requests import ApiRequest
from api.auth.sessions import (
    Credentials,
    IssuedTokens,
    LoggedIn,
    LoginParts,
    PasswordChange,
    Person,
    change_own_password,
    end_session,
    log_in,
    own_account,
    renew_tokens,
)
from api.auth.tokens import MAX_TOKEN_CHARACTERS, Tokens
from api.cache.entries import Cacheable
from api.rest.errors import BODY_ERRORS
from api.rest.injected import Injected
from sla_monitor.settings import Settings
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()


class Renewal(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`refreshToken`: the refresh token of the last login or renewal."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARACTERS)]


class Me(msgspec.Struct):
    """The user of the request."""

    user: Person


@post(
    "/auth/login",
    status_code=200,
    summary="Log in",
    **requires("session:open", 401, *BODY_ERRORS),
)
async def login(
    request: ApiRequest,
    login_parts: Injected[LoginParts],
    data: JSONBody[Credentials],
) -> LoggedIn:
    """Opens a session. 401 for an unknown user, a wrong password or a disabled account; the error does not name the
    cause. 429 after too many attempts from one address or for one user name."""
    pair, person = await log_in(request, login_parts, data, IssuedTokens.pair)
    return pair.response(person)


@post(
    "/auth/refresh",
    status_code=200,
    summary="Renew the tokens of a session",
    **requires("session:open", 401, *BODY_ERRORS),
)
async def refresh(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    tokens: Injected[Tokens],
    data: JSONBody[Renewal],
) -> LoggedIn:
    """Returns a new access token and a new refresh token. A refresh token can be used once. Using it again ends the
    session, since the token must have been copied. 401 for an invalid or used token."""
    return await renew_tokens(request, pool, settings, tokens, data.refresh_token)


@post(
    "/auth/logout",
    status_code=204,
    summary="Log out",
    **requires("session:use", 400),
)
async def logout(request: ApiRequest, pool: Injected[Pool]) -> None:
    """Ends the session at once: its tokens become invalid and its WebSockets are closed. 403 for an API token."""
    await end_session(request, pool)


@get(
    "/auth/me",
    summary="Get my account",
    **requires("session:read", 400),
)
async def me(request: ApiRequest, pool: Injected[Pool]) -> Me:
    """The user of the session. For an API token: its owner, with the role of the token."""
    return Me(await own_account(request, pool))


@post(
    "/auth/password",
    status_code=200,
    summary="Change my password",
    **requires("session:use", *BODY_ERRORS),
)
async def change_password(
    request: ApiRequest,
    login_parts: Injected[LoginParts],
    data: JSONBody[PasswordChange],
) -> LoggedIn:
    """Ends all sessions of the user and opens a new one. 400 for a wrong current password or an unsuitable new one. 403
    for an API token."""
    pair, person = await change_own_password(request, login_parts, data, IssuedTokens.pair)
    return pair.response(person)


router = Router("/api", route_handlers=[login, refresh, logout, me, change_password], tags=["accounts"])
