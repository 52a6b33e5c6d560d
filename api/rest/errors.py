"""The one shape of errors, `{error, code, reason, parameters?, details?}`, and the exception that carries it."""

import logging
from collections.abc import Mapping, Sequence
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


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """Every error of this API looks like this. `error` is the English text of `reason` with its `parameters`; `details`
    names the fields of a request that was not valid, of which the first is the text then."""

    error: str
    code: Code
    reason: ProblemCode
    parameters: Mapping[str, Parameter] = {}
    details: Sequence[FieldProblem] = ()


Hint = Literal["origin", "host"]
"""What would mend an error, as its page says it: a text of its own in every language."""


class ApiError(Exception):
    """A request that is refused, with its HTTP status and the reason, whose text is for the client."""

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
    """The client closed its connection before its request was complete. The response reaches nobody; 499 is what nginx
    counts such requests by."""


def code_of(status: int) -> Code:
    """The code that front ends switch on: what the client did wrong where nothing more exact is listed."""
    return _CODES.get(status) or ("SERVER_ERROR" if status >= 500 else "VALIDATION_ERROR")


def invalid(*problems: FieldProblem) -> ApiError:
    """400: each problem names its field; the first one is the message."""
    return ApiError(400, details=problems)


def database_away() -> ApiError:
    return ApiError(503, headers={"Retry-After": str(RETRY_AFTER_S)})


def responses(*statuses: int) -> dict[int, ResponseSpec]:
    """What a route may answer beside its good answer, for its description."""
    return {
        status: ResponseSpec(ErrorBody, description=_DESCRIPTIONS[status], generate_examples=False)
        for status in statuses
    }


assert set(_CODES.values()) < set(get_args(Code))
