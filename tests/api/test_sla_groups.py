"""GET /api/sla/groups: the figures of groups of public services."""

from tests.api.conftest import Api, add_service, until
from tests.api.incidents import error_fields
from tests.api.people import Db
from tests.api.test_sla_figures import MONTH_S, NOON, add_policy, watch
from tests.sql.batches import set_clock


async def test_all_services_come_first_and_then_each_group(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    await db.execute("UPDATE services SET group_name = 'Sales'")

    async def has_group() -> bool:
        return len((await api.get("/api/sla/groups"))["groups"]) == 2

    await until(has_group)
    found = await api.get("/api/sla/groups?period=2026-11")
    assert (found["from"], found["to"]) == ("2026-11-01", "2026-11-30")
    everything, sales = found["groups"]
    assert (everything["group"], sales["group"]) == (None, "Sales")
    assert everything == {**sales, "group": None}
    assert (sales["services"], sales["method"], sales["target"]) == (1, "worst", 99.9)
    assert (sales["uptime"], sales["verdict"], sales["outages"]) == ("90.00", "missed", 1)
    assert sales["budget"]["spentSeconds"] == 360
    assert abs(sales["budget"]["totalSeconds"] - MONTH_S / 1000) < 1e-6


async def test_private_services_do_not_count(api: Api, db: Db) -> None:
    await add_policy(db)
    await set_clock(db, NOON)
    await add_service(db, "vault", public=False)
    assert (await api.get("/api/sla/groups"))["groups"] == []


async def test_a_response_is_cached_and_has_an_etag(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    response = await api.http.get("/api/sla/groups?period=2026-11")
    known = {"If-None-Match": response.headers["etag"]}
    assert (await api.http.get("/api/sla/groups?period=2026-11", headers=known)).status_code == 304


async def test_a_period_that_does_not_exist_is_refused(api: Api) -> None:
    assert error_fields(await api.http.get("/api/sla/groups?period=2026-13")) == ["period"]
    assert error_fields(await api.http.get("/api/sla/groups?asOf=yesterday")) == ["asOf"]
