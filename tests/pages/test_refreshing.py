"""An open page is refreshed, and never by a response that is older than the page, whatever state the server is in."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.api.conftest import User
from tests.pages.sites import OPEN_INCIDENT
from tests.pages.visits import OpenPage

Db = psycopg.AsyncConnection[Any]
OWN_SCRIPT = "script[type=module][src*='/js/']"


async def run_in(page: Page, name: str, source: str) -> Any:
    """Runs `source` with the module file of that name as `module`: a second instance, if the page has a bundle."""
    own = await page.locator(OWN_SCRIPT).first.get_attribute("src") or ""
    return await page.evaluate(f"import('{own.rpartition('/')[0]}/{name}').then((module) => {{ {source} }})")


async def refresh(page: Page, *ids: str) -> None:
    await run_in(page, "refresh.js", f"module.refreshSoon(...{json.dumps(ids)})")


class Server:
    """Counts the requests of scripts. Responds with `answer` if it is set, otherwise lets the server respond."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Callable[[Route], Awaitable[None]] | None = None

    async def __call__(self, route: Route) -> None:
        if route.request.resource_type == "document":
            await route.continue_()
            return
        self.asked += 1
        await (self.answer or Route.continue_)(route)


async def test_every_page_is_refreshed_when_it_is_no_longer_a_snapshot(open_page: OpenPage) -> None:
    page = await open_page("/history")
    await page.clock.install()
    past = True

    async def answer(route: Route) -> None:
        live = await route.fetch()
        text = (await live.text()).replace(
            'data-snapshot="live"', 'data-snapshot="past"' if past else 'data-snapshot="live"'
        )
        await route.fulfill(response=live, body=text)

    for path in ("/history", "/uptime", f"/incidents/{OPEN_INCIDENT}", "/", "/services/demo-slow"):
        past = True
        await page.route("**" + path, answer)
        await page.goto(path)
        await expect(page.locator("#snapshot")).to_be_visible()
        async with page.expect_response("**" + path):
            await page.clock.run_for(16_000)
        await expect(page.locator("#snapshot")).to_be_visible()
        past = False
        async with page.expect_response("**" + path):
            await page.clock.run_for(16_000)
        await expect(page.locator("#snapshot")).to_be_hidden()


async def of_another_version(route: Route) -> None:
    fresh = await route.fetch()
    await route.fulfill(response=fresh, body=(await fresh.text()).replace("/static/", "/static/0"))


async def test_a_page_of_another_version_is_loaded_as_a_whole(open_page: OpenPage, reporter: User) -> None:
    """Unless a form has unsaved input: then the page offers to reload."""
    server = Server()
    server.answer = of_another_version
    page = await open_page("/history")
    await page.route("**/history", server)
    async with page.expect_event("load"):
        await refresh(page, "history")

    path = f"/console/incidents/{OPEN_INCIDENT}"
    page = await open_page(path, user=reporter)
    await page.route("**" + path, server)
    text = page.locator("textarea").last
    await text.fill("It is the cable")
    await refresh(page, "timeline")
    await expect(page.locator("#outdated")).to_contain_text("This page has changed.")
    await expect(text).to_have_value("It is the cable")
    page.on("dialog", lambda dialog: dialog.accept())
    async with page.expect_event("load"):
        await page.get_by_role("button", name="Reload").click()


async def test_the_refusal_of_a_room_is_not_the_response_to_a_message(open_page: OpenPage) -> None:
    page = await open_page("/history")
    heard: list[str] = []

    def serve(socket: WebSocketRoute) -> None:
        def hear(message: str | bytes) -> None:
            heard.append(json.loads(message)["event"])
            for event in ("error", "saved"):  # the room is refused, then comes the answer
                socket.send(json.dumps({"event": event, "data": {"error": "no", "timestamp": "now"}, "seq": 0}))

        socket.on_message(hear)
        socket.send(json.dumps({"event": "hello", "data": {"id": "x"}, "seq": 0}))

    await page.route_web_socket("**/ws?rooms=incident-X*", serve)
    answer = await run_in(
        page,
        "live.js",
        """const feed = module.connect({ rooms: ["incident-X"] });
        return new Promise((resolve, reject) => {
          feed.on("connected", () => feed.send("auto-save", {}).then(resolve, reject));
        });""",
    )
    assert (heard, answer["timestamp"]) == (["auto-save"], "now")


async def test_a_connection_that_fails_from_the_beginning_is_reported(open_page: OpenPage, reporter: User) -> None:
    page = await open_page("/console/incidents", user=reporter, expected=["503"])
    await page.clock.install()
    await page.route("**/live-token", lambda route: route.fulfill(status=503))
    async with page.expect_response("**/live-token"):
        await page.reload()
    await page.clock.run_for(2000)
    await expect(page.locator("#connection")).to_be_visible()
    await page.unroute("**/live-token")
    await page.clock.run_for(15_000)
    await expect(page.locator("#connection")).to_be_hidden()
