"""/services/{id} in a browser."""

import re
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.api.conftest import Api, Check, User, now, record, until
from tests.pages.looks import assert_accessible, screenshot
from tests.pages.visits import Device, Language, OpenPage, Theme

HOUR_S, DAY_S = 3600, 86400
CHART = "/response-times?"
DRAWN = """canvas => {
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const colours = new Set();
  for (let at = 0; at < pixels.length; at += 4) {
    if (pixels[at + 3] === 255) colours.add(pixels.slice(at, at + 3).join());
  }
  return [...colours];
}"""
"""The opaque colours in a canvas, as "r,g,b"."""
SERIES_BLUE = {"light": "36,86,184", "dark": "127,176,255"}
FAILED_RED = {"light": "200,50,45", "dark": "240,98,92"}


async def colours(page: Page) -> list[str]:
    found: list[str] = await page.locator("canvas").evaluate(DRAWN)
    return found


async def drawn_in(page: Page, colour: str) -> None:
    """Returns when the chart has the colour."""

    async def is_there() -> bool:
        return colour in await colours(page)

    await until(is_there)


class Window(NamedTuple):
    """What a chart asks for: how long, and by which step."""

    length: float
    step: int


def window(url: str) -> Window:
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    length = datetime.fromisoformat(query["to"]) - datetime.fromisoformat(query["from"])
    return Window(length.total_seconds(), int(query["step"]))


def asked_by(page: Page) -> list[Window]:
    """All that the chart asks for from now on."""
    asked: list[Window] = []
    page.on("request", lambda request: asked.append(window(request.url)) if CHART in request.url else None)
    return asked


async def asked_after(page: Page, act: Callable[[], Awaitable[object]]) -> Window:
    async with page.expect_request(lambda request: CHART in request.url) as asked:
        await act()
    return window((await asked.value).url)


WHOLE_WORDS = "(cells) => cells.length > 0 && cells.every((cell) => cell.offsetHeight < 80)"
"""No cell is so narrow that its words are taken apart."""


@pytest.mark.parametrize(
    ("language", "theme", "device"),
    [("en", "light", "desktop"), ("ko", "dark", "desktop"), ("ko", "light", "phone"), ("en", "dark", "phone")],
)
async def test_it_can_be_read_by_everybody(
    open_page: OpenPage, language: Language, theme: Theme, device: Device
) -> None:
    page = await open_page("/services/demo-slow", language=language, theme=theme, device=device)
    await expect(page.locator("canvas")).to_have_attribute("role", "img")
    await expect(page.locator("#words")).to_be_empty()
    await drawn_in(page, SERIES_BLUE[theme])
    assert await page.evaluate("document.documentElement.scrollWidth <= screen.width")
    await page.locator("#badges-title").scroll_into_view_if_needed()  # their images load when they are to be seen
    await expect(page.locator("details.badge img").last).to_have_js_property("complete", True)
    await assert_accessible(page)
    await screenshot(page, f"service-{device}-{language}-{theme}")
    if device == "phone":
        await page.goto("/services/demo-wrong-certificate")
        assert await page.locator("#outages td").evaluate_all(WHOLE_WORDS)


async def test_periods_views_and_zoom(open_page: OpenPage) -> None:
    page = await open_page("/services/demo-slow")
    await expect(page.locator("canvas")).to_be_visible()

    def button(name: str) -> Locator:
        return page.get_by_role("button", name=name, exact=True)

    assert await asked_after(page, button("7 d").click) == Window(7 * DAY_S + HOUR_S, HOUR_S)  # whole steps
    await expect(button("7 d")).to_have_attribute("aria-pressed", "true")
    await expect(button("24 h")).to_have_attribute("aria-pressed", "false")
    for period, step in (("1 h", 60), ("30 d", 4 * HOUR_S), ("90 d", DAY_S), ("1 y", DAY_S)):
        assert (await asked_after(page, button(period).click)).step == step
    closer = await asked_after(page, lambda: button("Zoom in").press("Enter"))
    assert 182 * DAY_S < closer.length < 185 * DAY_S
    await expect(page.locator("#ranges [aria-pressed=true]")).to_have_count(0)
    await asked_after(page, button("Earlier").click)
    wider = await asked_after(page, button("Zoom out").click)
    assert 365 * DAY_S <= wider.length < 367 * DAY_S
    assert await asked_after(page, button("Reset").click) == Window(DAY_S + 900, 900)
    await expect(button("24 h")).to_have_attribute("aria-pressed", "true")

    asked = asked_by(page)
    await button("Phases").click()
    await expect(page.locator("#legend")).to_contain_text("First byte")
    await expect(page.locator("#legend")).not_to_contain_text("p95")
    assert asked == []  # the points have both


async def test_the_cause_of_an_outage_is_seen_on_a_phone(open_page: OpenPage, reporter: User) -> None:
    page = await open_page("/services/demo-failing", device="phone", user=reporter)
    row = page.locator("#outages tbody tr").first
    for column in range(4):
        box = await row.locator("td").nth(column).bounding_box()
        assert box is not None
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360, column
    await expect(row).to_contain_text("HTTP 500, expected 200")
    await assert_accessible(page, within="#outages")
    await screenshot(page, "outages-phone")


async def test_dragging_zooms_in(open_page: OpenPage) -> None:
    page = await open_page("/services/demo-slow")
    await page.get_by_role("button", name="7 d", exact=True).click()
    await expect(page.locator("#summary")).to_contain_text(re.compile("67[0-9]"))  # a week of them
    box = await page.locator(".u-over").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 50)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60, steps=3)
    length, step = await asked_after(page, page.mouse.up)
    await expect(page.locator("#ranges [aria-pressed=true]")).to_have_count(0)
    assert step == 900  # closer by a quarter: in finer steps
    assert 7 * DAY_S / 4 - HOUR_S < length < 7 * DAY_S / 4 + 2 * HOUR_S


async def test_the_values_of_the_point_under_the_cursor_are_shown(open_page: OpenPage) -> None:
    page = await open_page("/services/demo-slow")
    legend, when = page.locator("#legend"), page.locator("#legend .when")
    await expect(legend).to_contain_text(re.compile("0 of 9[67]"))  # of the whole window, before anybody points
    await expect(when).to_have_text("Whole period")
    await page.locator(".u-over").hover()
    await expect(when).to_contain_text(re.compile(r"\d\d:\d\d"))
    await expect(legend).to_contain_text("0 of 1")


async def test_failed_checks_are_marked(open_page: OpenPage) -> None:
    page = await open_page("/services/demo-failing")
    await drawn_in(page, FAILED_RED["light"])
    healthy = await open_page("/services/demo-healthy")
    await drawn_in(healthy, SERIES_BLUE["light"])
    assert FAILED_RED["light"] not in await colours(healthy)


async def test_what_is_not_known_is_a_gap(open_page: OpenPage) -> None:
    page = await open_page("/services/demo-slow")
    gaps: list[bool] = await page.evaluate(
        """async () => {
          const service = document.querySelector("script[src$='js/service.bundle.js']").src;
          const { withGaps } = await import(service.replace("service.bundle.js", "chart.js"));
          const times = [0, 60, 120, 300, 361].map((second) => new Date(second * 1000).toISOString());
          const points = times.map((time) => ({ time, p50: 1 }));
          return withGaps(points, 60).map(({ p50 }) => p50 === null);
        }"""
    )
    assert gaps == [False, False, False, True, False, False]


async def test_its_colours_follow_the_look(open_page: OpenPage) -> None:
    page = await open_page("/services/demo-slow")
    await drawn_in(page, SERIES_BLUE["light"])
    await page.emulate_media(color_scheme="dark")
    await drawn_in(page, SERIES_BLUE["dark"])
    assert SERIES_BLUE["light"] not in await colours(page)


async def test_the_points_are_a_table_too(open_page: OpenPage) -> None:
    page = await open_page("/services/demo-slow")
    await page.get_by_text("Show the values as a table").click()
    rows = page.locator("#points tbody tr")
    await expect(rows.nth(95)).to_be_visible()
    await page.get_by_role("button", name="90 d", exact=True).click()
    await expect(rows.first.locator("td")).to_have_count(6)
    await page.get_by_role("button", name="Phases").click()
    await expect(rows.first.locator("td")).to_have_count(8)
    told = "() => [document.querySelector('canvas').ariaLabel, document.querySelector('#summary').textContent]"
    label, summary = await page.evaluate(told)  # at once: the answer of 90 days may be on its way
    assert label == f"Chart: {summary}"
    assert re.search(r"median \d+ ms", label)


async def test_the_right_edge_is_alive(
    open_page: OpenPage, site: Api, site_db: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    page = await open_page("/services/demo-healthy")
    await expect(page.locator("#legend")).to_contain_text("0 of")
    await record(site_db, [Check("demo-healthy", now(), ms=None, interval_s=900)])
    await expect(page.locator("#state")).to_have_class("state outage", timeout=20_000)
    await expect(page.locator("#outages")).to_contain_text("ongoing")


async def test_it_says_when_there_is_nothing_and_when_it_failed(open_page: OpenPage) -> None:
    page = await open_page("/services/demo-slow", expected=["503", "ERR_FAILED"])
    await expect(page.locator("#words")).to_be_empty()
    away = True

    async def answer(route: Route) -> None:
        if away:
            await route.fulfill(status=503, body="{}")
        else:
            await route.continue_()

    await page.route("**/services/demo-slow/response-times?**", answer)
    await page.get_by_role("button", name="7 d", exact=True).click()
    await expect(page.locator("#words")).to_contain_text("could not be loaded")
    await expect(page.locator("canvas")).to_be_visible()  # what was known stays
    away = False
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#words")).to_be_empty()
    await page.get_by_role("button", name="1 y", exact=True).click()
    for _ in range(3):
        await page.get_by_role("button", name="Earlier").click()
    await expect(page.locator("#words")).to_have_text("No checks in this period.")
    await expect(page.locator("canvas")).to_be_hidden()


async def test_reporters_see_the_checks_of_a_private_service(open_page: OpenPage, reporter: User) -> None:
    page = await open_page("/services/secret-vault", user=reporter)
    await expect(page.locator("canvas")).to_be_visible()
    await expect(page.locator("#legend")).to_contain_text(re.compile("of 9[67]"))
    await expect(page.locator("#checks tbody tr")).to_have_count(50)
    await page.get_by_role("button", name="Phases").click()
    await page.locator("#days .days").press("ArrowLeft")
    await expect(page.locator(".day-card")).to_contain_text("Downtime")
    await page.keyboard.press("Escape")
    await assert_accessible(page)
    await screenshot(page, "service-reporter")


def _after(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


async def test_strangers_find_no_private_service(open_page: OpenPage) -> None:
    page = await open_page("/services/secret-vault", status=404)
    await expect(page.locator("h1")).to_have_text("Not found")


async def test_snippets_can_be_copied(open_page: OpenPage) -> None:
    page = await open_page("/services/demo-slow")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.locator("details.badge summary").first.click()
    await page.get_by_role("button", name="Copy: Status: Markdown").click()
    copied: str = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("[![demo-slow status](http://127.0.0.1:")


async def test_without_javascript_the_hours_are_a_table(open_page: OpenPage) -> None:
    page = await open_page("/services/demo-slow", javascript=False)
    await expect(page.locator("#chart")).to_be_hidden()
    await expect(page.locator("#summary")).to_contain_text("median")
    await page.get_by_text("Show the last 24 hours as a table").click()
    rows = await page.locator("#points tbody tr").count()
    assert 24 <= rows <= 25
    await expect(page.locator("#days [role=img]")).to_have_attribute("aria-label", re.compile("99.97%"))


async def test_a_new_service_has_nothing_to_draw(
    open_page: OpenPage, site_db: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    await site_db.execute("INSERT INTO services (id, name, endpoint_url) VALUES ('new', 'New', 'http://x.invalid/')")
    page = await open_page("/services/new")
    await expect(page.locator("#words")).to_have_text("No checks in this period.")
    await assert_accessible(page)
    await screenshot(page, "service-new")
