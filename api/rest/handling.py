"""Turns exceptions into responses: an `ApiError` as it is, known errors of libraries as 4xx or 503, all others as 500.

A response contains no stack trace, statement or path. For a 500 the log has these, with the id of the request.
"""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from psycopg import DataError
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction

from api.rest.errors import CLIENT_LEFT, ApiError, ClientLeft, database_away, invalid
from api.rest.parameters import parameter_problems
from api.rest.parts import Part
from api.rest.problems import FieldProblem
from api.rest.request_state import request_state
from sla_monitor.texts.problems import ProblemCode
from sql import OperationalError

log = logging.getLogger(__name__)


class ErrorPages(Protocol):
    """Renders errors as pages (api/pages/site.py)."""

    policy: str
    """The content security policy of pages."""

    def error_page(self, scope: Mapping[str, Any], error: ApiError) -> bytes | None:
        """The page of an error; None if the client does not accept a page."""

    def error_after_form(self, scope: Mapping[str, Any], error: ApiError, headers: Mapping[str, str]) -> Response[Any]:
        """The page of an error after a form was sent, with the values of the form."""

    def login_path(self, scope: Mapping[str, Any]) -> str:
        """The path of the login page that returns to the requested page."""


ERROR_PAGES = Part[ErrorPages]("error_pages")
_FOREIGN: frozenset[ProblemCode] = frozenset({"foreign_page", "foreign_origin"})
"""The reasons of refusing requests from pages of other sites. Their error page does not repeat the form, which such a
page may have filled in."""


def describe(error: BaseException, request: Request[Any, Any, Any] | None = None) -> ApiError | None:
    """The error response for an exception; None for a defect of this program. `request`: the request whose parameters
    Litestar has refused."""
    match error:
        case ApiError():
            return error
        case ClientLeft():
            return ApiError(CLIENT_LEFT, "client_left")
        case ValidationException():
            return invalid(*parameter_problems(error, request))
        case SerializationException():
            return invalid(FieldProblem.of("body", "not_json"))
        case HTTPException() if isinstance(error.__cause__, SerializationException):
            return invalid(FieldProblem.of("body", "not_json"))
        case HTTPException() if error.status_code < 500:
            return ApiError(error.status_code, headers=error.headers)
        case OperationalError() | ReadOnlySqlTransaction() | IdleInTransactionSessionTimeout():
            return database_away()
        case DataError():  # a value that the validation of fields has accepted
            return ApiError(400, "not_storable")
    return None


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The exception handler of all routes: responds with JSON, or outside the API with a page for clients that accept
    HTML."""
    described = _logged(request, error)
    pages = ERROR_PAGES.of(request)
    html = pages.error_page(request.scope, described)
    if html is None:
        return _json(described)
    if described.status == 401 and request.method == "GET":
        return Response(None, status_code=303, headers={"Location": pages.login_path(request.scope)})
    headers = {name: value for name, value in described.headers.items() if name != "WWW-Authenticate"}
    headers["Content-Security-Policy"] = pages.policy
    if request.method == "POST" and described.reason not in _FOREIGN:
        return pages.error_after_form(request.scope, described, headers)
    return Response(html, status_code=described.status, headers=headers, media_type="text/html")


def respond_to_program(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The exception handler of routes for programs: responds with JSON, also if the Accept header prefers HTML."""
    return _json(_logged(request, error))


def _logged(request: Request[Any, Any, Any], error: Exception) -> ApiError:
    """The error response for an exception. Defects and an unreachable database are logged."""
    described = describe(error, request)
    if described is None:
        request_id = request_state(request.scope).get("request_id")
        log.error("request %s failed: %s", request_id, type(error).__name__, exc_info=error)
        return ApiError(500)
    if isinstance(error, OperationalError):
        log.warning("the database cannot be reached: %s", type(error).__name__)
    return described


def _json(error: ApiError) -> Response[Any]:
    return Response(error.body, status_code=error.status, headers=error.headers, media_type=MediaType.JSON)
