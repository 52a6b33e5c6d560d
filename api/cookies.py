"""The cookies of a browser: the session, the chosen language and the chosen look. Nothing else is ever set.

The session's cookie is HttpOnly and SameSite=Lax. Over TLS its name begins with `__Host-`, which a browser takes from
this host only, over TLS only and for all paths: no neighbour under the same domain can put another one in its place.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal

from litestar.datastructures import Cookie

SESSION = "sla_session"
SECURE_SESSION = "__Host-sla_session"
LANGUAGE = "language"
THEME = "theme"
PREFERENCE_S = 365 * 86400
MAX_COOKIES = 50
_SESSIONS = (SESSION.encode() + b"=", SECURE_SESSION.encode() + b"=")


def cookies(scope: Mapping[str, Any], name: str) -> Iterator[str]:
    """Every value that came along under `name`: two mean that somebody has put one in."""
    wanted = name.encode()
    for key, line in scope["headers"]:
        if key == b"cookie":
            for pair in line.split(b";", MAX_COOKIES):
                own, _, value = pair.strip().partition(b"=")
                if own == wanted:
                    yield value.decode("latin-1")


def cookie(scope: Mapping[str, Any], name: str) -> str:
    """The value of a preference; nothing where there is none."""
    return next(cookies(scope, name), "")


def session_name(secure: bool) -> str:
    return SECURE_SESSION if secure else SESSION


def has_session(scope: Mapping[str, Any]) -> bool:
    """Whether a browser that has logged in asks, as far as can be told at a glance."""
    return any(key == b"cookie" and any(name in line for name in _SESSIONS) for key, line in scope["headers"])


def session_cookie(token: str, lifetime: timedelta, secure: bool) -> Cookie:
    """Sets the session; an empty token ends it."""
    return Cookie(
        key=session_name(secure),
        value=token,
        max_age=int(lifetime.total_seconds()) if token else 0,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def preference(name: Literal["language", "theme"], value: str, secure: bool) -> Cookie:
    return Cookie(key=name, value=value, max_age=PREFERENCE_S, path="/", secure=secure, httponly=True, samesite="lax")
