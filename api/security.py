"""Who may do what: one table, one function, asked on every request and on every event of a socket.

A route names its action (`**requires("incidents:write")`), which also documents it; an application with a route that
names none does not start. Who asks is looked up in the database each time, so a logout, a new password, another role or
a disabled account takes effect with the next request, and on open sockets at once (the feed hears of it).

REST and sockets take an access token or an API token, in `Authorization: Bearer …` and nowhere else. Pages take the
cookie of a browser's session and nothing else: no form of another site can then speak to REST in somebody's name, and
none to a page (forgery.py).
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec
from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from api import database
from api.cookies import cookies, session_name
from api.database import Actor
from api.errors import ApiError
from api.forgery import require_own_page
from api.tokens import Claims, Tokens
from sql import Pool

Role = Literal["viewer", "reporter", "admin"]
Action = Literal[
    "status:read",
    "pages:read",
    "checks:read",
    "session:open",
    "session:read",
    "session:use",
    "incidents:read",
    "incidents:read-internal",
    "incidents:write",
    "incidents:delete",
    "drafts:write",
    "comments:delete",
    "templates:read",
    "templates:write",
    "templates:delete",
    "maintenance:read",
    "maintenance:write",
    "maintenance:delete",
    "services:list",
    "services:administer",
    "users:administer",
    "tokens:administer",
    "settings:read",
    "audit:read",
    "rooms:join-public",
    "rooms:join-incident",
]
API_TOKEN_PREFIX = "slam_"  # noqa: S105  # what a token begins with, so that scanners for leaked secrets know it
ROLES: tuple[Role, ...] = get_args(Role)


class Rule(NamedTuple):
    """The least role for an action; None is everybody. `own`: the least role for what is one's own.

    `personal`: everybody may, but what they see depends on who they are, so a token that comes along is looked at, and
    a bad one is a 401.
    """

    least: Role | None
    own: Role | None = None
    personal: bool = False
    people_only: bool = False
    """Not for API tokens: one that was stolen could make itself accounts and tokens that outlive it."""


RULES: Mapping[Action, Rule] = {
    "status:read": Rule(None),
    "pages:read": Rule(None, personal=True),
    "checks:read": Rule("reporter"),
    "session:open": Rule(None),
    "session:read": Rule("viewer"),
    "session:use": Rule("viewer", people_only=True),
    "incidents:read": Rule(None, personal=True),
    "incidents:read-internal": Rule("viewer"),
    "incidents:write": Rule("reporter"),
    "incidents:delete": Rule("admin"),
    "drafts:write": Rule("reporter"),
    "comments:delete": Rule("admin", own="reporter"),
    "templates:read": Rule("viewer"),
    "templates:write": Rule("reporter"),
    "templates:delete": Rule("admin", own="reporter"),
    "maintenance:read": Rule(None, personal=True),
    "maintenance:write": Rule("reporter"),
    "maintenance:delete": Rule("admin", own="reporter"),
    "services:list": Rule(None),
    "services:administer": Rule("admin"),
    "users:administer": Rule("admin", people_only=True),
    "tokens:administer": Rule("admin", people_only=True),
    "settings:read": Rule("admin"),
    "audit:read": Rule("admin"),
    "rooms:join-public": Rule(None),
    "rooms:join-incident": Rule("viewer"),
}


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has shown who they are: a person in a session, or a machine with a token of its owner."""

    user_id: UUID
    name: str
    role: Role
    session_id: UUID | None = None
    token_id: UUID | None = None
    expires_at: datetime | None = None

    @property
    def kind(self) -> Literal["user", "token"]:
        return "user" if self.token_id is None else "token"


def allows(principal: Principal | None, action: Action, owner_id: UUID | None = None) -> bool:
    """Whether `principal` (None: nobody known) may do `action`, to a thing of `owner_id` where it has an owner."""
    rule = RULES[action]
    if rule.least is None:
        return True
    if principal is None or (rule.people_only and principal.kind != "user"):
        return False
    owns = rule.own is not None and owner_id is not None and principal.user_id == owner_id
    least = rule.own if owns and rule.own is not None else rule.least
    return ROLES.index(principal.role) >= ROLES.index(least)


def sees_internal(principal: Principal | None) -> bool:
    """Whether somebody sees internal incidents, comments and maintenance windows, and private services."""
    return allows(principal, "incidents:read-internal")


def authorise(principal: Principal | None, action: Action, owner_id: UUID | None = None) -> None:
    """Returns when it is allowed; else raises 401 where nobody is logged in, 403 where the role is too low."""
    if allows(principal, action, owner_id):
        return
    if principal is None:
        raise unauthorized("Log in first")
    if RULES[action].people_only and principal.kind != "user":
        raise ApiError(403, "An API token may not do this; log in")
    raise ApiError(403, f"Your role, {principal.role}, may not do this")


def unauthorized(message: str) -> ApiError:
    return ApiError(401, message, headers={"WWW-Authenticate": 'Bearer realm="sla-monitor"'})


class _SessionRow(msgspec.Struct):
    user_id: UUID
    name: str
    role: Role


class _TokenRow(msgspec.Struct):
    token_id: UUID
    user_id: UUID
    name: str
    role: Role
    expires_at: datetime | None


class Gatekeeper:
    """Finds out who somebody is. One for REST and sockets."""

    def __init__(self, pool: Pool, tokens: Tokens) -> None:
        self._pool = pool
        self._tokens = tokens

    async def principal(self, token: str, address: str | None = None) -> Principal:
        """Whose `token` this is now. Raises 401 for one that is not good (any more)."""
        if token.startswith(API_TOKEN_PREFIX):
            digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
            machine = await database.row(self._pool, "accounts/by_token", _TokenRow, token_hash=digest, address=address)
            if machine is None:
                raise unauthorized("This API token is not valid")
            return Principal(**msgspec.structs.asdict(machine))
        return await self._person(await self._tokens.read(token, "access"))

    async def visitor(self, token: str) -> Principal:
        """Whose browser sends `token` in its cookie. Raises 401 for one that is not good (any more)."""
        return await self._person(await self._tokens.read(token, "browser"))

    async def _person(self, claims: Claims) -> Principal:
        person = await database.row(
            self._pool, "accounts/by_session", _SessionRow, session_id=claims.session_id, user_id=claims.user_id
        )
        if person is None:
            raise unauthorized("You have been logged out")
        return Principal(**msgspec.structs.asdict(person), session_id=claims.session_id, expires_at=claims.expires_at)


def bearer(authorization: str) -> str:
    """The token of an Authorization header. Raises 401 for any other scheme."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("Send the token as Authorization: Bearer …")
    return token.strip()


def requires(action: Action) -> dict[str, Any]:
    """What a route says of itself to be guarded: `@post("/incidents", **requires("incidents:write"))`."""
    rule = RULES[action]
    known: list[dict[str, list[str]]] = [{"bearer": []}]
    if rule.least is None:
        known = [{}, {"bearer": []}] if rule.personal else [{}]
    return {"opt": {"action": action}, "security": known}


def shown_to(action: Action) -> dict[str, Any]:
    """The same for a page, which only a browser asks for: who asks is told by the cookie of their session."""
    return {"opt": {"action": action, "browser": True}, "include_in_schema": False}


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Runs before every route: who asks (kept as `request.user`, None for nobody), and whether they may.

    Where what is one's own may be changed by a lower role, the route asks `authorise` again once it knows whose it is.
    """
    if isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}:
        return  # Litestar's own answer of which methods there are; check_routes lets nothing else pass
    action: Action = handler.opt["action"]
    rule = RULES[action]
    principal = None
    if handler.opt.get("browser"):
        require_own_page(connection)
        hub = connection.app.state.hub
        inside, outside = hub.seq, hub.public_seq  # before anything is read: what comes later is told by the feed
        principal = await visitor(connection)
        connection.scope["state"]["seq"] = inside if sees_internal(principal) else outside
    elif rule.least is not None or rule.personal:
        principal = await identified(connection)
    connection.scope["user"] = principal
    connection.scope["state"]["action"] = action
    authorise(principal, action, principal.user_id if principal is not None and rule.own is not None else None)


async def identified(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
    """Who asks, None where no token comes along. Raises 401 for one that is not good, and for two."""
    given = connection.headers.getall("authorization", [])
    if not given:
        return None
    if len(given) > 1:
        raise unauthorized("Send one Authorization header")
    gatekeeper: Gatekeeper = connection.app.state.gatekeeper
    return await gatekeeper.principal(bearer(given[0]), connection.scope["state"].get("client"))


async def visitor(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
    """Whose browser asks, None for nobody known: a session that has ended is none. Two cookies of that name are one too
    many: the other one was put there by somebody else."""
    given = list(cookies(connection.scope, session_name(connection.scope["state"].get("secure", False))))
    if len(given) != 1:
        return None
    gatekeeper: Gatekeeper = connection.app.state.gatekeeper
    try:
        return await gatekeeper.visitor(given[0])
    except ApiError:
        return None


def actor(request: Request[Any, Any, Any]) -> Actor:
    """Who is put into the audit log for what this request changes."""
    return actor_of(request.user, request.scope["state"].get("client"), request.scope["state"].get("request_id"))


def actor_of(principal: Principal | None, address: str | None, request_id: str | None = None) -> Actor:
    """The same for a socket; None is somebody unknown."""
    if principal is None:
        return Actor("anonymous", None, "anonymous", address, request_id)
    return Actor(principal.kind, principal.user_id, principal.name, address, request_id)


def check_routes(app: Litestar) -> None:
    """Every route must say who may use it. Raises RuntimeError, a defect, for one that does not."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                ours = isinstance(handler, HTTPRouteHandler) and set(handler.http_methods) != {"OPTIONS"}
                if ours and handler.opt.get("action") not in RULES:
                    raise RuntimeError(f"{sorted(handler.http_methods)} {route.path} names no action")


assert set(RULES) == set(get_args(Action))
