"""What keeps the pages of others from making a browser change anything here in the name of whoever is logged in.

A cookie comes along with every request of a browser, whoever made it ask. So a change is taken from pages of this site
only, and a form only with the token of the session that it was made for.
"""

import hmac
from typing import Any

from litestar.connection import ASGIConnection

from api.auth.tokens import Tokens
from api.edge.messages import header
from api.edge.middleware import SAFE_METHODS
from api.edge.origins import Origins

_Connection = ASGIConnection[Any, Any, Any, Any]


def require_own_page(connection: _Connection) -> None:
    """Raises 403 for a change that no page of this site asks for. Browsers say where a form was sent from; what does
    not say it, is not let in: SameSite alone would trust every neighbour under the same domain."""
    scope: Any = connection.scope
    if scope["method"] in SAFE_METHODS:
        return
    origins: Origins = connection.app.state.origins
    origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
    host, tls = header(scope, b"host"), bool(scope["state"].get("tls"))
    own = origins.owns(origin, host, tls) if origin is not None else site == b"same-origin"
    if not own or site not in (None, b"same-origin"):
        raise origins.refusal(origin, host, site)


async def form_token(connection: _Connection) -> str:
    """What every form of a session carries, so that whoever can make a browser send one cannot make up its content."""
    user: Any = connection.scope["user"]
    if user is None or user.session_id is None:
        return ""
    tokens: Tokens = connection.app.state.tokens
    return hmac.new(await tokens.secret(), b"form:" + user.session_id.bytes, "sha256").hexdigest()
