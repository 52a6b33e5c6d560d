"""Badges: SVG images with figures of the status page, which any site may embed and which run no code."""

import json
from datetime import timedelta
from typing import Any, get_args
from xml.etree import ElementTree

import httpx
import psycopg
import pytest
from jinja2 import Environment, PackageLoader

from api.pages.badge_image import COLORS, ELLIPSIS, LABEL_COLOR, WIDEST_PX, Badge, Color, cut, draw, text_width
from api.pages.colors import contrast
from sla_monitor.formats.one_line import is_label
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, Check, add_service, now, record, running_api, until, until_events_processed

pytestmark = pytest.mark.one_day

Db = psycopg.AsyncConnection[Any]
SVG = "{http://www.w3.org/2000/svg}"
KINDS = ("status", "uptime", "response")


class ParsedBadge:
    """The texts and colors of a badge, read from its SVG."""

    def __init__(self, image: bytes) -> None:
        self.root = ElementTree.fromstring(image)
        self.texts = [element.text for element in self.root.iter(f"{SVG}text")]
        self.title = self.root.findtext(f"{SVG}title")
        self.colors = [element.get("fill") for element in self.root if element.tag in (f"{SVG}rect", f"{SVG}path")]


async def svg(api: Api, path: str) -> ParsedBadge:
    response = await api.http.get(f"/badges/{path}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/svg+xml"
    return ParsedBadge(response.content)


async def shield(api: Api, path: str) -> Any:
    return await api.get(f"/badges/{path}")


async def test_a_badge_shows_the_state(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Shop")
    assert await shield(api, "shop/status.json") == {
        "schemaVersion": 1,
        "label": "Shop",
        "message": "Unknown",
        "color": COLORS["unknown"],
        "isError": True,
    }
    await record(db, [Check("shop", now())])

    async def is_operational() -> bool:
        return bool((await shield(api, "shop/status.json"))["message"] == "Operational")

    await until(is_operational)
    assert await shield(api, "shop/status.json") == {
        "schemaVersion": 1,
        "label": "Shop",
        "message": "Operational",
        "color": COLORS["operational"],
    }
    badge = await svg(api, "shop/status.svg")
    assert badge.texts == ["Shop", "Operational"]
    assert badge.colors == [COLORS["operational"], LABEL_COLOR]


async def test_the_badge_of_all_systems_shows_the_worst_state(api: Api, db: Db) -> None:
    assert (await svg(api, "all-systems/status.svg")).texts == ["All systems", "Unknown"]
    assert (await svg(api, "all-systems/uptime.svg")).texts == ["All systems uptime, 90 days", "No data"]
    for service, ms in (("shop", 100.0), ("search", None), ("vault", 100.0)):
        await add_service(db, service, public=service != "vault")
        await record(db, [Check(service, now(), ms)])

    async def is_outage() -> bool:
        return bool((await shield(api, "all-systems/status.json"))["message"] == "Outage")

    await until(is_outage)
    [shop, search] = sorted((await api.get("/api/system-status"))["services"], key=lambda found: -len(found["id"]))
    assert {shop["uptime"], search["uptime"]} == {"100.00", "0.00"}
    assert (await svg(api, "all-systems/uptime.svg?period=24h")).texts[1] == "50.00%"
    assert (await api.http.get("/badges/all-systems/response.svg")).status_code == 404


async def test_the_uptime_is_exactly_that_of_the_status_page(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Shop")
    start = now() - timedelta(days=3)
    await record(db, [Check("shop", start + timedelta(minutes=n), None if n == 7 else 100.0) for n in range(61)])
    [service] = (await api.get("/api/system-status"))["services"]
    assert service["uptime"] == "98.36"  # 60 of 61 are 98.3606…, rounded down
    for path in ("shop/uptime.svg", "shop/uptime.svg?period=90d", "shop/uptime.svg?period=30d"):
        assert (await svg(api, path)).texts[1] == "98.36%", path
    assert (await shield(api, "shop/uptime.json"))["message"] == "98.36%"
    assert (await svg(api, "shop/uptime.svg")).texts[0] == "Shop uptime, 90 days"
    assert (await svg(api, "shop/uptime.svg?period=24h")).texts == ["Shop uptime, 24 h", "No data"]
    assert (await svg(api, "shop/uptime.svg?period=24h")).colors[0] == COLORS["unknown"]


async def test_response_times_are_those_of_the_page_and_its_chart(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Shop")
    assert (await svg(api, "shop/response.svg")).texts == ["Shop p95 response time, 24 h", "No data"]
    await record(db, [Check("shop", now() - timedelta(minutes=n), 100.0 + 10 * n) for n in range(1, 21)])

    async def has_data() -> bool:
        return (await svg(api, "shop/response.svg")).texts[1] != "No data"

    await until(has_data)
    figures = {
        figure: (await shield(api, f"shop/response.json?figure={figure}"))["message"]
        for figure in ("avg", "p50", "p95", "p99")
    }
    page = (await api.http.get("/services/shop", headers={"Accept": "text/html"})).text
    text = "median {p50}, 95th percentile {p95}, 99th percentile {p99}"
    assert text.format_map(figures) in " ".join(page.split())
    end = now()  # as js/response_times.js requests it
    window = {"from": (end - timedelta(days=1)).isoformat(), "to": end.isoformat(), "step": "900"}
    chart = await api.get("/api/response-times/shop", params=window)
    assert figures == {figure: f"{chart[figure]:.0f} ms" for figure in figures}
    assert chart["p95"] == (await api.get("/api/response-times/shop"))["p95"], (
        "the default step has the same percentile"
    )
    assert (await svg(api, "shop/response.svg?period=90d&figure=avg")).texts[0] == "Shop response time, 90 days"


@pytest.mark.one_engine
async def test_a_badge_is_cached_for_all_clients(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await until_events_processed(api, db)
    for kind in KINDS:
        path = f"/badges/shop/{kind}.svg"
        first = await api.http.get(path)
        again = await api.http.get(path + "?unknown=x", headers={"Cookie": "language=ko", "Accept-Language": "ko"})
        assert again.headers["x-cache"] == "HIT"
        assert again.content == first.content
        assert again.headers["cache-control"] == "no-cache"
        assert "cookie" not in again.headers.get("vary", "").lower()
        same = await api.http.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert same.status_code == 304


@pytest.mark.one_engine
async def test_a_badge_may_be_embedded_by_any_site_and_runs_no_code(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    for path in ("shop/status.svg", "shop/status.json", "nothing/status.svg"):
        headers = (await api.http.get(f"/badges/{path}")).headers
        assert headers["cross-origin-resource-policy"] == "cross-origin"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in headers


@pytest.mark.one_engine
async def test_label_style_and_language_can_be_chosen(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="가게")
    assert (await svg(api, "shop/status.svg?label=Our+shop")).texts == ["Our shop", "Unknown"]
    alone = await svg(api, "shop/status.svg?label=")
    assert (alone.texts, alone.title) == (["Unknown"], "Unknown")
    assert (await svg(api, "shop/status.svg?lang=ko")).texts == ["가게", "확인 불가"]
    assert (await svg(api, "shop/uptime.svg?lang=ko")).texts[0] == "가게 90일 가동률"
    for style, radius in (("flat", "3"), ("flat-square", "0")):
        [background] = (await svg(api, f"shop/status.svg?style={style}")).root.iter(f"{SVG}rect")
        assert background.get("rx") == radius


@pytest.mark.one_engine
@pytest.mark.parametrize("query", ["style=plastic", "period=1y", "figure=p42", "lang=xx", "label=" + "x" * 101])
async def test_an_invalid_choice_is_refused(api: Api, db: Db, query: str) -> None:
    await add_service(db, "shop")
    image = await api.http.get(f"/badges/shop/response.svg?{query}")
    assert image.status_code == 400
    assert ParsedBadge(image.content).texts == ["Badge", "Invalid request"]
    shield_response = await api.http.get(f"/badges/shop/response.json?{query}", headers={"Accept": "text/html"})
    assert shield_response.status_code == 400
    assert shield_response.json()["code"] == "VALIDATION_ERROR"


async def test_the_badge_of_a_private_service_is_that_of_a_missing_one(api: Api, db: Db) -> None:
    await add_service(db, "vault", public=False)
    await record(db, [Check("vault", now())])

    def comparable(response: httpx.Response) -> tuple[Any, ...]:
        assert response.status_code == 404
        return response.content, [
            item for item in response.headers.multi_items() if item[0] not in ("date", "x-request-id")
        ]

    for kind in KINDS:
        for form in ("svg", "json"):
            private, missing, invalid = [
                comparable(await api.http.get(f"/badges/{service}/{kind}.{form}", headers={"Accept": "text/html"}))
                for service in ("vault", "missing", "-not-an-id-")
            ]
            assert private == missing == invalid
    image = await api.http.get("/badges/vault/status.svg")
    assert ParsedBadge(image.content).title == "Badge: Not found"
    refused = await api.http.get("/badges/vault/status.json")
    assert refused.json() == {"error": "Not found", "code": "NOT_FOUND", "reason": "not_found"}


@pytest.mark.one_engine
@pytest.mark.parametrize("name", ["status.png", "status", "uptime.SVG", "secret.svg", ".svg", "svg"])
async def test_unknown_badges_are_not_found(api: Api, db: Db, name: str) -> None:
    await add_service(db, "shop")
    assert (await api.http.get(f"/badges/shop/{name}")).status_code == 404


@pytest.mark.one_engine
async def test_a_service_that_becomes_private_has_no_badge_any_more(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    assert (await api.http.get("/badges/shop/uptime.svg")).status_code == 200
    await db.execute("UPDATE services SET public = false WHERE id = 'shop'")

    async def gone() -> bool:
        return (await api.http.get("/badges/shop/uptime.svg")).status_code == 404

    await until(gone)


@pytest.mark.one_engine
async def test_badges_count_against_the_rate_limit_of_pages(database: str) -> None:
    async with running_api(database, rate_limit_pages=Limit(1, timedelta(minutes=1))) as api:
        responses = [await api.http.get(f"/badges/nothing/{kind}.svg") for kind in KINDS]
        assert [response.status_code for response in responses] == [404, 429, 429]


HOSTILE = [
    "</title><script>alert(1)</script>",
    '"/><image href="//evil.example/x"/>',
    "]]><!ENTITY x SYSTEM 'file:///etc/passwd'>&x;",
    "&amp;&lt;",
    "\0\x01\x0b\x1b\x7f\ufffe\uffff",
    "a\nb\rc\td\u2028e",
    "\u202egpj.exe",
]


def shape(badge: ParsedBadge) -> list[tuple[str, list[str]]]:
    return [(element.tag, sorted(element.keys())) for element in badge.root.iter()]


@pytest.mark.one_engine
@pytest.mark.parametrize("text", HOSTILE)
async def test_a_label_is_only_text(api: Api, db: Db, text: str) -> None:
    """The badge has the elements of a badge with a harmless label."""
    await add_service(db, "shop", name=text if is_label(text) else "Shop")  # the other texts are not valid names
    plain = await svg(api, "shop/status.svg?label=plain")
    for response in (
        await api.http.get("/badges/shop/status.svg"),
        await api.http.get("/badges/shop/status.svg", params={"label": text}),
    ):
        badge = ParsedBadge(response.content)
        assert shape(badge) == shape(plain)
        assert badge.texts[1] == "Unknown"
    assert (await shield(api, "shop/status.json"))["message"] == "Unknown"


def test_texts_fit_and_long_ones_are_cut() -> None:
    environment = Environment(loader=PackageLoader("api", "pages/templates"), autoescape=True, trim_blocks=True)
    for text in ("il", "WWWWWWWW", "가동률 구십일", "日本語", "Ж" * 30, "e\u0301", "🙂🙂", "가" * 500, "W" * 500):
        badge = ParsedBadge(draw(environment, Badge(text, "99.98%", "operational"), "flat"))
        label, message = list(badge.root.iter(f"{SVG}text"))
        starts, lengths = [[float(field.get(name) or 0) for field in (label, message)] for name in ("x", "textLength")]
        assert starts[0] + lengths[0] < starts[1]
        assert starts[1] + lengths[1] < float(badge.root.get("width") or 0)
        assert lengths[0] <= WIDEST_PX
    assert cut("가" * 500).endswith(ELLIPSIS)
    assert cut("가" * 30) == "가" * 30
    assert text_width("가") > text_width("a") > text_width("i")


def test_text_has_enough_contrast_on_every_color() -> None:
    assert set(COLORS) == set(get_args(Color))
    assert all(contrast("#ffffff", color) >= 4.5 for color in (*COLORS.values(), LABEL_COLOR))


@pytest.mark.one_engine
async def test_screen_readers_get_the_texts_of_the_badge(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Tom & Jerry's")
    badge = await svg(api, "shop/status.svg")
    assert badge.root.get("role") == "img"
    assert badge.root.get("aria-label") == badge.title == "Tom & Jerry's: Unknown"
    assert json.loads((await api.http.get("/badges/shop/status.json")).text)["label"] == "Tom & Jerry's"
