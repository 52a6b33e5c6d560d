"""One error shape, from wherever it is raised to the client: `{error, code, details?}`.

Code that meets a problem raises `ApiError` (or a library does, and `describe` says what it means); nothing of a stack,
a statement or a path reaches the answer. What nobody foresaw is a 500 that the log explains under the request's id.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, get_args

import msgspec
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter
from psycopg import DataError
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction

from sql import OperationalError

log = logging.getLogger(__name__)

Code = Literal["VALIDATION_ERROR", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "CONFLICT", "RATE_LIMITED", "SERVER_ERROR"]
RETRY_AFTER_S = 2
CLIENT_LEFT = 499

_CODES: Mapping[int, Code] = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    412: "CONFLICT",
    429: "RATE_LIMITED",
}
_MESSAGES: Mapping[int, str] = {
    400: "The request is not valid",
    404: "Not found",
    405: "This method is not allowed here",
    413: "The body is too large",
    415: "Send the body as application/json",
    503: "The database cannot be reached at the moment; try again",
}
_DESCRIPTIONS: Mapping[int, str] = {
    400: "The request is not valid; `details` names the fields",
    401: "Nobody is logged in, or the token is not good (any more)",
    403: "The role is too low",
    404: "There is no such thing",
    409: "It contradicts what is there",
    412: "Another user saved first",
    413: "The body is too large",
    415: "The body is not application/json",
    429: "Too many requests; `Retry-After` tells when to try again",
    503: "The database cannot be reached, or too many ask at once; `Retry-After` tells when to try again",
}


class FieldProblem(msgspec.Struct, frozen=True):
    """What is wrong with one field of a request: `intervalSeconds`, `tags[2]`, `body` for the whole of it."""

    field: str
    message: str


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """Every error of this API looks like this; `details` names the fields of a request that was not valid."""

    error: str
    code: Code
    details: Sequence[FieldProblem] = ()


Hint = Literal["origin", "host"]
"""What would mend an error, as its page says it: a text of its own in every language."""


class ApiError(Exception):
    """A refusal with its HTTP status; the text is for the client's eyes."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        details: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        hint: Hint | None = None,
    ) -> None:
        super().__init__(message or _MESSAGES.get(status) or HTTPStatus(status).phrase)
        self.status = status
        self.details = tuple(details)
        self.headers = dict(headers or {})
        self.hint = hint

    @property
    def body(self) -> ErrorBody:
        return ErrorBody(str(self), code_of(self.status), self.details)


class ClientLeft(Exception):  # noqa: N818  # no error of this program
    """The client closed its connection before its request was complete. The response reaches nobody; 499 is what nginx
    counts such requests by."""


def code_of(status: int) -> Code:
    """The code that front ends switch on: what the client did wrong where nothing more exact is listed."""
    return _CODES.get(status) or ("SERVER_ERROR" if status >= 500 else "VALIDATION_ERROR")


def invalid(*problems: FieldProblem) -> ApiError:
    """400: each problem names its field; the first one is the message."""
    first = problems[0]
    return ApiError(400, f"{first.field}: {first.message}", problems)


def database_away() -> ApiError:
    return ApiError(503, headers={"Retry-After": str(RETRY_AFTER_S)})


def describe(error: BaseException, names: Mapping[str, str] | None = None) -> ApiError | None:
    """What an exception means to the client; None for a fault of ours. `names` are those of parameters that the client
    knows by another one than Python does."""
    match error:
        case ApiError():
            return error
        case ClientLeft():
            return ApiError(CLIENT_LEFT, "The client left before its request was complete")
        case ValidationException():
            return invalid(*(_problem(item, names or {}) for item in _items(error.extra)))
        case SerializationException():
            return invalid(FieldProblem("body", "not valid JSON"))
        case HTTPException() if isinstance(error.__cause__, SerializationException):
            return invalid(FieldProblem("body", "not valid JSON"))
        case HTTPException() if error.status_code < 500:
            return ApiError(error.status_code, headers=error.headers)
        case OperationalError() | ReadOnlySqlTransaction() | IdleInTransactionSessionTimeout():
            return database_away()
        case DataError():  # a value that our own limits did not foresee
            return ApiError(400, "A value cannot be stored")
    return None


def responses(*statuses: int) -> dict[int, ResponseSpec]:
    """What a route may answer beside its good answer, for its description."""
    return {
        status: ResponseSpec(ErrorBody, description=_DESCRIPTIONS[status], generate_examples=False)
        for status in statuses
    }


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Litestar's handler for every exception: JSON, or a page for those who asked for one."""
    described = _logged(request, error)
    site = request.app.state.site
    html = site.error_page(request.scope, described)
    if html is None:
        return _json(described)
    if described.status == 401 and request.method == "GET":
        return Response(None, status_code=303, headers={"Location": site.login_path(request.scope)})
    headers = {name: value for name, value in described.headers.items() if name != "WWW-Authenticate"}
    headers["Content-Security-Policy"] = site.policy
    return Response(html, status_code=described.status, headers=headers, media_type="text/html")


def respond_to_program(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The handler of what only programs read, whatever they say they accept."""
    return _json(_logged(request, error))


def _logged(request: Request[Any, Any, Any], error: Exception) -> ApiError:
    """What the client is told; the log is told the rest."""
    described = describe(error, _query_names(request))
    if described is None:
        request_id = request.scope["state"].get("request_id")
        log.error("request %s failed: %s", request_id, type(error).__name__, exc_info=error)
        return ApiError(500, "Something went wrong on our side")
    if isinstance(error, OperationalError):
        log.warning("the database cannot be reached: %s", type(error).__name__)
    return described


def _json(error: ApiError) -> Response[Any]:
    return Response(error.body, status_code=error.status, headers=error.headers, media_type=MediaType.JSON)


def _items(extra: Any) -> Sequence[Mapping[str, str]]:
    return extra if isinstance(extra, list) and extra else [{"key": "request", "message": "not valid"}]


_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `([^`]{1,100})`")
_KIND_OF = {"Object missing required field": "is required", "Object contains unknown field": "is not a field of this"}


def _query_names(request: Request[Any, Any, Any]) -> dict[str, str]:
    """By the parameter of the function, what its route calls it in the query."""
    scope: Mapping[str, Any] = request.scope
    if "route_handler" not in scope:  # no route was found
        return {}
    fields = scope["route_handler"].parsed_fn_signature.parameters
    given = {name: field.kwarg_definition for name, field in fields.items()}
    return {name: told.name for name, told in given.items() if isinstance(told, QueryParameter) and told.name}


def _problem(item: Mapping[str, str], names: Mapping[str, str]) -> FieldProblem:
    """Litestar names a field by its Python name or by `data`; clients know it by its JSON name."""
    message, key = item["message"], item.get("key", "request")
    if named := _NAMED.match(message):
        parent = key.removeprefix("data").strip(".")
        field = f"{parent}.{named[1]}" if parent else named[1]
        return FieldProblem(field, next(said for text, said in _KIND_OF.items() if message.startswith(text)))
    if key == "data":
        return FieldProblem("body", "a JSON object is required" if message == "'data'" else message)
    return FieldProblem(names.get(key) or camel(key.removeprefix("data.")), message)


def camel(name: str) -> str:
    """`start_date` -> `startDate`, `from_` -> `from`."""
    head, *tail = name.strip("_").split("_")
    return head + "".join(part.capitalize() for part in tail)


assert set(_CODES.values()) < set(get_args(Code))
