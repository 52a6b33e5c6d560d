"""The routes of login, logout, tokens, and the user's own account and password."""

from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import JSONBody
from msgspec import Meta

from api.auth.permissions import requires
from api.auth.requests import ApiRequest
from api.auth.sessions import (
    Accounts,
    Credentials,
    IssuedTokens,
    LoggedIn,
    PasswordChange,
    Person,
    end_session,
    log_in,
    own_person,
    refreshed,
    renewed_password,
)
from api.auth.tokens import MAX_TOKEN_CHARACTERS, Tokens
from api.cache.entries import Cacheable
from api.rest.errors import responses
from api.rest.injected import Injected
from sla_monitor.settings import Settings
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()


class Renewal(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    refresh_token: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARACTERS)]


class Me(msgspec.Struct):
    user: Person


@post(
    "/auth/login",
    status_code=200,
    summary="Log in",
    tags=["accounts"],
    responses=responses(400, 401, 413, 415, 429, 503),
    **requires("session:open"),
)
async def login(
    request: ApiRequest,
    accounts: Injected[Accounts],
    data: JSONBody[Credentials],
) -> LoggedIn:
    """Opens a session by user name or e-mail address. The error does not say whether name or password was wrong."""
    pair, person = await log_in(request, accounts, data, IssuedTokens.pair)
    return pair.response(person)


@post(
    "/auth/refresh",
    status_code=200,
    summary="A new pair of tokens",
    tags=["accounts"],
    responses=responses(400, 401, 413, 415, 429, 503),
    **requires("session:open"),
)
async def refresh(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    tokens: Injected[Tokens],
    data: JSONBody[Renewal],
) -> LoggedIn:
    """A refresh token can be used once. Using it again ends the session, since another client must have it too."""
    return await refreshed(request, pool, settings, tokens, data.refresh_token)


@post(
    "/auth/logout",
    status_code=204,
    summary="Log out",
    tags=["accounts"],
    responses=responses(400, 401, 403, 429, 503),
    **requires("session:use"),
)
async def logout(request: ApiRequest, pool: Injected[Pool]) -> None:
    """Ends this session at once: its tokens become invalid, and its sockets are closed."""
    await end_session(request, pool)


@get(
    "/auth/me",
    summary="My account",
    tags=["accounts"],
    responses=responses(400, 401, 403, 429, 503),
    **requires("session:read"),
)
async def me(request: ApiRequest, pool: Injected[Pool]) -> Me:
    """For an API token: the account of its owner, with the role of the token."""
    return Me(await own_person(request, pool))


@post(
    "/auth/password",
    status_code=200,
    summary="Change my password",
    tags=["accounts"],
    responses=responses(400, 401, 403, 413, 415, 429, 503),
    **requires("session:use"),
)
async def change_password(
    request: ApiRequest,
    accounts: Injected[Accounts],
    data: JSONBody[PasswordChange],
) -> LoggedIn:
    """Ends all sessions of the user and opens a new one."""
    pair, person = await renewed_password(request, accounts, data, IssuedTokens.pair)
    return pair.response(person)


router = Router("/api", route_handlers=[login, refresh, logout, me, change_password])
