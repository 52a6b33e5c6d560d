"""Logging in and out, a fresh pair of tokens, one's own account and password."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import msgspec
from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta
from psycopg.rows import class_row

import sql
from api import database
from api.answers import Cacheable
from api.database import Actor, Connection
from api.errors import FieldProblem, invalid, responses
from api.login_guard import Account, LoginGuard
from api.passwords import AnyPassword, NewPassword, password_problems
from api.security import Role, actor, actor_of, requires, unauthorized
from api.texts import text_problems
from api.tokens import MAX_TOKEN_CHARACTERS
from sla_monitor.one_line import on_one_line

ANSWERS: tuple[Cacheable, ...] = ()
_Request = Request[Any, Any, Any]


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """`username` may be the e-mail."""

    username: Annotated[str, Meta(min_length=1, max_length=100)]
    password: AnyPassword


class Renewal(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    refresh_token: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARACTERS)]


class PasswordChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    current_password: AnyPassword
    new_password: NewPassword


class Person(msgspec.Struct, kw_only=True):
    """What somebody is told of themselves."""

    id: UUID
    username: str
    email: str
    role: Role


class Me(msgspec.Struct):
    user: Person


class LoggedIn(msgspec.Struct, rename="camel"):
    """The access token goes into `Authorization: Bearer …`; the refresh token works once, for the next pair."""

    access_token: str
    refresh_token: str
    user: Person


class _Refreshed(msgspec.Struct):
    outcome: Literal["refreshed", "refused", "reused"]
    username: str | None
    email: str | None
    role: Role | None


class IssuedTokens(msgspec.Struct):
    """The tokens of one session; of the refresh token only the hash is kept. A browser has one, for its cookie."""

    session_id: UUID
    access: str
    refresh: str | None = None

    @classmethod
    async def for_browser(cls, state: State, user_id: UUID, session_id: UUID) -> "IssuedTokens":
        lifetime = state.settings.refresh_token_lifetime
        return cls(session_id, await state.tokens.issue("browser", user_id, session_id, lifetime))

    @classmethod
    async def pair(cls, state: State, user_id: UUID, session_id: UUID) -> "IssuedTokens":
        settings, issue = state.settings, state.tokens.issue
        return cls(
            session_id,
            await issue("access", user_id, session_id, settings.access_token_lifetime),
            await issue("refresh", user_id, session_id, settings.refresh_token_lifetime),
        )

    def answer(self, person: Person) -> LoggedIn:
        assert self.refresh is not None
        return LoggedIn(self.access, self.refresh, person)


@post(
    "/auth/login",
    status_code=200,
    summary="Log in",
    tags=["accounts"],
    responses=responses(400, 401, 413, 415, 429, 503),
    **requires("session:open"),
)
async def login(request: _Request, state: State, data: JSONBody[Credentials]) -> LoggedIn:
    """By user name or e-mail. Which of the two was wrong, name or password, is not told."""
    pair, person = await opened_session(request, state, data, IssuedTokens.pair)
    return pair.answer(person)


async def opened_session(
    request: _Request, state: State, data: Credentials, issue: Callable[[State, UUID, UUID], Awaitable[IssuedTokens]]
) -> tuple[IssuedTokens, Person]:
    """Logs somebody in, with the tokens that `issue` makes. Raises 401 for a wrong name or password, 429 for many."""
    if wrong := text_problems("username", data.username):
        raise invalid(*wrong)
    address = _address(request)
    guard = _guard(state)
    await guard.count(address)
    account = await database.row(state.pool, "accounts/by_login", Account, login=data.username, address=address)
    if await guard.is_right(address, account, data.username, data.password) and account is not None:
        rehashed = await state.passwords.rehash(data.password, account.password_hash)
        issued = await issue(state, account.id, uuid4())
        async with database.transaction(state.pool, _as(account, request)) as connection:
            person = await _open_session(connection, request, state, account, issued, rehashed)
        if person is not None:
            return issued, person
    # A name that is nobody's may be a password in the wrong field.
    await _note(request, state, "login-failed", account.username if account else "unknown", _reason(account))
    raise unauthorized("The user name or the password is wrong")


@post(
    "/auth/refresh",
    status_code=200,
    summary="A new pair of tokens",
    tags=["accounts"],
    responses=responses(400, 401, 413, 415, 429, 503),
    **requires("session:open"),
)
async def refresh(request: _Request, state: State, data: JSONBody[Renewal]) -> LoggedIn:
    """The refresh token is spent by this. One that comes back ends its session: somebody else has it too."""
    claims = await state.tokens.read(data.refresh_token, "refresh")
    fresh = await IssuedTokens.pair(state, claims.user_id, claims.session_id)
    assert fresh.refresh is not None
    values = {
        "session_id": claims.session_id,
        "user_id": claims.user_id,
        "spent_hash": _digest(data.refresh_token),
        "fresh_hash": _digest(fresh.refresh),
        **_lifetimes(state),
    }
    nobody = actor_of(None, _address(request), request.scope["state"].get("request_id"))
    # Judged after the transaction: that the session has ended is to stay, though the request fails.
    async with (
        database.transaction(state.pool, nobody) as connection,
        connection.cursor(row_factory=class_row(_Refreshed)) as cursor,
    ):
        await cursor.execute(sql.query("accounts/refresh_session"), values)
        found = await cursor.fetchone()
    if found is None or found.outcome != "refreshed":
        raise unauthorized("You have been logged out")
    assert found.username is not None and found.email is not None and found.role is not None
    return fresh.answer(Person(id=claims.user_id, username=found.username, email=found.email, role=found.role))


@post(
    "/auth/logout",
    status_code=204,
    summary="Log out",
    tags=["accounts"],
    responses=responses(400, 401, 403, 429, 503),
    **requires("session:use"),
)
async def logout(request: _Request, state: State) -> None:
    """Ends this session at once: its tokens are worth nothing, and its sockets are closed."""
    await end_session(request, state)


async def end_session(request: _Request, state: State) -> None:
    """Of the one who asks."""
    async with database.transaction(state.pool, actor(request)) as connection:
        await connection.execute(sql.query("accounts/end_session"), {"session_id": request.user.session_id})


@get(
    "/auth/me",
    summary="Who I am",
    tags=["accounts"],
    responses=responses(400, 401, 403, 429, 503),
    **requires("session:read"),
)
async def me(request: _Request, state: State) -> Me:
    """An API token is told its owner, and the role that it has itself."""
    account = await _own_account(request, state)
    return Me(Person(id=account.id, username=account.username, email=account.email, role=request.user.role))


@post(
    "/auth/password",
    status_code=200,
    summary="Change one's own password",
    tags=["accounts"],
    responses=responses(400, 401, 403, 413, 415, 429, 503),
    **requires("session:use"),
)
async def change_password(request: _Request, state: State, data: JSONBody[PasswordChange]) -> LoggedIn:
    """Ends all sessions, and answers with a new one."""
    account = await _own_account(request, state)
    if wrong := password_problems("newPassword", data.new_password, account.username, account.email):
        raise invalid(*wrong)
    guard, address = _guard(state), _address(request)
    await guard.count(address)
    # No 401: the token is good, and front ends would log out.
    if not await guard.is_right(address, account, account.username, data.current_password):
        await _note(request, state, "password-failed", str(account.id), _reason(account))
        raise invalid(FieldProblem("currentPassword", "is wrong"))
    password_hash = await state.passwords.hash(data.new_password)
    pair = await IssuedTokens.pair(state, account.id, uuid4())
    values = {"user_id": account.id, "verified_hash": account.password_hash, "password_hash": password_hash}
    async with database.transaction(state.pool, actor(request)) as connection:
        await connection.execute(sql.query("accounts/change_password"), values)
        renewed = msgspec.structs.replace(account, password_hash=password_hash)
        person = await _open_session(connection, request, state, renewed, pair)
    if person is None:
        raise unauthorized("You have been logged out")
    return pair.answer(person)


async def _open_session(
    connection: Connection,
    request: _Request,
    state: State,
    account: Account,
    pair: IssuedTokens,
    rehashed: str | None = None,
) -> Person | None:
    """None where the password or the user has changed since it was verified."""
    values = {
        "session_id": pair.session_id,
        "user_id": account.id,
        "verified_hash": account.password_hash,
        "same_password_hash": rehashed,
        "refresh_hash": _digest(pair.refresh) if pair.refresh is not None else None,
        "address": _address(request),
        "user_agent": printable(request.headers.get("user-agent", ""), 300) or None,
        **_lifetimes(state),
    }
    async with connection.cursor(row_factory=class_row(Person)) as cursor:
        await cursor.execute(sql.query("accounts/open_session"), values)
        return await cursor.fetchone()


def _lifetimes(state: State) -> dict[str, Any]:
    """A session lives as long as the last token that was issued in it."""
    access, renewal = state.settings.access_token_lifetime, state.settings.refresh_token_lifetime
    return {"refresh_lifetime": renewal, "session_lifetime": max(access, renewal)}


async def _own_account(request: _Request, state: State) -> Account:
    account = await database.row(
        state.pool, "accounts/by_id", Account, id=request.user.user_id, address=_address(request)
    )
    if account is None:
        raise unauthorized("You have been logged out")
    return account


async def _note(request: _Request, state: State, action: str, name: str, reason: str) -> None:
    values = {"action": action, "name": printable(name, 100), "reason": reason}
    async with database.transaction(state.pool, actor(request)) as connection:
        await connection.execute(sql.query("accounts/note_failure"), values)


def _reason(account: Account | None) -> str:
    if account is None:
        return "unknown user"
    return "wrong password" if account.active else "disabled"


def _as(account: Account, request: _Request) -> Actor:
    return actor(request)._replace(kind="user", id=account.id, name=account.username)


def _guard(state: State) -> LoginGuard:
    return LoginGuard(state.limits, state.passwords, state.settings.rate_limit_login)


def _address(request: _Request) -> str:
    address: str = request.scope["state"]["client"]
    return address


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def printable(text: str, length: int) -> str:
    """What a client says of itself, fit for a log."""
    return on_one_line(text[:length], "?")


router = Router("/api", route_handlers=[login, refresh, logout, me, change_password])
