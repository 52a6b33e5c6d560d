"""Who sends a request, and whether permissions.py allows it: checked for every request and every event of a socket.

Who asks is looked up in the database each time, so a logout, a new password, another role or
a disabled account takes effect with the next request, and on open sockets at once (the feed hears of it).

REST and sockets take an access token or an API token, in `Authorization: Bearer …` and nowhere else. Pages take the
cookie of a browser's session and nothing else: no form of another site can then speak to REST in somebody's name, and
none to a page (csrf.py).
"""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from api.auth.csrf import require_own_page
from api.auth.permissions import (
    API_TOKEN_PREFIX,
    RULES,
    Action,
    Principal,
    Role,
    authorise,
    sees_internal,
    unauthorized,
)
from api.auth.requests import ApiRequest
from api.auth.tokens import Claims, Tokens
from api.edge.cookies import cookies, session_name
from api.rest.errors import ApiError
from sql import Pool, database
from sql.database import Actor


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
                raise unauthorized("bad_api_token")
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
            raise unauthorized("logged_out")
        return Principal(**msgspec.structs.asdict(person), session_id=claims.session_id, expires_at=claims.expires_at)


def bearer(authorization: str) -> str:
    """The token of an Authorization header. Raises 401 for any other scheme."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("bearer")
    return token.strip()


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
        raise unauthorized("one_authorization")
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


def actor(request: ApiRequest) -> Actor:
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
