"""The error page after a form was sent: it holds what was entered, and sends it again.

It is made from the request alone, without the database: while that is away, and after a session has ended. Passwords
are not repeated.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from litestar import Request, Response
from litestar.exceptions import HTTPException

from api.auth.csrf import form_token
from api.pages.forms import TOKEN, form_fields
from api.rest.errors import ApiError, ClientLeft
from sql import OperationalError

LABELS: Mapping[str, str] = {
    "title": "console_incidents.title",
    "description": "console_incidents.description",
    "reporter": "console_incidents.reporter",
    "detectionCriteria": "console_incidents.detectionCriteria",
    "postmortem": "console_incidents.postmortem",
    "update": "console_incidents.update",
    "text": "console_incidents.comment",
    "name": "services.name",
    "endpointUrl": "services.url",
    "headers": "services.headers",
    "body": "services.body",
    "data.title": "templates.incident_title",
    "data.description": "templates.incident_description",
    "data.update": "templates.update",
    "reason": "corrections.reason",
    "username": "users.username",
    "email": "users.email",
    "startsAt": "maintenance.from",
    "endsAt": "maintenance.to",
}
"""The fields that are shown, each with the key of its label. The others are sent along unseen."""
PASSWORDS: Mapping[str, str] = {
    "password": "users.password",
    "currentPassword": "account.current",
    "newPassword": "account.new",
    "again": "account.again",
}
"""Fields that are to be entered once more."""
LONG = 80
"""Characters from which a text is shown in several lines."""


class Entered(NamedTuple):
    name: str
    value: str
    kind: Literal["hidden", "line", "area", "password"]
    label: str | None = None
    """Its key in the catalogue."""


class KeptForm(NamedTuple):
    """`token` is that of the present session where there is one, so that a form of an earlier one can be sent."""

    action: str
    fields: Sequence[Entered]
    token: str


Render = Callable[[KeptForm | None], bytes]


class KeptFormResponse(Response[None]):
    """The page that `render` makes of what was entered; of None where that cannot be read or is nothing."""

    def __init__(self, render: Render, status_code: int, headers: Mapping[str, str]) -> None:
        super().__init__(None, status_code=status_code, headers=dict(headers), media_type="text/html")
        self._render = render

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **_: Any) -> Any:
        """An ASGI application: Litestar's handlers of exceptions cannot wait for the body of a request."""

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            html = self._render(await _kept(request))
            page = Response(html, status_code=self.status_code, headers=self.headers, media_type="text/html")
            await page.to_asgi_response(app=None, request=request)(scope, receive, send)

        return answer


async def _kept(request: Request[Any, Any, Any]) -> KeptForm | None:
    try:
        body = await request.body()
    except (ApiError, ClientLeft, HTTPException):  # too large, or the client has left
        return None
    return kept_form(request.scope, body, await _present_token(request))


def kept_form(scope: Mapping[str, Any], body: bytes, present: str = "") -> KeptForm | None:
    """What was entered, of a request with this body; None where it is no form or an empty one. `present` is the token
    of the present session, where that is known."""
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    try:
        given = form_fields(body, kind.decode("latin-1"))
    except ApiError:
        return None
    fields = [entered(name, value) for name, value in given if name != TOKEN]
    if not fields:
        return None
    token = present or next((value for name, value in given if name == TOKEN), "")
    query = scope["query_string"].decode("latin-1")
    path = "/" + quote(scope["path"].lstrip("/"), safe="/:@")  # `//` would begin the name of another host
    return KeptForm(path + (f"?{query}" if query else ""), fields, token)


def entered(name: str, value: str) -> Entered:
    """How a field is shown."""
    if name in PASSWORDS:
        return Entered(name, "", "password" if value else "hidden", PASSWORDS[name])
    if name not in LABELS:
        return Entered(name, value, "hidden")
    return Entered(name, value, "area" if "\n" in value or len(value) >= LONG else "line", LABELS[name])


async def _present_token(request: Request[Any, Any, Any]) -> str:
    """That of the session that the request is from; empty where that is not known."""
    if request.scope.get("user") is None:
        return ""
    try:
        return await form_token(request)
    except OperationalError:
        return ""
