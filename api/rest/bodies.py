"""How a body is read: JSON only, and whatever cannot be one is the client's mistake, not ours. What OPTIONS tells."""

from typing import Any

from litestar import Request
from litestar.datastructures import MutableScopeHeaders
from litestar.exceptions import SerializationException
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

from api.rest.errors import ApiError, invalid
from api.rest.problems import FieldProblem
from api.rest.validation import converted

MAX_BODY_BYTES = 256 * 1024


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body must say that it is JSON.

    That is more than tidiness: a page of another origin may send a form or plain text without asking, JSON it may not.
    What it says is taken by its type: Litestar alone would take 0 for false, "60" for 60 and a number for a time.
    """

    async def json(self) -> Any:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415)
        try:
            said = await super().json()
        except (SerializationException, UnicodeDecodeError):
            raise invalid(FieldProblem.of("body", "not_json")) from None
        except RecursionError:
            raise invalid(FieldProblem.of("body", "nested_too_deeply")) from None
        expected = self.route_handler.parsed_data_field
        return said if expected is None else converted(said, expected.annotation)


async def tell_methods(message: Message, scope: Scope) -> None:
    """`Allow` of an answer to OPTIONS: Litestar by itself lists the methods of one function, not of all at the path."""
    if scope.get("method") != "OPTIONS" or message["type"] != "http.response.start":
        return
    path = scope.get("path_template")
    for route in scope["litestar_app"].routes:
        if isinstance(route, HTTPRoute) and route.path_format == path:
            methods = route.methods | ({"HEAD"} if "GET" in route.methods else set())
            MutableScopeHeaders.from_message(message)["Allow"] = ", ".join(sorted(methods))
