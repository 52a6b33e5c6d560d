"""The body of all errors, `{error, code, reason, parameters?, details?}`, and the exception for it."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import msgspec
from litestar.openapi import ResponseSpec

from api.rest.problems import FieldProblem
from sla_monitor.texts.problems import Parameter, ProblemCode, text_of

log = logging.getLogger(__name__)

Code = Literal["VALIDATION_ERROR", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "CONFLICT", "RATE_LIMITED", "SERVER_ERROR"]
RETRY_AFTER_S = 2
CLIENT_LEFT = 499
MAX_BODY_BYTES = 256 * 1024
"""A larger request body is refused with 413."""
BODY_ERRORS = (400, 413, 415)
"""The errors for an invalid body, of every route with a body."""

_CODES: Mapping[int, Code] = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    412: "CONFLICT",
    429: "RATE_LIMITED",
}
_REASONS: Mapping[int, ProblemCode] = {
    400: "invalid_request",
    401: "log_in",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    412: "outdated",
    413: "body_too_large",
    415: "media_type",
    503: "database_away",
}
_DESCRIPTIONS: Mapping[int, str] = {
    400: "The request is invalid; `details` names each invalid field",
    401: "The token is missing, invalid, expired or revoked; at login: wrong user name or password",
    403: "The role of the user or API token does not permit the request",
    404: "The object does not exist, or the client may not see it",
    409: "The request conflicts with stored data; `reason` names the conflict",
    413: "The body is larger than 256 KiB",
    415: "The Content-Type of the body is not application/json",
    429: "The rate limit is used up; `Retry-After` is the time to wait in seconds",
    503: "The database cannot be reached, or the server is overloaded; `Retry-After` is the time to wait in seconds",
}


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """The body of every error. `error`: the English text of `reason` with its `parameters`. `details`: the invalid
    fields of the request; `error` is then the text of the first one."""

    error: str
    code: Code
    reason: ProblemCode
    parameters: Mapping[str, Parameter] = {}
    details: Sequence[FieldProblem] = ()


Hint = Literal["origin", "host"]
"""The advice on the page of an error: which setting to change."""


class ApiError(Exception):
    """An error response: the HTTP status, the reason with its parameters, the invalid fields and further headers."""

    def __init__(
        self,
        status: int,
        reason: ProblemCode | None = None,
        details: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        hint: Hint | None = None,
        **parameters: Parameter,
    ) -> None:
        self.status = status
        self.reason = reason or _REASONS.get(status) or ("server_error" if status >= 500 else "invalid_request")
        self.parameters = parameters
        self.details = tuple(details)
        self.headers = dict(headers or {})
        self.hint = hint
        named = self.details[0] if self.reason == "invalid_request" and self.details else None
        super().__init__(f"{named.field}: {named.message}" if named else text_of(self.reason, parameters))

    @property
    def body(self) -> ErrorBody:
        return ErrorBody(str(self), code_of(self.status), self.reason, self.parameters, self.details)


class ClientLeft(Exception):  # noqa: N818  # no error of this program
    """The client closed its connection before its request was complete. No response is sent; the metrics count status
    499, as nginx does."""


def code_of(status: int) -> Code:
    """The code of a status. Other 5xx are SERVER_ERROR, other 4xx VALIDATION_ERROR."""
    return _CODES.get(status) or ("SERVER_ERROR" if status >= 500 else "VALIDATION_ERROR")


def invalid(*problems: FieldProblem) -> ApiError:
    """The 400 for invalid fields. Its text is that of the first problem."""
    return ApiError(400, details=problems)


def raise_problems(problems: Sequence[FieldProblem]) -> None:
    """Raises the 400 for invalid fields if there are problems."""
    if problems:
        raise invalid(*problems)


def database_away() -> ApiError:
    """The 503 while the database cannot be reached."""
    return ApiError(503, headers={"Retry-After": str(RETRY_AFTER_S)})


def error_responses(statuses: Iterable[int]) -> dict[int, ResponseSpec]:
    """The error responses of a route with these statuses, for the OpenAPI document."""
    return {
        status: ResponseSpec(ErrorBody, description=_DESCRIPTIONS[status], generate_examples=False)
        for status in sorted(statuses)
    }


assert set(_CODES.values()) < set(get_args(Code))
