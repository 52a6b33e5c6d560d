"""Authentication and authorisation of every request and of every message of a socket (rules: permissions.py).

The user is read from the database each time. A logout, a new password, another role or a disabled account therefore
takes effect with the next request, and on open sockets at once (api/live/access.py).

REST and sockets accept an access token or an API token, in `Authorization: Bearer …` only. Pages accept the session
cookie only. So a page of another site can use neither REST nor pages as the user (csrf.py).
"""

import hashlib
from datetime import datetime
from typing import Any, Protocol
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
from api.rest.parts import Part
from api.rest.request_state import request_state
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


class EventNumbers(Protocol):
    """The sequence numbers of the last event, and of the last public event (`Hub` in api/live/hub.py)."""

    @property
    def seq(self) -> int: ...

    @property
    def public_seq(self) -> int: ...


class Gatekeeper:
    """Authenticates the tokens of REST, pages and sockets."""

    def __init__(self, pool: Pool, tokens: Tokens) -> None:
        self._pool = pool
        self._tokens = tokens

    async def principal(self, token: str, address: str | None = None) -> Principal:
        """The principal of an access token or an API token. `address`: the client's address, which is stored as that of
        the last use of an API token. Raises 401 for an invalid or expired token."""
        if token.startswith(API_TOKEN_PREFIX):
            digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
            found = await database.row(self._pool, "accounts/by_token", _TokenRow, token_hash=digest, address=address)
            if found is None:
                raise unauthorized("bad_api_token")
            return Principal(**msgspec.structs.asdict(found))
        return await self._session_principal(await self._tokens.read(token, "access"))

    async def browser_principal(self, token: str) -> Principal:
        """The principal of a session cookie. Raises 401 for an invalid or expired token."""
        return await self._session_principal(await self._tokens.read(token, "browser"))

    async def _session_principal(self, claims: Claims) -> Principal:
        person = await database.row(
            self._pool, "accounts/by_session", _SessionRow, session_id=claims.session_id, user_id=claims.user_id
        )
        if person is None:
            raise unauthorized("logged_out")
        return Principal(**msgspec.structs.asdict(person), session_id=claims.session_id, expires_at=claims.expires_at)


EVENT_NUMBERS = Part[EventNumbers]("event_numbers")
GATEKEEPER = Part[Gatekeeper]("gatekeeper")


def bearer(authorization: str) -> str:
    """The token of an Authorization header. Raises 401 for any other scheme."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("bearer")
    return token.strip()


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Runs before every route: authenticates the request, sets `request.user` (None for anonymous), and authorises it.

    For an action with an `own` role in its rule, the guard checks only that role. The route then calls `authorise` with
    the owner of the object.
    """
    if isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}:
        return  # the handler of Litestar; check_routes requires an action of all others
    action: Action = handler.opt["action"]
    rule = RULES[action]
    state = request_state(connection.scope)
    principal = None
    if handler.opt.get("browser"):
        require_own_page(connection)
        numbers = EVENT_NUMBERS.of(connection)
        # Read before the page reads the database, so that the live feed of the page sends all later events.
        seq, public_seq = numbers.seq, numbers.public_seq
        principal = await browser_principal(connection)
        state["seq"] = seq if sees_internal(principal) else public_seq
    elif rule.least is not None or rule.personal:
        principal = await bearer_principal(connection)
    connection.scope["user"] = principal
    state["action"] = action
    authorise(principal, action, principal.user_id if principal is not None and rule.own is not None else None)


async def bearer_principal(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
    """The principal of the Authorization header; None without one. Raises 401 for an invalid token or two headers."""
    values = connection.headers.getall("authorization", [])
    if not values:
        return None
    if len(values) > 1:
        raise unauthorized("one_authorization")
    address = request_state(connection.scope).get("client")
    return await GATEKEEPER.of(connection).principal(bearer(values[0]), address)


async def browser_principal(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
    """The principal of the session cookie; None without a valid one. Two cookies of that name count as none: another
    host of the domain has set one of them."""
    values = list(cookies(connection.scope, session_name(request_state(connection.scope).get("secure", False))))
    if len(values) != 1:
        return None
    try:
        return await GATEKEEPER.of(connection).browser_principal(values[0])
    except ApiError:
        return None


def actor(request: ApiRequest) -> Actor:
    """The actor in the audit log for changes by this request."""
    state = request_state(request.scope)
    return actor_of(request.user, state.get("client"), state.get("request_id"))


def actor_of(principal: Principal | None, address: str | None, request_id: str | None = None) -> Actor:
    """The actor of a principal; None is an anonymous client."""
    if principal is None:
        return Actor("anonymous", None, "anonymous", address, request_id)
    return Actor(principal.kind, principal.user_id, principal.name, address, request_id)


def check_routes(app: Litestar) -> None:
    """Raises RuntimeError for a route without an action."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                needs_action = isinstance(handler, HTTPRouteHandler) and set(handler.http_methods) != {"OPTIONS"}
                if needs_action and handler.opt.get("action") not in RULES:
                    raise RuntimeError(f"{sorted(handler.http_methods)} {route.path} has no action")
