"""GET /api/sla/alerts: active and past alerts, newest first, with filters and pages; for staff only."""

import pytest

from tests.api.conftest import Api, add_service, create_user
from tests.api.incidents import error_fields
from tests.api.people import Db
from tests.api.test_sla_figures import MINUTE, NOON, add_policy, watch
from tests.sql.batches import set_clock, value

pytestmark = pytest.mark.one_engine
PATH = "/api/sla/alerts"


async def alert(db: Db) -> None:
    """Begins three alerts of `shop` at noon, after an outage of six minutes, and ends the one of the shortest windows
    five minutes later."""
    await add_policy(db, target=99.5)
    await watch(db, failed=range(1, 7))
    assert await value(db, "SELECT turn_alerts()") == 3
    await db.execute("UPDATE episodes SET ends_at = %s WHERE ends_at IS NULL", [NOON])
    await db.execute(
        "INSERT INTO episodes (service_id, location, starts_at, state) VALUES ('shop', 'local', %s, 'operational')",
        [NOON],
    )
    await set_clock(db, NOON + 5 * MINUTE)
    assert await value(db, "SELECT turn_alerts()") == 1


async def test_alerts_are_listed_newest_first_with_filters_and_pages(api: Api, db: Db) -> None:
    await alert(db)
    viewer = await create_user(db, "viewer")
    answer = await api.get(PATH, headers=viewer.headers)
    assert answer["pagination"] == {"page": 1, "limit": 50, "total": 3, "totalPages": 1}
    assert [one["windowSeconds"] for one in answer["alerts"]] == [259200, 21600, 3600]
    shortest = answer["alerts"][2]
    policy = await value(db, "SELECT id FROM sla_policies")
    assert shortest == {
        "id": shortest["id"],
        "service": {"id": "shop", "name": "Shop"},
        "kind": "burning",
        "severity": "page",
        "windowSeconds": 3600,
        "shortWindowSeconds": 300,
        "threshold": 14.4,
        "policy": {"id": str(policy), "version": 1, "name": "Standard", "target": 99.5},
        # 6 of 60 minutes, where the target allows 0.5 percent.
        "burnRate": pytest.approx(20),
        "budgetLeftSeconds": 12960 - 360,
        "startedAt": "2026-11-15T12:00:00.000Z",
        "endedAt": "2026-11-15T12:05:00.000Z",
    }

    async def windows(query: str) -> list[int]:
        listed = await api.get(f"{PATH}?{query}", headers=viewer.headers)
        return [one["windowSeconds"] for one in listed["alerts"]]

    assert await windows("active=true") == [259200, 21600]
    assert await windows("active=false") == [3600]
    assert await windows("service=shop&limit=2&page=2") == [3600]
    assert await windows("service=wiki") == []
    await db.execute("DELETE FROM services")
    [*_, last] = (await api.get(PATH, headers=viewer.headers))["alerts"]
    assert last["service"] == {"id": "shop", "name": None}


async def test_only_staff_see_alerts(api: Api, db: Db) -> None:
    await alert(db)
    assert (await api.http.get(PATH)).status_code == 401


async def test_invalid_filters_are_refused_by_name(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    viewer = await create_user(db, "viewer")
    for query in ("active=maybe", "service=%00", "page=0", "limit=101"):
        response = await api.http.get(f"{PATH}?{query}", headers=viewer.headers)
        assert error_fields(response) == [query.partition("=")[0]], query
