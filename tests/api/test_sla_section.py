"""The service level on the page of a service: its figures, the burn-down of its error budget, and burn rates."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.pages.sla_section import BurnDown, Level, burn_down
from api.sla.timeline import PointRow
from tests.api.conftest import Api, Check, add_service, create_user, now, record
from tests.api.people import Db
from tests.api.service_pages import part, shown
from tests.api.test_sla_figures import MINUTE

START = datetime(2026, 11, 1, tzinfo=UTC)


def level(**values: Any) -> Level:
    given = {
        "name": "Gold",
        "period": "month",
        "rolling_days": None,
        "target": 99.0,
        "uptime": "99.90",
        "first_day": date(2026, 11, 1),
        "last_day": date(2026, 11, 10),
        "coverage": 100.0,
        "verdict": "met",
        "estimated": False,
        "outages": 1,
        "down_seconds": 0.0,
        "budget_seconds": 8640.0,
        "spent_seconds": 0.0,
        "left_seconds": 8640.0,
        "projected_end": None,
        "starts_at": START,
        "ends_at": START + timedelta(days=10),
        "policy_id": UUID(int=0),
        "version": 1,
    }
    return Level(**(given | values))


def points(*left: float) -> list[PointRow]:
    return [PointRow(START + timedelta(days=day), value) for day, value in enumerate(left)]


def test_the_chart_has_the_budget_at_the_top_and_zero_at_the_bottom() -> None:
    chart = burn_down(level(), points(8640, 8640, 4320))
    assert chart is not None
    assert chart.line == "M0.0 0.00L100.0 0.00L200.0 50.00"
    assert chart.area == "M0.0 100.00L0.0 0.00L100.0 0.00L200.0 50.00L200.0 100.00z"
    assert (chart.zero, chart.pace, chart.lowest) == (100, (0, 100), 0)
    [spending], [mark] = chart.spendings, chart.marks
    assert (spending.starts_at, spending.spent_seconds, spending.left_seconds) == (
        START + timedelta(days=1),
        4320,
        4320,
    )
    assert (mark.x, mark.width) == (100, 100)


def test_a_budget_that_is_exceeded_goes_below_zero() -> None:
    chart = burn_down(level(), points(8640, -2160))
    assert chart is not None
    assert (chart.line, chart.zero, chart.pace, chart.lowest) == ("M0.0 0.00L100.0 100.00", 80, (0, 80), -2160)
    assert burn_down(level(budget_seconds=0.0), points(0, 0)) is None
    of_zero = burn_down(level(budget_seconds=0.0), points(0, -60))
    assert isinstance(of_zero, BurnDown) and of_zero.zero == 0
    assert burn_down(level(), []) is None


@pytest.mark.one_day
async def test_the_page_shows_what_rest_says(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Shop")
    await add_service(db, "vault", public=False)
    checks = [Check("shop", now() - age * MINUTE, ms=None if age == 90 else 50.0) for age in range(120, -1, -1)]
    await record(db, checks)
    page = await shown(api, "/services/shop")
    assert "Service level" not in page and "sla.css" not in page
    admin = await create_user(db)
    policy = {"scope": "everything", "name": "Gold", "target": 99.9, "validFrom": "2026-01-01", "timeZone": "UTC"}
    created = await api.http.post("/api/sla/policies", json=policy, headers=admin.headers)
    assert created.status_code == 201, created.text
    figures = await api.get("/api/sla/services/shop")
    page = await shown(api, "/services/shop", admin)
    section = part(page, "sla")
    assert "Gold" in section and f"{figures['uptime']}%" in section and "Target 99.9%" in section
    assert "Below target" in section and "1 min down · 1 outage" in section
    assert figures["burnRates"][0]["rate"] == 0 and "Last 5 min Nothing spent" in section
    assert "the even pace: too fast" in section
    assert "60.0 s" not in section and "Show the outages as a table" in section
    month = figures["from"][:7]
    assert f'href="/api/sla/report?service=shop&amp;period={month}&amp;format=html"' in page
    assert 'role="img" aria-labelledby="burn-title burn-words"' in page and "were spent in 1 outage." in section
    korean = part(await shown(api, "/services/shop", admin, "ko"), "sla")
    assert "서비스 수준" in korean and "장애 1회로 쓴 시간은 1분입니다" in korean
    vault = await shown(api, "/services/vault", admin)
    assert "/api/sla/report" not in vault and "No data" in part(vault, "sla")
