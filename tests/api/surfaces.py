"""Surfaces that show the uptime and the days of a service: pages, badges, the feed, REST, reports, SQL and Grafana."""

import csv
import io
import math
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.api.conftest import Api
from tests.grafana.dashboards import expanded, panels
from tests.sql.batches import fetch, value

Db = psycopg.AsyncConnection[Any]
NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
TODAY = NOON.replace(hour=0)


def text_of(page: str) -> str:
    """The text of a page, without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


async def page(api: Api, path: str, pattern: str) -> str:
    """The first match of a pattern in the text of a page, or in its attributes."""
    response = await api.http.get(path, headers={"accept": "text/html"})
    assert response.status_code == 200, response.text
    found = re.search(pattern, text_of(response.text)) or re.search(pattern, response.text)
    assert found is not None, text_of(response.text)
    return found[1]


async def status(api: Api, _: Db) -> str:
    [service] = (await api.get("/api/system-status"))["services"]
    return str(service["uptime"])


async def calendar(api: Api, _: Db) -> str:
    return str((await api.get("/api/uptime/shop?months=1&startDate=2026-11-01"))["months"][0]["uptime"])


async def calendar_of_all(api: Api, _: Db) -> str:
    return str((await api.get("/api/uptime/all-systems?months=1&startDate=2026-11-01"))["months"][0]["uptime"])


async def service_level(api: Api, _: Db) -> str:
    return str((await api.get("/api/sla/services/shop?period=2026-11"))["uptime"])


async def badge(api: Api, _: Db) -> str:
    return await page(api, "/badges/shop/uptime.svg?period=30d", r"([0-9.]+)%")


async def badge_of_all(api: Api, _: Db) -> str:
    return await page(api, "/badges/all-systems/uptime.svg", r"([0-9.]+)%")


async def badge_for_shields(api: Api, _: Db) -> str:
    return str((await api.get("/badges/shop/uptime.json"))["message"]).removesuffix("%")


async def status_page(api: Api, _: Db) -> str:
    return await page(api, "/", r"Shop Operational ([0-9.]+)%")


async def service_page(api: Api, _: Db) -> str:
    return await page(api, "/services/shop", r"([0-9.]+)% uptime in 90 days")


async def calendar_page(api: Api, _: Db) -> str:
    return await page(api, "/uptime?service=shop&start=2026-09", r"November 2026[^%]*?([0-9.]+)%")


async def sla_levels(_: Api, db: Db) -> str:
    return str(
        await value(
            db,
            "SELECT uptime_percent(sum(spent_seconds), sum(up_seconds + degraded_seconds + down_seconds)) "
            "FROM sla_figures('{shop}', '2026-11-01', '2026-11-30', present())",
        )
    )


async def groups(api: Api, _: Db) -> str:
    [everything] = (await api.get("/api/sla/groups?period=2026-11"))["groups"]
    return str(everything["uptime"])


async def timeline(api: Api, _: Db) -> str:
    """From the spans, with the weight of degraded time."""
    seconds = dict.fromkeys(("up", "degraded", "down"), 0.0)
    for span in (await api.get("/api/sla/services/shop/timeline?period=2026-11"))["spans"]:
        if span["state"] in seconds:
            start, end = (datetime.fromisoformat(span[bound]) for bound in ("from", "to"))
            seconds[span["state"]] += (end - start).total_seconds()
    known = sum(seconds.values())
    return f"{math.floor(10_000 * (known - seconds['down'] - 0.5 * seconds['degraded']) / known) / 100:.2f}"


async def sla_page(api: Api, _: Db) -> str:
    return await page(api, "/sla?period=2026-11", r"Shop [^%]*?([0-9.]+)%")


async def report(api: Api, _: Db) -> str:
    [service] = (await api.get("/api/sla/report?period=2026-11"))["services"]
    return str(service["uptime"])


async def report_as_csv(api: Api, _: Db) -> str:
    response = await api.http.get("/api/sla/report?period=2026-11&format=csv")
    [service] = csv.DictReader(io.StringIO(response.text))
    return rounded_down(service["uptime_percent"])


async def report_as_html(api: Api, _: Db) -> str:
    return await page(api, "/api/sla/report?period=2026-11&format=html", r"Shop 99.9% ([0-9.]+)%")


async def analytics(_: Api, db: Db) -> str:
    return rounded_down(await value(db, "SELECT uptime FROM analytics.sla_v1('2026-11-01', '2026-11-30')"))


async def grafana(_: Api, db: Db) -> str:
    """The table of service levels of the dashboard."""
    query = next(
        panel.query for panel in panels() if 'AS "Policy"' in panel.query and 'AS "Budget left"' in panel.query
    )
    statement = expanded(query, TODAY, NOON, "1h", {"month": "2026-11"})
    cursor = await db.cursor(row_factory=dict_row).execute(statement.encode())
    [service] = await cursor.fetchall()
    return rounded_down(service["Uptime"])


def rounded_down(percent: object) -> str:
    return str(Decimal(str(percent)).quantize(Decimal("0.01"), ROUND_DOWN))


Surface = Callable[[Api, Db], Awaitable[str]]
UPTIMES: tuple[Surface, ...] = (
    status,
    calendar,
    calendar_of_all,
    service_level,
    badge,
    badge_of_all,
    badge_for_shields,
    status_page,
    service_page,
    calendar_page,
    groups,
    timeline,
    sla_page,
    report,
    report_as_csv,
    report_as_html,
    sla_levels,
    analytics,
    grafana,
)
"""The surfaces that show the uptime of a period that contains all checks."""

Codes = list[str]


async def codes_of_status(api: Api, _: Db) -> Codes:
    [service] = (await api.get("/api/system-status"))["services"]
    return list(service["uptimeData"][-4:])


async def codes_of_calendar(api: Api, _: Db) -> Codes:
    [month] = (await api.get("/api/uptime/shop?months=1&startDate=2026-11-01"))["months"]
    return [day["status"] for day in month["details"]][-4:]


async def codes_of_all(api: Api, _: Db) -> Codes:
    [month] = (await api.get("/api/uptime/all-systems?months=1&startDate=2026-11-01"))["months"]
    return [day["status"] for day in month["details"]][-4:]


async def codes_of_page(api: Api, _: Db) -> Codes:
    return [day["status"] for day in (await api.get("/services/shop/days"))["days"]][-4:]


async def codes_of_feed(_: Api, db: Db) -> Codes:
    """The last event of each day."""
    found = await fetch(
        db,
        "SELECT DISTINCT ON (data ->> 'date') data ->> 'status' FROM events "
        "WHERE event = 'uptime-updated' AND (data ->> 'date')::date <= present()::date "
        "ORDER BY data ->> 'date', seq DESC",
    )
    return [str(code) for (code,) in found]


async def codes_of_view(_: Api, db: Db) -> Codes:
    return [str(code) for (code,) in await fetch(db, "SELECT status FROM uptime_records ORDER BY date")]


async def codes_of_accounting(_: Api, db: Db) -> Codes:
    found = await fetch(
        db, "SELECT status::text FROM sla_computed_days('{shop}', '2026-11-01', '2026-11-30') ORDER BY day"
    )
    return [str(code) for (code,) in found]


CODES: tuple[Callable[[Api, Db], Awaitable[Codes]], ...] = (
    codes_of_status,
    codes_of_calendar,
    codes_of_all,
    codes_of_page,
    codes_of_feed,
    codes_of_view,
    codes_of_accounting,
)
