"""The cookies of a browser: the session, the chosen language and the chosen look. Nothing else is ever set.

The session's cookie is HttpOnly and SameSite=Lax. Over TLS its name begins with `__Host-`, which a browser takes from
this host only, over TLS only and for all paths: no neighbour under the same domain can put another one in its place.
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
    """What somebody has chosen for their browser, nothing where they have not."""

    language: str
    theme: Theme | None


_THEMES = {theme.encode(): theme for theme in THEMES}
_SESSIONS = (SESSION.encode() + b"=", SECURE_SESSION.encode() + b"=")


def cookies(scope: Mapping[str, Any], name: str) -> Iterator[str]:
    """Every value that came along under `name`: two mean that somebody has put one in."""
    wanted = name.encode()
    return (value.decode("latin-1") for own, value in _pairs(scope) if own == wanted)


def preferences(scope: Mapping[str, Any]) -> Preferences:
    given = dict(_pairs(scope))
    return Preferences(given.get(b"language", b"").decode("latin-1"), _THEMES.get(given.get(b"theme", b"")))


def _pairs(scope: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for key, line in scope["headers"]:
        if key == b"cookie":
            for pair in line.split(b";"):
                name, _, value = pair.strip().partition(b"=")
                yield name, value


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
