"""GET /api/sla/services/{serviceId}: the figures of a period, the budget, burn rates and errors."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.api.conftest import Api, Check, add_service, record, until
from tests.api.incidents import error_fields
from tests.api.people import Db
from tests.sql.batches import set_clock

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MONTH_S = 30 * 86400


async def add_policy(db: Db, scope: str = "everything", subject: str | None = None, **terms: Any) -> None:
    """Adds a policy whose first version applies from 2000-01-01, with a target of 99.9 % in a month of UTC."""
    created = "INSERT INTO sla_policies (scope, subject) VALUES (%s, %s) RETURNING id"
    row = await (await db.execute(created, [scope, subject])).fetchone()
    assert row is not None
    values = {"valid_from": "2000-01-01", "name": "Standard", "target": 99.9, "time_zone": "UTC"}
    values |= {"author": "ann", "recorded_at": "2000-01-01 00:00Z"} | terms
    names = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    statement = f"INSERT INTO sla_policy_versions (policy_id, version, {names}) VALUES (%s, 1, {marks})"
    await db.execute(statement.encode(), [row[0], *values.values()])


async def watch(
    db: Db, service: str = "shop", failed: range = range(0), slow: range = range(0), minutes: int = 60
) -> None:
    """Records a check a minute until noon. Of the last ones, those `failed` minutes ago fail."""
    await set_clock(db, NOON)
    await add_service(db, "shop", name="Shop")
    ages = range(60, 0, -1)
    checks = [Check("shop", NOON - age * MINUTE, ms=None if age in failed else 50.0, slow=age in slow) for age in ages]
    await record(db, checks)


async def test_downtime_spends_the_budget_of_the_whole_month(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    level = await api.get("/api/sla/services/shop")
    assert level["service"] == {"id": "shop", "name": "Shop"}
    assert (level["from"], level["to"]) == ("2026-11-01", "2026-11-30")
    assert level["seconds"] == {
        "up": 54 * 60,
        "degraded": 0,
        "down": 360,
        "unknown": 0,
        "maintenance": 0,
        "excluded": 0,
        "outsideHours": 0,
    }
    assert (level["uptime"], level["verdict"], level["coverage"]) == ("90.00", "missed", 100)
    assert (level["outages"], level["longestOutageSeconds"]) == (1, 360)
    budget = level["budget"]
    assert budget["totalSeconds"] == pytest.approx(MONTH_S / 1000)
    assert budget["spentSeconds"] == 360
    assert budget["leftSeconds"] == pytest.approx(MONTH_S / 1000 - 360)
    # 360 s an hour spend the remaining 2,232 s in 6.2 hours.
    assert budget["projectedEnd"] == "2026-11-15T18:12:00.000Z"
    rates = {rate["windowSeconds"]: rate["rate"] for rate in level["burnRates"]}
    hundred = dict.fromkeys((3600, 21600, 259200), pytest.approx(100))
    assert rates == {300: 0, 1800: 0, **hundred}


async def test_a_policy_of_the_service_comes_before_the_others(api: Api, db: Db) -> None:
    await add_policy(db)
    await add_policy(db, "group", "Sales", target=99)
    await add_policy(db, "tag", "gold", target=98)
    await watch(db)

    async def applies(scope: str, target: float) -> bool:
        policy = (await api.get("/api/sla/services/shop"))["policy"]
        return (policy["scope"], policy["target"]) == (scope, target)

    assert await applies("everything", 99.9)
    await db.execute("UPDATE services SET group_name = 'Sales'")
    await set_clock(db, NOON + MINUTE)
    await until(partial(applies, "group", 99))
    await db.execute("UPDATE services SET tags = '{gold}'")
    await set_clock(db, NOON + 2 * MINUTE)
    await until(partial(applies, "tag", 98))
    await add_policy(db, "service", "shop", target=97)
    await until(partial(applies, "service", 97))
    assert len((await api.get("/api/sla/services/shop"))["parts"]) == 1


async def test_degraded_time_counts_by_its_weight(api: Api, db: Db) -> None:
    await add_policy(db, degraded_weight=0.5)
    await watch(db, slow=range(11, 21))
    level = await api.get("/api/sla/services/shop")
    assert (level["seconds"]["degraded"], level["seconds"]["down"]) == (600, 0)
    assert level["budget"]["spentSeconds"] == 300
    assert level["uptime"] == "91.66"


async def test_checks_response_times_and_credits_of_a_period(api: Api, db: Db) -> None:
    steps = [{"below": 99.9, "credit": 10}, {"below": 95, "credit": 25.5}, {"below": 90, "credit": 50}]
    await add_policy(db, objective_ms=40, objective_share=95, credits=Jsonb(steps))
    await watch(db, failed=range(31, 37))
    level = await api.get("/api/sla/services/shop")
    assert level["target"] == 99.9
    assert level["checks"] == {"total": 60, "failed": 6, "uptime": "90.00"}
    assert level["responseTimes"] == {
        "p50": 50,
        "p95": 50,
        "p99": 50,
        "objective": {"ms": 40, "share": 95, "actual": 0, "met": False},
    }
    assert (level["mttrSeconds"], level["mtbfSeconds"]) == (360, 54 * 60)
    assert level["credit"] == 25.5  # 90 is not below 90


async def test_without_checks_figures_are_null(api: Api, db: Db) -> None:
    await add_policy(db, objective_ms=40, objective_share=95, credits=Jsonb([{"below": 99.9, "credit": 10}]))
    await set_clock(db, NOON)
    await add_service(db, "shop", name="Shop")
    level = await api.get("/api/sla/services/shop")
    assert (level["uptime"], level["verdict"], level["coverage"], level["credit"]) == ("-", None, None, None)
    assert level["checks"] == {"total": 0, "failed": 0, "uptime": "-"}
    assert level["responseTimes"]["objective"] == {"ms": 40, "share": 95, "actual": None, "met": None}
    assert (level["outages"], level["longestOutageSeconds"]) == (0, 0)
    assert (level["mttrSeconds"], level["mtbfSeconds"]) == (None, None)
    assert level["budget"]["totalSeconds"] == pytest.approx(MONTH_S / 1000)


async def test_a_correction_changes_the_figures_and_as_of_shows_them_as_before(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    await db.execute(
        """
        WITH correction AS (
            INSERT INTO sla_corrections
                (scope, subject, effect, category, reason, starts_at, ends_at, time_zone, author, created_at)
            VALUES
                ('service', 'shop', 'up', 'false_positive', 'No impact', %(from)s, %(to)s, 'UTC', 'ann', %(now)s)
            RETURNING id
        )
        INSERT INTO sla_correction_spans SELECT id, tstzrange(%(from)s, %(to)s) FROM correction
        """,
        {"from": NOON - 40 * MINUTE, "to": NOON - 20 * MINUTE, "now": NOON + MINUTE},
    )
    await set_clock(db, NOON + 2 * MINUTE)
    level = await api.get("/api/sla/services/shop")
    assert (level["seconds"]["down"], level["uptime"], level["verdict"]) == (0, "100.00", "met")
    before = await api.get("/api/sla/services/shop?asOf=2026-11-15T12:00:30Z")
    assert (before["seconds"]["down"], before["uptime"]) == (360, "90.08")


async def test_as_of_shows_the_figures_from_before_late_checks(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    noted = await api.get("/api/sla/services/shop")
    assert (noted["seconds"]["down"], noted["outages"]) == (360, 1)
    await set_clock(db, NOON + 10 * MINUTE)
    await record(db, [Check("shop", NOON - 33 * MINUTE - timedelta(seconds=30), ms=50.0)])

    async def is_split() -> bool:
        level = await api.get("/api/sla/services/shop")
        return (level["seconds"]["down"], level["outages"]) == (330, 2)

    await until(is_split)
    before = await api.get(f"/api/sla/services/shop?asOf={NOON.isoformat().replace('+00:00', 'Z')}")
    counted_today = ("checks", "responseTimes")
    assert {**before, **dict.fromkeys(counted_today)} == {**noted, **dict.fromkeys(counted_today)}


async def test_as_of_selects_the_policy_and_the_period_of_that_time(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    noted = await api.get("/api/sla/services/shop")
    await set_clock(db, NOON + timedelta(days=30))
    await db.execute("UPDATE sla_policy_versions SET recorded_at = '2000-01-01Z'")
    await db.execute(
        "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author) "
        "SELECT policy_id, 2, '2026-12-01', 'Weak', 99, 'UTC', 'ann' FROM sla_policy_versions"
    )
    before = await api.get(f"/api/sla/services/shop?asOf={NOON.isoformat().replace('+00:00', 'Z')}")
    assert before["from"] == "2026-11-01"
    assert (before["policy"]["version"], before["burnRates"]) == (1, noted["burnRates"])


async def test_time_without_data_is_unknown_and_lowers_the_coverage(api: Api, db: Db) -> None:
    await add_policy(db, least_coverage=90)
    await watch(db)
    await set_clock(db, NOON + timedelta(hours=1))
    await db.execute("SELECT expire_states()")
    level = await api.get("/api/sla/services/shop")
    assert (level["seconds"]["up"], level["seconds"]["unknown"]) == (3600, 3600)
    assert (level["coverage"], level["verdict"]) == (50, "insufficient_data")


@pytest.mark.one_engine
async def test_periods_are_months_quarters_and_years(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    for period, first, last in (
        ("2026-11", "2026-11-01", "2026-11-30"),
        ("2026-12", "2026-12-01", "2026-12-31"),
        ("2026-Q4", "2026-10-01", "2026-12-31"),
        ("2026", "2026-01-01", "2026-12-31"),
    ):
        level = await api.get(f"/api/sla/services/shop?period={period}")
        assert (level["from"], level["to"]) == (first, last)
    for period in ("2026-13", "2026-00", "2026-Q5", "26-01", "1999", "2101-01", "x"):
        response = await api.http.get(f"/api/sla/services/shop?period={period}")
        assert error_fields(response) == ["period"], period


@pytest.mark.one_engine
async def test_without_a_policy_or_for_a_private_service_it_is_404(api: Api, db: Db) -> None:
    await watch(db)
    response = await api.http.get("/api/sla/services/shop")
    assert (response.status_code, response.json()["reason"]) == (404, "no_policy")
    await add_policy(db)
    await add_service(db, "vault", public=False)
    for service in ("vault", "none", "all-systems"):
        response = await api.http.get(f"/api/sla/services/{service}")
        assert (response.status_code, response.json()["reason"]) == (404, "unknown_service_id"), service
