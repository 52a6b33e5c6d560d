"""Sessions: login, renewal by a refresh token, logout; and changes of the user's own password."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta
from psycopg.rows import class_row

import sql
from api.auth.gatekeeper import actor, actor_of
from api.auth.login_guard import Account, LoginGuard
from api.auth.passwords import AnyPassword, NewPassword, Passwords, password_problems
from api.auth.permissions import Role, unauthorized
from api.auth.requests import ApiRequest, principal_of
from api.auth.tokens import Tokens
from api.edge.limits import Limits
from api.rest.errors import invalid, raise_problems
from api.rest.problems import FieldProblem
from api.rest.request_state import request_state
from api.rest.texts import text_problems
from sla_monitor.formats.one_line import on_one_line
from sla_monitor.settings import Settings
from sql import Pool, database
from sql.database import Actor, Connection


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """`username` is the user name or the e-mail address."""

    username: Annotated[str, Meta(min_length=1, max_length=100)]
    password: AnyPassword


class PasswordChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`newPassword`: 10 to 200 characters, not the user name or e-mail address."""

    current_password: AnyPassword
    new_password: NewPassword


class Person(msgspec.Struct, kw_only=True):
    """The account of the user who sends the request."""

    id: UUID
    username: str
    email: str
    role: Role


class LoggedIn(msgspec.Struct, rename="camel"):
    """`accessToken` is sent in `Authorization: Bearer …`. `refreshToken` can be used once, for the next pair."""

    access_token: str
    refresh_token: str
    user: Person


class _Refreshed(msgspec.Struct):
    outcome: Literal["refreshed", "refused", "reused"]
    username: str | None
    email: str | None
    role: Role | None


class LoginParts(NamedTuple):
    """The parts of the application that login and a change of the password need."""

    pool: Pool
    settings: Settings
    limits: Limits
    passwords: Passwords
    tokens: Tokens


class IssuedTokens(msgspec.Struct):
    """The tokens of a session: an access and a refresh token, or for a browser only the token of its cookie (`access`).
    The database stores the hash of the refresh token."""

    session_id: UUID
    access: str
    refresh: str | None = None

    @classmethod
    async def for_browser(cls, settings: Settings, tokens: Tokens, user_id: UUID, session_id: UUID) -> "IssuedTokens":
        lifetime = settings.refresh_token_lifetime
        return cls(session_id, await tokens.issue("browser", user_id, session_id, lifetime))

    @classmethod
    async def pair(cls, settings: Settings, tokens: Tokens, user_id: UUID, session_id: UUID) -> "IssuedTokens":
        issue = tokens.issue
        return cls(
            session_id,
            await issue("access", user_id, session_id, settings.access_token_lifetime),
            await issue("refresh", user_id, session_id, settings.refresh_token_lifetime),
        )

    def response(self, person: Person) -> LoggedIn:
        """The body of the response with the pair of tokens."""
        assert self.refresh is not None
        return LoggedIn(self.access, self.refresh, person)


Issue = Callable[[Settings, Tokens, UUID, UUID], Awaitable[IssuedTokens]]
"""Issues the tokens of a session, by the ids of user and session."""


async def log_in(
    request: ApiRequest,
    login_parts: LoginParts,
    data: Credentials,
    issue: Issue,
) -> tuple[IssuedTokens, Person]:
    """Opens a session with the tokens of `issue`. Raises 401 for a wrong name or password, 429 after too many
    attempts."""
    raise_problems(text_problems("username", data.username))
    address = _address(request)
    pool, settings, _, passwords, tokens = login_parts
    guard = _guard(login_parts)
    await guard.count(address)
    account = await database.row(pool, "accounts/by_login", Account, login=data.username, address=address)
    if await guard.is_correct(address, account, data.username, data.password) and account is not None:
        rehashed = await passwords.rehash(data.password, account.password_hash)
        issued = await issue(settings, tokens, account.id, uuid4())
        async with database.transaction(pool, _actor_of(account, request)) as connection:
            person = await _open_session(connection, request, settings, account, issued, rehashed)
        if person is not None:
            return issued, person
    # An unknown name is not recorded: it may be a password in the wrong field.
    await _log_failure(request, pool, "login-failed", account.username if account else "unknown", _reason(account))
    raise unauthorized("wrong_login")


async def renew_tokens(
    request: ApiRequest, pool: Pool, settings: Settings, tokens: Tokens, refresh_token: str
) -> LoggedIn:
    """A new pair of tokens for the session of `refresh_token`, which cannot be used again. Raises 401 for an invalid or
    used token; a used one ends the session."""
    claims = await tokens.read(refresh_token, "refresh")
    fresh = await IssuedTokens.pair(settings, tokens, claims.user_id, claims.session_id)
    assert fresh.refresh is not None
    values = {
        "session_id": claims.session_id,
        "user_id": claims.user_id,
        "spent_hash": _digest(refresh_token),
        "fresh_hash": _digest(fresh.refresh),
        **_lifetimes(settings),
    }
    anonymous = actor_of(None, _address(request), request_state(request.scope).get("request_id"))
    # The error is raised after the transaction, so that the end of the session is committed.
    async with (
        database.transaction(pool, anonymous) as connection,
        connection.cursor(row_factory=class_row(_Refreshed)) as cursor,
    ):
        await cursor.execute(sql.query("accounts/refresh_session"), values)
        found = await cursor.fetchone()
    if found is None or found.outcome != "refreshed":
        raise unauthorized("logged_out")
    assert found.username is not None and found.email is not None and found.role is not None
    return fresh.response(Person(id=claims.user_id, username=found.username, email=found.email, role=found.role))


async def end_session(request: ApiRequest, pool: Pool) -> None:
    """Ends the session of the request."""
    async with database.transaction(pool, actor(request)) as connection:
        await connection.execute(sql.query("accounts/end_session"), {"session_id": principal_of(request).session_id})


async def own_account(request: ApiRequest, pool: Pool) -> Person:
    """The user of the request, with the role of the session or API token. Raises 401 if the user has been deleted."""
    account = await _stored_account(request, pool)
    return Person(id=account.id, username=account.username, email=account.email, role=principal_of(request).role)


async def change_own_password(
    request: ApiRequest, login_parts: LoginParts, data: PasswordChange, issue: Issue
) -> tuple[IssuedTokens, Person]:
    """Changes the user's own password, which ends all sessions, and opens a new one with the tokens of `issue`. Raises
    400 for a wrong or unsuitable password, 401 if the user has been logged out, 429 after too many attempts."""
    pool, settings, _, passwords, tokens = login_parts
    account = await _stored_account(request, pool)
    raise_problems(password_problems("newPassword", data.new_password, account.username, account.email))
    guard, address = _guard(login_parts), _address(request)
    await guard.count(address)
    # Not a 401: the token is valid, and front ends would log the user out.
    if not await guard.is_correct(address, account, account.username, data.current_password):
        await _log_failure(request, pool, "password-failed", str(account.id), _reason(account))
        raise invalid(FieldProblem.of("currentPassword", "wrong_password"))
    password_hash = await passwords.hash(data.new_password)
    issued = await issue(settings, tokens, account.id, uuid4())
    values = {"user_id": account.id, "verified_hash": account.password_hash, "password_hash": password_hash}
    async with database.transaction(pool, actor(request)) as connection:
        await connection.execute(sql.query("accounts/change_password"), values)
        changed = msgspec.structs.replace(account, password_hash=password_hash)
        person = await _open_session(connection, request, settings, changed, issued)
    if person is None:
        raise unauthorized("logged_out")
    return issued, person


async def _open_session(
    connection: Connection,
    request: ApiRequest,
    settings: Settings,
    account: Account,
    issued: IssuedTokens,
    rehashed: str | None = None,
) -> Person | None:
    """Stores a session. `rehashed`: a new hash of the same password, if the stored one is outdated. Returns None if the
    user or the password has changed since the password was verified."""
    values = {
        "session_id": issued.session_id,
        "user_id": account.id,
        "verified_hash": account.password_hash,
        "same_password_hash": rehashed,
        "refresh_hash": _digest(issued.refresh) if issued.refresh is not None else None,
        "address": _address(request),
        "user_agent": printable(request.headers.get("user-agent", ""), 300) or None,
        **_lifetimes(settings),
    }
    async with connection.cursor(row_factory=class_row(Person)) as cursor:
        await cursor.execute(sql.query("accounts/open_session"), values)
        return await cursor.fetchone()


def _lifetimes(settings: Settings) -> dict[str, Any]:
    """The lifetimes of the refresh token and of the session, which lasts as long as its longest-lived token."""
    access, renewal = settings.access_token_lifetime, settings.refresh_token_lifetime
    return {"refresh_lifetime": renewal, "session_lifetime": max(access, renewal)}


async def _stored_account(request: ApiRequest, pool: Pool) -> Account:
    account = await database.row(
        pool, "accounts/by_id", Account, id=principal_of(request).user_id, address=_address(request)
    )
    if account is None:
        raise unauthorized("logged_out")
    return account


async def _log_failure(request: ApiRequest, pool: Pool, action: str, name: str, reason: str) -> None:
    """Writes a failed attempt to the audit log."""
    values = {"action": action, "name": printable(name, 100), "reason": reason}
    async with database.transaction(pool, actor(request)) as connection:
        await connection.execute(sql.query("accounts/note_failure"), values)


def _reason(account: Account | None) -> str:
    if account is None:
        return "unknown user"
    return "wrong password" if account.active else "disabled"


def _actor_of(account: Account, request: ApiRequest) -> Actor:
    """The actor in the audit log for a login of this account."""
    return actor(request)._replace(kind="user", id=account.id, name=account.username)


def _guard(login_parts: LoginParts) -> LoginGuard:
    return LoginGuard(login_parts.limits, login_parts.passwords, login_parts.settings.rate_limit_login)


def _address(request: ApiRequest) -> str:
    return request_state(request.scope)["client"]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def printable(text: str, length: int) -> str:
    """A text that a client sent, for the audit log: on one line, and at most `length` characters."""
    return on_one_line(text[:length], "?")
