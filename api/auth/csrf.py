"""Protection against cross-site request forgery.

A browser sends the session cookie with every request, also with requests that pages of other sites cause. Changes are
therefore accepted only from pages of this site, and forms only with the form token of the session.
"""

import hmac
from typing import Any

from litestar.connection import ASGIConnection

from api.auth.permissions import Principal
from api.auth.tokens import TOKENS
from api.edge.asgi import SAFE_METHODS, header
from api.edge.origins import ORIGINS
from api.rest.request_state import request_state

_Connection = ASGIConnection[Any, Any, Any, Any]


def require_own_page(connection: _Connection) -> None:
    """Raises 403 for a change that does not come from a page of this site, according to Origin or Sec-Fetch-Site. A
    request with neither header is refused: SameSite cookies alone would trust all hosts of the same domain."""
    scope: Any = connection.scope
    if scope["method"] in SAFE_METHODS:
        return
    origins = ORIGINS.of(connection)
    origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
    host, tls = header(scope, b"host"), request_state(scope).get("tls", False)
    own = origins.is_this_site(origin, host, tls) if origin is not None else site == b"same-origin"
    if not own or site not in (None, b"same-origin"):
        raise origins.refusal(origin, host, site)


async def form_token(connection: _Connection) -> str:
    """The hexadecimal token in every form of the session; empty without a session."""
    user: Principal | None = connection.scope["user"]
    if user is None or user.session_id is None:
        return ""
    return hmac.new(await TOKENS.of(connection).secret(), b"form:" + user.session_id.bytes, "sha256").hexdigest()
