"""Request bodies, which must be JSON of the expected type, and the Allow header of OPTIONS."""

from typing import Any

from litestar import Request
from litestar.datastructures import MutableScopeHeaders
from litestar.exceptions import SerializationException
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

from api.rest.errors import ApiError, invalid
from api.rest.problems import FieldProblem
from api.rest.validation import converted


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body must have the Content-Type application/json: pages of other origins can send forms and plain
    text without a CORS preflight request, but not JSON.

    The body is converted strictly. Litestar would convert 0 to false, "60" to 60 and a number to a time.
    """

    async def json(self) -> Any:
        """The body, converted to the type of the route's `data`. Raises ApiError 415 for another Content-Type, 400 if
        it is invalid."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415)
        try:
            body = await super().json()
        except (SerializationException, UnicodeDecodeError):
            raise invalid(FieldProblem.of("body", "not_json")) from None
        except RecursionError:
            raise invalid(FieldProblem.of("body", "nested_too_deeply")) from None
        expected = self.route_handler.parsed_data_field
        return body if expected is None else converted(body, expected.annotation)


async def add_allow_header(message: Message, scope: Scope) -> None:
    """Sets Allow in the response to OPTIONS to the methods of all handlers of the path. Litestar sets those of one
    handler."""
    if scope.get("method") != "OPTIONS" or message["type"] != "http.response.start":
        return
    path = scope.get("path_template")
    for route in scope["litestar_app"].routes:
        if isinstance(route, HTTPRoute) and route.path_format == path:
            methods = route.methods | ({"HEAD"} if "GET" in route.methods else set())
            MutableScopeHeaders.from_message(message)["Allow"] = ", ".join(sorted(methods))
