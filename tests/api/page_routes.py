"""Every route for browsers, from the application's own table: a new page is attacked without being named here."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple, get_args

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute

from api.auth.permissions import RULES, Action
from api.pages.well_known import GUESSED
from api.routes import DEPENDENCIES, PAGES

Values = Mapping[str, Sequence[str]]
BADGES = [f"{kind}.{form}" for kind in ("status", "uptime", "response") for form in ("svg", "json")]
FIXED: Values = {"language": ["ko"], "theme": ["dark"]}
"""Parameters of paths that name nothing of the database."""


class PageRoute(NamedTuple):
    """One method of one path; `query` are the names of what it reads of the query."""

    method: str
    path: str
    action: Action
    query: tuple[str, ...]
    browser: bool
    """Whether it looks at who asks."""

    @property
    def public(self) -> bool:
        return RULES[self.action].least is None

    def paths(self, values: Values) -> Iterator[str]:
        """With every value that its parameters have."""
        names = re.findall(r"{(\w+):\w+}", self.path)
        known = {**FIXED, **values}
        if self.path.startswith("/badges/"):
            known["name"] = BADGES
        assert set(names) <= set(known), f"{self.path}: say in hostile_site.py what a {names} is"
        for chosen in product(*(known[name] for name in names)):
            path = self.path
            for name, value in zip(names, chosen, strict=True):
                path = re.sub(rf"{{{name}:\w+}}", value, path)
            yield path


@cache
def page_routes() -> tuple[PageRoute, ...]:
    """Those of PAGES but for /static/, whose files are the program's own."""
    found = []
    for route in Litestar([module.router for module in PAGES], dependencies=DEPENDENCIES, openapi_config=None).routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            for method in sorted(handler.http_methods & {"GET", "POST", "PUT", "PATCH", "DELETE"}):
                if not route.path.startswith("/static/"):
                    action = handler.opt["action"]
                    browser = bool(handler.opt.get("browser"))
                    query = tuple(_query(handler, route.path))
                    found.append(PageRoute(str(method), route.path, action, query, browser))
    return tuple(found)


def pages() -> list[PageRoute]:
    """What is asked for by GET and shows something; /language/, /theme/ and what is only guessed send on."""
    return [
        route
        for route in page_routes()
        if route.method == "GET" and route.path.split("/")[1] not in _SENDING_ON and route.path not in GUESSED
    ]


_SENDING_ON = ("language", "theme", "favicon.ico")


def _query(handler: HTTPRouteHandler, path: str) -> Iterator[str]:
    for name, parameter in inspect.signature(handler.fn).parameters.items():
        if name in ("request", "state") or f"{{{name}:" in path:
            continue
        given = [part for part in get_args(parameter.annotation) if isinstance(part, QueryParameter)]
        yield next((part.name for part in given if part.name), name)


def described(answer: Any) -> str:
    return f"{answer.request.method} {answer.request.url.raw_path.decode()} -> {answer.status_code}"
