"""How a body is read: JSON only, and whatever cannot be one is the client's mistake, not ours."""

from typing import Any

from litestar import Request
from litestar.exceptions import SerializationException

from api.errors import ApiError, FieldProblem, invalid

MAX_BODY_BYTES = 256 * 1024


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body must say that it is JSON.

    That is more than tidiness: a page of another origin may send a form or plain text without asking, JSON it may not.
    """

    async def json(self) -> Any:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415)
        try:
            return await super().json()
        except (SerializationException, UnicodeDecodeError):
            raise invalid(FieldProblem("body", "is not valid JSON")) from None
        except RecursionError:
            raise invalid(FieldProblem("body", "is nested too deeply")) from None
