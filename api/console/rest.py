"""What a form changes goes through REST, in this process: the same limits of a value, rights, audit and events.

The console is one more front end. It speaks for whoever is logged in, with an access token that lives for a minute.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from api.auth.permissions import Principal
from api.auth.requests import ApiRequest
from api.edge.messages import ADMITTED, Message

MINUTE = timedelta(minutes=1)


class Said(msgspec.Struct):
    """An answer of REST; `body` is its JSON, `headers` are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, by field; under "" what has none."""
        if self.ok or not isinstance(self.body, dict):
            return {}
        details = self.body.get("details") or []
        return {item["field"]: item["message"] for item in details} or {"": str(self.body.get("error", ""))}


async def rest(
    request: ApiRequest,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    query: str = "",
) -> Said:
    """Asks REST in the name of who asked for the page. Nothing of it is counted: the page was."""
    user: Principal | None = request.user
    own = {"content-type": "application/json", **{name.lower(): value for name, value in (headers or {}).items()}}
    if user is not None and user.session_id is not None:
        token = await request.app.state.tokens.issue("access", user.user_id, user.session_id, MINUTE)
        own["authorization"] = f"Bearer {token}"
    known = request.scope["state"]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": request.scope["asgi"],
        "http_version": "1.1",
        "method": method,
        "scheme": request.scope["scheme"],
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in own.items()],
        "client": request.scope["client"],
        "server": request.scope["server"],
        "extensions": {},
        "state": {ADMITTED: True, "client": known.get("client"), "request_id": known.get("request_id")},
    }
    content = b"" if body is None else msgspec.json.encode(body)
    answer = _Answer()
    await request.app(scope, _given(content), answer)  # type: ignore[arg-type]  # an ASGI scope is a plain dict
    return answer.said()


def _given(content: bytes) -> Any:
    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    return receive


class _Answer:
    def __init__(self) -> None:
        self._status = 500
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")

    def said(self) -> Said:
        is_json = self._headers.get("content-type", "").startswith("application/json")
        return Said(self._status, self._headers, msgspec.json.decode(self._body) if is_json and self._body else None)
