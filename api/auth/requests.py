"""The type of requests in routes, and the user of a request."""

from litestar import Request
from litestar.datastructures import State

from api.auth.permissions import Principal, unauthorized

ApiRequest = Request[Principal | None, None, State]
"""`user` is None for an anonymous client."""


def principal_of(request: ApiRequest) -> Principal:
    """The user of a request whose action needs one. Raises 401 if there is none."""
    if request.user is None:
        raise unauthorized("log_in")
    return request.user
