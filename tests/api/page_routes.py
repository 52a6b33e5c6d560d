"""Every route for browsers, read from the application, so that tests cover a new page without being changed."""

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
"""Values of path parameters that do not refer to rows of the database."""


class PageRoute(NamedTuple):
    """One method of one path. `query`: the names of its query parameters."""

    method: str
    path: str
    action: Action
    query: tuple[str, ...]
    browser: bool
    """Whether the response depends on the session."""

    @property
    def public(self) -> bool:
        return RULES[self.action].least is None

    def paths(self, values: Values) -> Iterator[str]:
        """Yields the path with every combination of the values of its parameters."""
        names = re.findall(r"{(\w+):\w+}", self.path)
        values_by_name = {**FIXED, **values}
        if self.path.startswith("/badges/"):
            values_by_name["name"] = BADGES
        assert set(names) <= set(values_by_name), f"{self.path}: hostile_site.py has no values for all of {names}"
        for chosen in product(*(values_by_name[name] for name in names)):
            path = self.path
            for name, value in zip(names, chosen, strict=True):
                path = re.sub(rf"{{{name}:\w+}}", value, path)
            yield path


@cache
def page_routes() -> tuple[PageRoute, ...]:
    """Returns the routes of PAGES except /static/, whose files are part of the program."""
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
    """Returns the routes that show a page. /language/, /theme/ and the addresses that clients guess only redirect."""
    return [
        route
        for route in page_routes()
        if route.method == "GET" and route.path.split("/")[1] not in _REDIRECTING and route.path not in GUESSED
    ]


_REDIRECTING = ("language", "theme", "favicon.ico")


def _query(handler: HTTPRouteHandler, path: str) -> Iterator[str]:
    for name, parameter in inspect.signature(handler.fn).parameters.items():
        if name in ("request", "state") or f"{{{name}:" in path:
            continue
        given = [part for part in get_args(parameter.annotation) if isinstance(part, QueryParameter)]
        yield next((part.name for part in given if part.name), name)


def described(response: Any) -> str:
    """Returns the request and the status of a response, for the messages of assertions."""
    return f"{response.request.method} {response.request.url.raw_path.decode()} -> {response.status_code}"
