"""GET /api/sla/services/{serviceId}/timeline: spans with reasons, the burn-down, visibility and invalid windows."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from tests.api.conftest import Api, Check, add_service, create_user, record
from tests.api.incidents import error_fields
from tests.api.people import Db
from tests.api.test_sla_figures import MINUTE, MONTH_S, NOON, add_policy, watch
from tests.sql.batches import set_clock

PATH = "/api/sla/services/shop/timeline"
HOUR = timedelta(hours=1)


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ago(minutes: int) -> str:
    return iso(NOON - minutes * MINUTE)


async def add_correction(db: Db, effect: str, start: int, end: int, reason: str = "The proxy failed") -> UUID:
    """Adds a correction by Ann from `start` until `end` minutes before noon."""
    row = await (
        await db.execute(
            "INSERT INTO sla_corrections (scope, subject, effect, category, reason, starts_at, ends_at, time_zone, "
            "author) VALUES ('service', 'shop', %s, 'false_positive', %s, %s, %s, 'UTC', 'Ann') RETURNING id",
            [effect, reason, NOON - start * MINUTE, NOON - end * MINUTE],
        )
    ).fetchone()
    assert row is not None
    await db.execute(
        "INSERT INTO sla_correction_spans SELECT id, tstzrange(starts_at, ends_at) FROM sla_corrections WHERE id = %s",
        [row[0]],
    )
    return UUID(str(row[0]))


async def add_window(db: Db, title: str, starts_at: datetime, ends_at: datetime, *, public: bool = True) -> UUID:
    """Adds maintenance that was announced eight days before it begins."""
    row = await (
        await db.execute(
            "INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author, public) "
            "VALUES (%s, '{shop}', %s, %s, 'UTC', 'Ann', %s) RETURNING id",
            [title, starts_at, ends_at, public],
        )
    ).fetchone()
    assert row is not None
    await db.execute(
        "INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids) "
        "VALUES (%s, %s, %s, '{shop}')",
        [row[0], starts_at, ends_at],
    )
    await db.execute(
        "UPDATE maintenance_announcements SET announced_at = %s WHERE window_id = %s",
        [starts_at - timedelta(days=8), row[0]],
    )
    return UUID(str(row[0]))


async def test_spans_cover_the_window_from_the_first_check_until_now(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37), slow=range(11, 21))
    timeline = await api.get(PATH)
    assert timeline["service"] == {"id": "shop", "name": "Shop"}
    assert (timeline["from"], timeline["to"]) == ("2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z")
    spans = timeline["spans"]
    assert [(span["from"], span["to"], span["state"]) for span in spans] == [
        (ago(60), ago(36), "up"),
        (ago(36), ago(30), "down"),
        (ago(30), ago(20), "up"),
        (ago(20), ago(10), "degraded"),
        (ago(10), ago(0), "up"),
    ]
    assert [span["reasons"] for span in spans if span["state"] != "down"] == [[], [], [], []]
    [reason] = spans[1]["reasons"]
    assert reason == {
        "kind": "error",
        "from": ago(36),
        "to": ago(30),
        "error": "http_error",
        "message": None,
    }
    assert [(point["time"], point["leftSeconds"]) for point in timeline["burnDown"]] == [
        ("2026-11-01T00:00:00.000Z", pytest.approx(MONTH_S / 1000)),
        (ago(36), pytest.approx(MONTH_S / 1000)),
        (ago(30), pytest.approx(MONTH_S / 1000 - 360)),
        (ago(0), pytest.approx(MONTH_S / 1000 - 360)),
    ]


async def test_corrections_and_maintenance_are_the_reasons_of_their_spans(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 41))
    first = await add_correction(db, "up", 35, 30)
    second = await add_correction(db, "excluded", 15, 10, "Agreed with the customer")
    seen = await add_window(db, "New disks", NOON - 39 * MINUTE, NOON - 38 * MINUTE)
    await add_window(db, "Internal", NOON - 5 * MINUTE, NOON - 4 * MINUTE, public=False)
    timeline = await api.get(PATH)
    assert [(span["from"], span["to"], span["state"]) for span in timeline["spans"]] == [
        (ago(60), ago(40), "up"),
        (ago(40), ago(39), "down"),
        (ago(39), ago(38), "maintenance"),
        (ago(38), ago(35), "down"),
        (ago(35), ago(15), "up"),
        (ago(15), ago(10), "excluded"),
        (ago(10), ago(5), "up"),
        (ago(5), ago(4), "maintenance"),
        (ago(4), ago(0), "up"),
    ]
    reasons = [span["reasons"] for span in timeline["spans"]]
    assert [[one["kind"] for one in listed] for listed in reasons] == [
        *([], ["error"], ["maintenance"], ["error"], ["correction"], ["correction"], [], [], [])
    ]
    hidden = {"reason": None, "author": None}
    correction = {"kind": "correction", "category": "false_positive"}
    assert reasons[4] == [{**correction, "id": str(first), "effect": "up", "from": ago(35), "to": ago(30)} | hidden]
    assert reasons[5] == [
        {**correction, "id": str(second), "effect": "excluded", "from": ago(15), "to": ago(10)} | hidden
    ]
    assert reasons[2] == [
        {"kind": "maintenance", "id": str(seen), "title": "New disks", "from": ago(39), "to": ago(38)}
    ]

    staff = await api.get(PATH, headers=(await create_user(db, "reporter")).headers)
    assert staff["spans"][4]["reasons"] == [reasons[4][0] | {"reason": "The proxy failed", "author": "Ann"}]
    assert staff["spans"][7]["reasons"][0]["title"] == "Internal"
    viewer = await api.get(PATH, headers=(await create_user(db, "viewer")).headers)
    assert viewer["spans"][4]["reasons"] == reasons[4]
    assert viewer["spans"][7]["reasons"][0]["title"] == "Internal"


async def test_a_window_is_cut_at_its_bounds_and_as_of_ignores_later_corrections(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 41))
    await set_clock(db, NOON + MINUTE)
    await add_correction(db, "up", 36, 34)
    bounds = {"from": ago(38), "to": ago(32)}

    def states(timeline: Any) -> list[tuple[str, str, str]]:
        return [(span["from"], span["to"], span["state"]) for span in timeline["spans"]]

    timeline = await api.get(PATH, params=bounds)
    assert (timeline["from"], timeline["to"]) == (bounds["from"], bounds["to"])
    assert states(timeline) == [
        (ago(38), ago(36), "down"),
        (ago(36), ago(34), "up"),
        (ago(34), ago(32), "down"),
    ]
    # The budget is that of these six minutes: 0.36 s.
    assert [(point["time"], point["leftSeconds"]) for point in timeline["burnDown"]] == [
        (ago(38), pytest.approx(0.36)),
        (ago(36), pytest.approx(0.36 - 120)),
        (ago(34), pytest.approx(0.36 - 120)),
        (ago(32), pytest.approx(0.36 - 240)),
    ]
    assert states(await api.get(PATH, params=bounds | {"asOf": ago(0)})) == [(ago(38), ago(32), "down")]


async def test_the_burn_down_agrees_with_the_budget_of_the_figures(api: Api, db: Db) -> None:
    """With a change of the policy in the period, weighted degraded time and maintenance after now."""
    await add_policy(db, degraded_weight=0.25)
    await db.execute(
        "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author, recorded_at)"
        " SELECT id, 2, '2026-11-16', 'Weak', 99, 'UTC', 'ann', '2000-01-01 00:00Z' FROM sla_policies"
    )
    await watch(db, failed=range(31, 37), slow=range(11, 21))
    await add_window(db, "Next week", NOON + timedelta(days=7), NOON + timedelta(days=7, hours=2))
    level = await api.get("/api/sla/services/shop?period=2026-11")
    assert level["budget"]["totalSeconds"] == pytest.approx((15 * 0.001 + 15 * 0.01) * 86400 - 72)
    timeline = await api.get(PATH, params={"period": "2026-11"})
    assert timeline["burnDown"][0]["leftSeconds"] == pytest.approx(level["budget"]["totalSeconds"])
    assert timeline["burnDown"][-1]["leftSeconds"] == pytest.approx(level["budget"]["leftSeconds"])
    assert len(timeline["burnDown"]) == 6


@pytest.mark.one_engine
async def test_a_long_burn_down_has_400_exact_points(api: Api, db: Db) -> None:
    await add_policy(db)
    await set_clock(db, NOON)
    await add_service(db, "shop")
    ages = range(1000, 0, -1)
    await record(db, [Check("shop", NOON - age * MINUTE, ms=None if age % 4 < 2 else 50.0) for age in ages])
    points = (await api.get(PATH))["burnDown"]
    assert len(points) == 400
    assert (points[0]["time"], points[-1]["time"]) == ("2026-11-01T00:00:00.000Z", ago(0))
    assert points[0]["leftSeconds"] == pytest.approx(MONTH_S / 1000)
    for earlier, later in pairwise(points):
        elapsed = datetime.fromisoformat(later["time"]) - datetime.fromisoformat(earlier["time"])
        spent = earlier["leftSeconds"] - later["leftSeconds"]
        assert 0 <= spent <= elapsed.total_seconds() + 1e-6
    for point in points[1:]:
        until = (NOON - datetime.fromisoformat(point["time"]).astimezone(UTC)) // MINUTE
        failed = sum(60 for age in ages if age % 4 < 2 and age > until)
        assert point["leftSeconds"] == pytest.approx(MONTH_S / 1000 - failed)


@pytest.mark.one_engine
async def test_no_span_is_invented_outside_of_policies_and_after_now(api: Api, db: Db) -> None:
    await add_policy(db, valid_from="2026-11-16")
    await watch(db)
    response = await api.http.get(PATH)
    assert (response.status_code, response.json()["reason"]) == (404, "no_policy")
    response = await api.http.get(PATH, params={"from": ago(60), "to": ago(0)})
    assert (response.status_code, response.json()["reason"]) == (404, "no_policy")
    await set_clock(db, datetime(2026, 11, 16, 0, 1, tzinfo=UTC))
    timeline = await api.get(PATH, params={"from": ago(60), "to": "2026-11-17T00:00:00Z"})
    assert [(span["from"], span["to"]) for span in timeline["spans"]] == [
        ("2026-11-16T00:00:00.000Z", "2026-11-16T00:01:00.000Z")
    ]
    later = await api.get(PATH, params={"from": "2026-12-01T00:00:00Z", "to": "2026-12-02T00:00:00Z"})
    assert (later["spans"], later["burnDown"]) == ([], [])


@pytest.mark.one_engine
async def test_a_service_without_checks_has_its_whole_budget(api: Api, db: Db) -> None:
    await add_policy(db)
    await set_clock(db, NOON)
    await add_service(db, "shop")
    timeline = await api.get(PATH, params={"period": "2000-01"})
    assert timeline["spans"] == []
    level = await api.get("/api/sla/services/shop?period=2000-01")
    assert (level["uptime"], level["verdict"], level["coverage"]) == ("-", None, None)


@pytest.mark.one_engine
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("period=2026-13", "period"),
        ("period=2026-10", "period"),  # ended before the first check
        ("period=2026-11&from=2026-11-01T00:00:00Z", "period"),
        ("from=yesterday", "from"),
        ("from=2026-11-01T00:00:00", "from"),
        ("from=1999-12-31T00:00:00Z", "from"),
        ("from=2026-11-15T12:00:00Z", "from"),
        ("to=2026-11-15T12:00:00Z", "from"),
        ("from=2026-11-15T12:00:00Z&to=2026-11-15T11:00:00Z", "from"),
        ("from=2026-11-01T00:00:00Z&to=later", "to"),
        ("from=2026-11-01T00:00:00Z&to=2026-11-15T11:00:00Z", "to"),  # the first check
        ("from=2016-11-14T00:00:00Z&to=2026-11-15T12:00:00Z", "to"),
        ("asOf=x", "asOf"),
    ],
)
async def test_invalid_windows_are_refused_by_name(api: Api, db: Db, query: str, field: str) -> None:
    await add_policy(db)
    await watch(db)
    response = await api.http.get(f"{PATH}?{query}")
    assert error_fields(response) == [field], response.text


@pytest.mark.one_engine
async def test_too_many_spans_are_refused(api: Api, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    monkeypatch.setattr("api.sla.timeline.MAX_SPANS", 2)
    response = await api.http.get(PATH)
    assert error_fields(response) == ["to"]
    monkeypatch.setattr("api.sla.timeline.MAX_SPANS", 3)
    assert len((await api.get(PATH))["spans"]) == 3


@pytest.mark.one_engine
async def test_a_private_or_unknown_service_is_404(api: Api, db: Db) -> None:
    await add_policy(db)
    await add_service(db, "vault", public=False)
    for service in ("vault", "none", "all-systems"):
        response = await api.http.get(f"/api/sla/services/{service}/timeline")
        assert (response.status_code, response.json()["reason"]) == (404, "unknown_service_id"), service
