"""GET /api/sla/report: its figures, what explains them, and what strangers see."""

from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, Check, add_service, create_user, record, until
from tests.api.incidents import error_fields
from tests.api.people import Db
from tests.api.test_sla_figures import MINUTE, NOON, add_policy, watch
from tests.sql.batches import set_clock

PATH = "/api/sla/report"
NOVEMBER = f"{PATH}?period=2026-11"


async def correct(db: Db, **fields: Any) -> str:
    """Adds a correction of `shop` from 11:20 to 11:30, and returns its id."""
    values = {"scope": "service", "subject": "shop", "effect": "up", "reason": "The proxy failed", "author": "ann"}
    values |= {"from": NOON - 40 * MINUTE, "to": NOON - 30 * MINUTE, "at": NOON - MINUTE} | fields
    cursor = await db.execute(
        """
        WITH correction AS (
            INSERT INTO sla_corrections
                (scope, subject, effect, category, reason, starts_at, ends_at, time_zone, author, created_at)
            VALUES
                (%(scope)s, %(subject)s, %(effect)s, 'false_positive', %(reason)s, %(from)s, %(to)s, 'UTC', %(author)s,
                 %(at)s)
            RETURNING id
        )
        INSERT INTO sla_correction_spans SELECT id, tstzrange(%(from)s, %(to)s) FROM correction RETURNING correction_id
        """,
        values,
    )
    [(correction_id,)] = await cursor.fetchall()
    return str(correction_id)


async def test_a_report_has_the_figures_of_each_service_and_what_explains_them(api: Api, db: Db) -> None:
    await add_policy(db, name="Gold", shortest_outage_seconds=60)
    await watch(db, failed=range(31, 37))
    correction = await correct(db, **{"from": NOON - 36 * MINUTE, "to": NOON - 34 * MINUTE})
    report = await api.get(NOVEMBER)
    assert (report["title"], report["from"], report["to"]) == (
        "Service level report: November 2026",
        "2026-11-01",
        "2026-11-30",
    )
    assert (report["zone"], report["generatedAt"], report["asOf"]) == ("UTC", "2026-11-15T12:00:00Z", None)
    assert report["scope"] == {"services": [], "groups": [], "tags": [], "public": True}
    assert report["summary"] == {
        "services": 1,
        "met": 0,
        "missed": 1,
        "insufficientData": 0,
        "noData": 0,
        "withoutPolicy": [],
    }
    [service] = report["services"]
    assert (service["name"], service["uptime"], service["verdict"]) == ("Shop", "93.33", "missed")
    assert service["uptimePercent"] == pytest.approx(100 * 56 / 60)
    assert service["seconds"]["down"] == 240
    assert service["checks"] == {"total": 60, "failed": 6, "uptime": 90}
    assert service["outageList"] == [
        {
            "startsAt": "2026-11-15T11:26:00Z",
            "endsAt": "2026-11-15T11:30:00Z",
            "seconds": 240,
            "corrections": [correction],
        }
    ]
    days = {day["date"]: day for day in service["days"]}
    assert len(days) == 30
    assert days["2026-11-15"] == {"date": "2026-11-15", "state": "down", "downSeconds": 240}
    assert {days[day]["state"] for day in ("2026-11-01", "2026-11-14", "2026-11-16")} == {"none"}
    [part] = service["parts"]
    [policy] = report["policies"]
    assert (part["policyId"], part["version"]) == (policy["id"], policy["version"]) == (service["policyId"], 1)
    assert policy["name"] == "Gold"
    assert "An outage counts if it lasts at least 1 min." in policy["words"]
    [overall] = report["groups"]
    assert (overall["name"], overall["services"], overall["uptime"]) == (None, 1, "93.33")


async def test_the_figures_are_those_of_sla_levels(api: Api, db: Db) -> None:
    await add_policy(db, objective_ms=100, objective_share=95, degraded_weight=0.5)
    await watch(db, failed=range(31, 37), slow=range(11, 21))
    [service] = (await api.get(NOVEMBER))["services"]
    cursor = await db.execute(
        "SELECT uptime, coverage, spent_seconds, left_seconds, mttr_seconds, mtbf_seconds, p95_ms, fast_share, credit "
        "FROM sla_levels('{shop}', '2026-11-01', '2026-11-30', present())"
    )
    [expected] = await cursor.fetchall()
    times = service["responseTimes"]
    found = (
        *(service["uptimePercent"], service["coverage"], service["budget"]["spentSeconds"]),
        *(service["budget"]["leftSeconds"], service["mttrSeconds"], service["mtbfSeconds"], times["p95"]),
        *(times["objective"]["actual"], service["credit"]),
    )
    assert found == tuple(None if value is None else float(value) for value in expected)


async def test_a_period_with_two_policy_versions_has_two_parts_that_add_up(api: Api, db: Db) -> None:
    await add_policy(db, degraded_weight=0.5)
    await db.execute(
        "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author, "
        "recorded_at) SELECT policy_id, 2, '2026-11-16', 'Stricter', 99.99, 'UTC', 'ann', '2026-11-01' "
        "FROM sla_policy_versions"
    )
    await watch(db, failed=range(31, 37), slow=range(5, 10))
    [service] = (await api.get(NOVEMBER))["services"]
    first, second = service["parts"]
    assert (first["version"], first["from"], first["to"]) == (1, "2026-11-01T00:00:00Z", "2026-11-16T00:00:00Z")
    assert (second["version"], second["target"], second["to"]) == (2, 99.99, "2026-12-01T00:00:00Z")
    for name in service["seconds"]:
        assert first["seconds"][name] + second["seconds"][name] == service["seconds"][name]
    budget = service["budget"]
    assert first["budgetSeconds"] + second["budgetSeconds"] == pytest.approx(budget["totalSeconds"])
    assert first["spentSeconds"] + second["spentSeconds"] == budget["spentSeconds"] == 510
    assert (first["budgetSeconds"], second["budgetSeconds"]) == (1296, 129.6)


async def test_the_sql_of_a_report_returns_its_figures(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    await set_clock(db, NOON + 2 * MINUTE)
    await correct(db, at=NOON + MINUTE)
    for query, uptime in (("", 100.0), ("&asOf=2026-11-15T12:00:00Z", 90.0)):
        [service] = (await api.get(NOVEMBER + query))["services"]
        assert service["uptimePercent"] == uptime
        cursor = await db.execute(service["sql"].encode())
        [row] = await cursor.fetchall()
        assert cursor.description is not None
        found = dict(zip([column.name for column in cursor.description], row, strict=True))
        assert (found["service_id"], float(found["uptime"])) == ("shop", uptime)
        assert float(found["left_seconds"]) == service["budget"]["leftSeconds"]


async def test_a_service_that_was_deleted_stays_in_the_report_of_its_time(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    await set_clock(db, NOON + MINUTE)
    await db.execute("DELETE FROM services")

    async def is_named_by_its_id() -> bool:
        [service] = (await api.get(NOVEMBER))["services"]
        return bool((service["id"], service["name"]) == ("shop", "shop") and service["seconds"]["down"] == 360)

    await until(is_named_by_its_id)
    december = await api.get(f"{PATH}?period=2026-12")
    assert (december["services"], december["summary"]["withoutPolicy"]) == ([], [])


@pytest.mark.one_engine
async def test_the_state_of_a_day_is_the_worst_one_that_counts(api: Api, db: Db) -> None:
    await add_policy(db)
    await set_clock(db, NOON)
    await add_service(db, "shop", name="Shop")
    day = timedelta(days=1)
    ages = [(2 * day + n * MINUTE, None, False) for n in range(2)] + [
        (day + n * MINUTE, 50.0, n == 1) for n in range(2)
    ]
    ages += [(n * MINUTE, 50.0, False) for n in range(1, 3)]
    await record(db, [Check("shop", NOON - age, ms=ms, slow=slow) for age, ms, slow in sorted(ages, reverse=True)])
    [service] = (await api.get(f"{PATH}?from=2026-11-12&to=2026-11-15"))["services"]
    assert [day["state"] for day in service["days"]] == ["none", "down", "degraded", "up"]


async def test_incidents_maintenance_and_corrections_of_the_period_are_listed(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    await correct(db)
    await db.execute(
        "INSERT INTO incidents (id, title, severity, priority, author, public, created_at) VALUES "
        "('INC-2026-0001', 'Slow', 'high', 'P1', 'ann', true, %(at)s), "
        "('INC-2026-0002', 'Secret', 'low', 'P3', 'ann', false, %(at)s), "
        "('INC-2026-0003', 'Other service', 'low', 'P3', 'ann', true, %(at)s)",
        {"at": NOON - 30 * MINUTE},
    )
    await db.execute(
        "INSERT INTO incident_services VALUES ('INC-2026-0001', 'shop'), ('INC-2026-0002', 'shop'), "
        "('INC-2026-0003', 'elsewhere')"
    )
    cursor = await db.execute(
        "INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author, created_at) "
        "VALUES ('Upgrade', '{shop}', %(from)s, %(to)s, 'UTC', 'ann', %(at)s) RETURNING id",
        {"from": NOON - 20 * MINUTE, "to": NOON - 10 * MINUTE, "at": NOON - 30 * MINUTE},
    )
    [(window,)] = await cursor.fetchall()
    await db.execute(
        "INSERT INTO maintenance_occurrences VALUES (%s, %s, %s, '{shop}')",
        [window, NOON - 20 * MINUTE, NOON - 10 * MINUTE],
    )
    report = await api.get(NOVEMBER)
    assert [incident["id"] for incident in report["incidents"]] == ["INC-2026-0001"]
    assert report["incidents"][0]["services"] == ["shop"]
    assert [window["title"] for window in report["maintenance"]] == ["Upgrade"]
    [correction] = report["corrections"]
    assert (correction["effect"], correction["author"], correction["reason"]) == ("up", None, None)
    viewer = await create_user(db, "viewer")
    staff = await api.get(NOVEMBER, headers=viewer.headers)
    assert [incident["id"] for incident in staff["incidents"]] == ["INC-2026-0001", "INC-2026-0002"]
    [correction] = staff["corrections"]
    assert (correction["author"], correction["reason"]) == ("ann", "The proxy failed")
    october = await api.get(f"{PATH}?from=2026-11-01&to=2026-11-15&asOf=2026-11-15T11:25:00Z")
    assert (october["incidents"], october["maintenance"], october["corrections"]) == ([], [], [])


async def test_strangers_get_public_services_only(api: Api, db: Db) -> None:
    await add_policy(db)
    await add_policy(db, "tag", "internal", target=98)
    await watch(db)
    await add_service(db, "vault", name="Vault", public=False)
    await db.execute("UPDATE services SET tags = '{internal}', group_name = 'Hidden' WHERE id = 'vault'")
    await db.execute("UPDATE services SET tags = '{internal}' WHERE id = 'shop'")
    await set_clock(db, NOON + MINUTE)
    viewer = await create_user(db, "viewer")
    response = await api.http.get(f"{PATH}?period=2026-11&format=html")
    assert response.status_code == 200
    assert "Vault" not in response.text and "Hidden" not in response.text
    report = await api.get(NOVEMBER)
    assert [service["id"] for service in report["services"]] == ["shop"]
    assert {policy["subject"] for policy in report["policies"] if policy["scope"] == "tag"} == {None}
    for name in ("service=vault", "group=Hidden"):
        response = await api.http.get(f"{NOVEMBER}&{name}")
        assert error_fields(response) == [name.partition("=")[0]], name
    staff = await api.get(NOVEMBER, headers=viewer.headers)
    assert {service["id"] for service in staff["services"]} == {"shop", "vault"}
    assert {policy["subject"] for policy in staff["policies"] if policy["scope"] == "tag"} == {"internal"}


async def test_a_policy_with_all_terms_is_in_words(api: Api, db: Db) -> None:
    admin = await create_user(db)
    await watch(db, failed=range(31, 37))
    terms = {
        "scope": "service",
        "subject": "shop",
        "name": "Gold",
        "target": 99.9,
        "validFrom": "2026-11-01",
        "serviceHours": [{"days": [1, 2, 3, 4, 5, 6, 7], "from": "08:00", "until": "20:00"}],
        "responseTimeObjective": {"ms": 300, "share": 95},
        "credits": [{"below": 99.9, "credit": 10}, {"below": 99, "credit": 25}],
    }
    created = await api.http.post("/api/sla/policies", json=terms, headers=admin.headers)
    assert created.status_code == 201, created.text
    [policy] = (await api.get(NOVEMBER))["policies"]
    assert policy["credits"] == terms["credits"]
    page = await api.http.get(f"{NOVEMBER}&format=html")
    assert page.status_code == 200
    assert "Service credits: 10% of the fee below 99.9% uptime, 25% of the fee below 99% uptime." in page.text
    for form in ("csv", "xlsx", "pdf"):
        response = await api.http.get(f"{NOVEMBER}&format={form}")
        assert response.status_code == 200, (form, response.text)
