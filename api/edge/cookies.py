"""The three cookies of this site: the session, the chosen language and the chosen theme.

The session cookie is HttpOnly and SameSite=Lax. Over TLS its name begins with `__Host-`: browsers accept such a cookie
only from this host, over TLS and for all paths, so another host of the same domain cannot replace it.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple, get_args

from litestar.datastructures import Cookie

SESSION = "sla_session"
SECURE_SESSION = "__Host-sla_session"
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)
PREFERENCE_S = 365 * 86400


class Preferences(NamedTuple):
    """The language and theme chosen in this browser; `""` and None if none is chosen."""

    language: str
    theme: Theme | None


_THEMES = {theme.encode(): theme for theme in THEMES}
_SESSIONS = (SESSION.encode() + b"=", SECURE_SESSION.encode() + b"=")


def cookies(scope: Mapping[str, Any], name: str) -> Iterator[str]:
    """Every value of the cookie `name`. If there are several, another host of the domain has set one of them."""
    encoded = name.encode()
    return (value.decode("latin-1") for cookie, value in _pairs(scope) if cookie == encoded)


def preferences(scope: Mapping[str, Any]) -> Preferences:
    """The preferences in the cookies of a request."""
    values = dict(_pairs(scope))
    return Preferences(values.get(b"language", b"").decode("latin-1"), _THEMES.get(values.get(b"theme", b"")))


def _pairs(scope: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    """The names and values of all cookies."""
    for key, line in scope["headers"]:
        if key == b"cookie":
            for pair in line.split(b";"):
                name, _, value = pair.strip().partition(b"=")
                yield name, value


def session_name(secure: bool) -> str:
    """The name of the session cookie. `secure`: the site is served over TLS."""
    return SECURE_SESSION if secure else SESSION


def has_session(scope: Mapping[str, Any]) -> bool:
    """Whether the request has a session cookie, valid or not."""
    return any(key == b"cookie" and any(name in line for name in _SESSIONS) for key, line in scope["headers"])


def session_cookie(token: str, lifetime: timedelta, secure: bool) -> Cookie:
    """The session cookie with `token`. An empty token deletes the cookie."""
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
    """The cookie that stores a chosen language or theme."""
    return Cookie(key=name, value=value, max_age=PREFERENCE_S, path="/", secure=secure, httponly=True, samesite="lax")
