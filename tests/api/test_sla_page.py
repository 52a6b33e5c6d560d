"""/sla without JavaScript: the figures of every service and group, periods, sorts, and the link to the page."""

import html
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from api.pages.sla import LevelRow, groups, in_order
from api.pages.sla_periods import Period, chosen, containing
from sla_monitor.texts.languages import texts
from tests.api.conftest import Api, Check, add_service, now, record, until, until_events_processed
from tests.api.people import Db
from tests.api.test_sla_figures import MINUTE, add_policy
from tests.api.visitors import html as shown
from tests.sql.batches import set_clock

pytestmark = pytest.mark.one_engine

TODAY = date(2026, 11, 15)
NOON = datetime(2026, 10, 15, 12, tzinfo=UTC)


def row(name: str, group: str | None = None, **values: Any) -> LevelRow:
    given = {
        "kind": "service",
        "id": name,
        "name": name,
        "group_name": group,
        "services": 1,
        "method": None,
        "agreed": "month",
        "rolling_days": None,
        "target": 99.9,
        "uptime": "100.00",
        "coverage": 100.0,
        "verdict": "met",
        "estimated": False,
        "outages": 0,
        "down_seconds": 0.0,
        "budget_seconds": 100.0,
        "left_seconds": 100.0,
    }
    return LevelRow(**(given | values))


def test_a_sort_puts_the_worst_first_and_what_is_unknown_last() -> None:
    rows = [
        row("b", uptime="99.50", down_seconds=5.0, left_seconds=95.0, verdict="missed"),
        row("a", uptime="-", down_seconds=None, left_seconds=None, verdict=None),
        row("C", target=99.99),
    ]
    expected = {
        "name": "abC",
        "-name": "Cba",
        "uptime": "bCa",
        "-uptime": "Cba",
        "budget": "bCa",
        "downtime": "bCa",
        "verdict": "bCa",
        "target": "Cab",
    }
    assert {sort: "".join(each.id or "" for each in in_order(rows, sort)) for sort in expected} == expected


def test_groups_come_in_the_order_of_their_worst_service() -> None:
    rows = [row("a", "One"), row("b", "One", left_seconds=50.0), row("c", "Two", left_seconds=-1.0, verdict="missed")]
    rows.append(row("d", "Two", target=None))
    found = groups(rows, "budget")
    assert [(group.name, [each.id for each in group.services], group.missed) for group in found] == [
        ("Two", ["c"], 1),
        ("One", ["b", "a"], 0),
    ]
    many = [row(f"s{n}", "Team 1" if n < 60 else "Team 2", verdict="missed" if n == 70 else "met") for n in range(120)]
    assert [group.open for group in groups(many, "name")] == [False, True]
    many = [row(f"s{n}", f"Team {n // 40}", verdict="missed") for n in range(120)]
    assert [group.open for group in groups(many, "name")] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "period", "earlier", "later"),
    [
        ("", "2026-11", "2026-10", None),
        ("2026-01", "2026-01", "2025-12", "2026-02"),
        ("2026-Q3", "2026-Q3", "2026-Q2", "2026-Q4"),
        ("2026-Q4", "2026-Q4", "2026-Q3", None),
        ("2025", "2025", "2024", "2026"),
        ("2027-02", "2026-11", "2026-10", None),
        ("2000-01", "2000-01", None, "2000-02"),
    ],
)
def test_periods_end_with_the_current_one(text: str, period: str, earlier: str | None, later: str | None) -> None:
    found = chosen(text, TODAY)

    def named(other: Period | None) -> str | None:
        return other and other.text

    assert (found.text, named(found.earlier()), named(found.later(TODAY))) == (period, earlier, later)


def test_another_length_keeps_the_end_of_the_period() -> None:
    quarter = containing("quarter", date(2026, 5, 3))
    assert [quarter.of_kind(kind, TODAY).text for kind in ("month", "quarter", "year")] == [
        "2026-06",
        "2026-Q2",
        "2026",
    ]
    assert containing("year", TODAY).of_kind("month", TODAY).text == "2026-11"
    assert [quarter.shown(texts(language, "UTC")) for language in ("en", "ko")] == ["Q2 2026", "2026년 2분기"]


async def watched(db: Db) -> None:
    """Three public services with an hour of checks until noon; `slow` was down for 6 minutes. One is private."""
    await set_clock(db, NOON)
    for name, group in (("shop", "Sales"), ("slow", "Sales"), ("other", None)):
        await add_service(db, name, group_name=group)
    await add_service(db, "vault", public=False, group_name="Sales")
    checks = [
        Check(name, NOON - age * MINUTE, ms=None if name == "slow" and 30 < age <= 36 else 50.0)
        for name in ("shop", "slow", "other", "vault")
        for age in range(60, 0, -1)
    ]
    await record(db, checks)


def row_of(page: str, service: str) -> str:
    """Returns the visible text of the row of a service in one line."""
    found = re.search(rf'<tr data-service="{service}">(.*?)</tr>', page, re.DOTALL)
    assert found is not None, service
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", found[1]).split()))


async def test_the_page_shows_the_figures_of_rest(api: Api, db: Db) -> None:
    await watched(db)
    await add_policy(db, "group", "Sales", target=99.95)
    page = await shown(api, path="/sla?period=2026-10")
    level = await api.get("/api/sla/services/slow?period=2026-10")
    assert (level["uptime"], level["verdict"], level["budget"]["leftSeconds"]) == ("90.00", "missed", 979.2)
    assert row_of(page, "shop") == "Shop Met 100.00% 99.95% 0 s 22 min 19 s of 22 min 19 s left"
    assert row_of(page, "slow") == "Slow Missed 90.00% 99.95% 6 min 1 outage 16 min 19 s of 22 min 19 s left"
    assert 'data-group="Sales"' in page and "Worst: 90.00% of 99.95%" in page
    assert "1 of 2 services missed its target." in page
    assert "1 service has no agreement for this period and is not listed." in page
    assert "vault" not in page.lower()
    korean = await shown(api, "ko", "/sla?period=2026-10")
    assert row_of(korean, "slow") == "Slow 미달 90.00% 99.95% 6분 장애 1회 22분 19초 중 16분 19초 남음"


async def test_a_correction_and_a_policy_change_the_page(api: Api, db: Db) -> None:
    await watched(db)
    assert "No agreement on service levels" in await shown(api, path="/sla?period=2026-10")

    async def shows(text: str) -> bool:
        return text in row_of(await shown(api, path="/sla?period=2026-10"), "slow")

    await add_policy(db, target=89)
    await until(lambda: listed(api))
    assert await shows("Met 90.00% 89%")
    await db.execute("UPDATE sla_policy_versions SET least_coverage = 100, target = 99")
    await db.execute(
        """
        WITH correction AS (
            INSERT INTO sla_corrections
                (scope, subject, effect, category, reason, starts_at, ends_at, time_zone, author)
            VALUES ('everything', NULL, 'up', 'false_positive', 'No impact', %(from)s, %(to)s, 'UTC', 'ann')
            RETURNING id
        )
        INSERT INTO sla_correction_spans SELECT id, tstzrange(%(from)s, %(to)s) FROM correction
        """,
        {"from": NOON - timedelta(hours=1), "to": NOON},
    )
    await until(lambda: shows("Met 100.00% 99%"))


async def test_a_level_below_its_target_can_recover_while_the_period_runs(api: Api, db: Db) -> None:
    await add_policy(db, target=99)
    for name in ("shop", "slow", "down"):
        await add_service(db, name)
    failed = {"shop": 0, "slow": 1, "down": 60}
    ages = range(60, 0, -1)
    await record(
        db,
        [
            Check(name, now() - age * MINUTE, ms=None if age <= failed[name] else 50.0)
            for name in failed
            for age in ages
        ],
    )
    await db.execute("UPDATE sla_policy_versions SET period = 'year'")
    await until_events_processed(api, db)
    page = await shown(api, path="/sla?period=2100")  # the current year: none is in the future
    assert row_of(page, "shop").startswith("Shop On target 100.00%")
    assert row_of(page, "slow").startswith("Slow Below target")
    assert row_of(page, "down").startswith("Down Below target 0.00% 99%")
    assert "2 of 3 services are below their targets." in page


async def listed(api: Api) -> bool:
    return 'data-service="slow"' in await shown(api, path="/sla?period=2026-10")


async def test_other_pages_link_to_it_once_there_is_a_policy(api: Api, db: Db) -> None:
    assert 'href="/sla"' not in await shown(api)
    await add_policy(db)

    async def linked() -> bool:
        return 'href="/sla"' in await shown(api)

    await until(linked)


async def test_links_keep_the_period_and_the_sort(api: Api, db: Db) -> None:
    await watched(db)
    await add_policy(db)
    page = html.unescape(await shown(api, path="/sla?period=2026-10&sort=uptime"))
    assert page.index('data-service="slow"') < page.index('data-service="shop"')
    assert 'href="/sla?period=2026-09&sort=uptime"' in page
    assert 'href="/sla?period=2026-10&sort=-uptime" rel="nofollow" aria-current="true"' in page
    for query in ("period=2026-13", "period=x", "sort=x", "sort=--name", "sort="):
        response = await api.http.get(f"/sla?{query}", headers={"accept": "text/html"})
        assert response.status_code == 400, query
