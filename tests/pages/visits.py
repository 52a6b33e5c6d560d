"""Pages opened as people open them, in a browser that watches them: what goes wrong in one fails its test."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import anyio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, WebSocket

from api.app import serve
from api.edge.cookies import SESSION
from sla_monitor.settings import Settings
from tests.api.conftest import Api, User, signer
from tests.api.shared import SHARED

Language = Literal["en", "ko"]
Theme = Literal["light", "dark"]
Device = Literal["desktop", "phone"]

LOCALES: dict[Language, str] = {"en": "en-US", "ko": "ko-KR"}
DEVICES: dict[Device, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {
        "viewport": {"width": 360, "height": 780},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}
PATIENCE_MS = 60_000
LOCAL = ("about", "blob", "data", "chrome-error")


class OpenPage(Protocol):
    """Opens a page of the test's site in a browser of its own: cookies and storage are not shared with the next one.

    `at`: another API than the test's. `status`: what the page must answer with. `expected`: regular expressions for
    what may go wrong in it, as it is told (`console: …`, `failed: …`).
    """

    async def __call__(
        self,
        path: str = "/",
        *,
        at: Api | str | None = None,
        language: Language = "en",
        theme: Theme = "light",
        device: Device = "desktop",
        javascript: bool = True,
        user: User | None = None,
        zone: str = "UTC",
        status: int = 200,
        expected: Sequence[str] = (),
    ) -> Page: ...


@asynccontextmanager
async def visiting(browser: Browser, site: Api | str) -> AsyncIterator[OpenPage]:
    """Closes its pages in the end, and fails where something went wrong in one of them."""
    watches: list[Watch] = []

    async def open_page(
        path: str = "/",
        *,
        at: Api | str | None = None,
        language: Language = "en",
        theme: Theme = "light",
        device: Device = "desktop",
        javascript: bool = True,
        user: User | None = None,
        zone: str = "UTC",
        status: int = 200,
        expected: Sequence[str] = (),
    ) -> Page:
        address = _address(at or site)
        context = await browser.new_context(
            base_url=address,
            locale=LOCALES[language],
            timezone_id=zone,
            color_scheme=theme,
            reduced_motion="reduce",  # a colour that is measured while it fades in is none
            java_script_enabled=javascript,
            **DEVICES[device],
        )
        watches.append(Watch(context, address, expected))
        context.set_default_timeout(PATIENCE_MS)
        if user is not None:
            await log_in(context, address, user)
        page = await context.new_page()
        answer = await page.goto(path)
        assert answer is not None and answer.status == status, f"{path}: {answer and answer.status}"
        return page

    try:
        yield open_page
    finally:
        for watch in watches:
            await watch.context.close()
    complaints = [complaint for watch in watches for complaint in watch.complaints()]
    assert not complaints, "went wrong in the browser:\n" + "\n".join(complaints)


async def log_in(context: BrowserContext, address: str, user: User) -> None:
    """Gives the browser the session that the user has, as the form of /login would."""
    token = await signer().issue("browser", user.user_id, user.session_id, timedelta(hours=1))
    await context.add_cookies([{"name": SESSION, "value": token, "url": address, "httpOnly": True, "sameSite": "Lax"}])


@asynccontextmanager
async def serving(settings: Settings, database_url: str) -> AsyncIterator[None]:
    """The same API again, on its port."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, settings, database_url, None, SHARED)
        yield
        tasks.cancel_scope.cancel()


class Watch:
    """Collects the errors of the pages of one browser context until it is closed."""

    def __init__(self, context: BrowserContext, address: str, expected: Sequence[str]) -> None:
        self.context = context
        self._host = urlsplit(address).netloc
        self._expected = expected
        self._seen: list[str] = []
        self._refused: set[str] = set()
        self._refusals: list[tuple[str, str]] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self._seen.append(f"script: {error.error}"))
        context.on("request", lambda request: self._asked(request.url))
        context.on("requestfailed", self._failed)
        context.on("response", lambda response: self._answered(response.request, response.status))
        context.on("page", lambda page: page.on("websocket", self._connected))

    def complaints(self) -> list[str]:
        """All that was not expected."""
        refusals = [text for url, text in self._refusals if url not in self._refused]
        return [
            complaint
            for complaint in self._seen + refusals
            if not any(re.search(pattern, complaint) for pattern in self._expected)
        ]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        url = message.location["url"]
        complaint = f"console: {message.text} ({url})"
        # A page that says what is wrong with a form, or that there is no such page, is a good page.
        if re.search(r"status of 4\d\d", message.text):
            self._refusals.append((url, complaint))
        else:
            self._seen.append(complaint)

    def _answered(self, request: Request, status: int) -> None:
        if 400 <= status < 500 and request.is_navigation_request():
            self._refused.add(request.url)

    def _failed(self, request: Request) -> None:
        # By the page itself: it was left, or closed. Or by a policy: the console tells of those that matter, not of
        # modules that are to be loaded ahead where scripts are off.
        if request.failure not in ("net::ERR_ABORTED", "csp"):
            self._seen.append(f"failed: {request.method} {request.url}: {request.failure}")

    def _connected(self, socket: WebSocket) -> None:
        self._asked(socket.url)

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in LOCAL and parts.netloc != self._host:
            self._seen.append(f"foreign: {url}")


def _address(at: Api | str) -> str:
    return at if isinstance(at, str) else str(at.http.base_url)
