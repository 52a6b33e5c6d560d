"""What is kept in memory, without a server around it: an application that can be held back, and a way to ask."""

from typing import Any

import anyio

from api.answer_cache import Admit, Answers
from api.answers import Cacheable, Change
from api.edge import Headers, Origins
from api.metrics import Metrics

EVERY_CHANGE: frozenset[Change] = frozenset({"checks", "event", "services"})


class Slow:
    """An application whose answers can be held back; it counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.body = b"first"
        self.status = 200
        self.action = ""
        """What the guard of a route says that was done (api/security.py)."""
        self.go = anyio.Event()
        self.go.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        body, status = self.body, self.status
        await self.go.wait()
        scope.setdefault("state", {})["action"] = self.action
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def ask(
    app: Any, path: str = "/a", query: bytes = b"", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> Any:
        await anyio.sleep_forever()

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await app({"type": "http", "method": method, "path": path, "query_string": query, "headers": raw}, receive, send)
    return told[0]["status"], {name.decode(): value.decode() for name, value in told[0]["headers"]}, told[1]["body"]


async def admit_all(scope: Any, send: Any) -> Headers:
    return []


def cache(
    app: Any,
    *routes: Cacheable,
    admit: Admit = admit_all,
    metrics: Metrics | None = None,
    site_url: str | None = None,
) -> Answers:
    routes = routes or (Cacheable("/a", EVERY_CHANGE, frozenset({"x", "y"})),)
    return Answers(app, routes, Origins((), site_url=site_url), metrics or Metrics(), admit, tells_source=True)
