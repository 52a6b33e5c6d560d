"""Holiday calendars over REST."""

import pytest

from tests.api.conftest import Api, User
from tests.api.test_sla_policies import admin, change, create, problems, send

__all__ = ["admin"]

pytestmark = pytest.mark.one_engine


async def test_holiday_calendars_are_created_replaced_and_deleted(api: Api, admin: User) -> None:
    path = "/api/sla/holidays/Korea%202026"
    days = [{"day": "2026-10-03", "name": "개천절"}, {"day": "2026-01-01", "name": "신정"}]
    saved = await send(api, admin, "PUT", path, {"days": days})
    calendar = {"name": "Korea 2026", "days": [days[1], days[0]]}
    assert (saved.status_code, saved.json()) == (200, {"calendar": calendar})
    assert await api.get("/api/sla/holidays", headers=admin.headers) == {"calendars": [calendar]}
    await send(api, admin, "PUT", path, {"days": days[:1]})
    [replaced] = (await api.get("/api/sla/holidays", headers=admin.headers))["calendars"]
    assert replaced["days"] == days[:1]
    assert (await send(api, admin, "DELETE", path)).status_code == 204
    assert (await send(api, admin, "DELETE", path)).json()["reason"] == "unknown_calendar_name"
    assert await api.get("/api/sla/holidays", headers=admin.headers) == {"calendars": []}


async def test_a_holiday_calendar_in_use_is_not_deleted(api: Api, admin: User) -> None:
    path = "/api/sla/holidays/Korea"
    await send(api, admin, "PUT", path, {"days": [{"day": "2026-10-03", "name": "개천절"}]})
    policy = await create(api, admin, holidayCalendar="Korea")
    await change(api, admin, policy, holidayCalendar=None)  # version 1 still uses it
    response = await send(api, admin, "DELETE", path)
    assert (response.status_code, response.json()["reason"]) == (409, "calendar_in_use")
    [calendar] = (await api.get("/api/sla/holidays", headers=admin.headers))["calendars"]
    assert len(calendar["days"]) == 1


async def test_invalid_holidays_are_refused_by_field(api: Api, admin: User) -> None:
    new_year = {"day": "2026-01-01", "name": "New Year"}
    for days, field, code in (
        ([new_year, new_year], "days[1]", "repeated"),
        ([{**new_year, "day": "1999-12-31"}], "days[0].day", "years"),
        ([{**new_year, "day": "2026-02-30"}], "days[0].day", "day"),
        ([{**new_year, "name": " "}], "days[0].name", "empty"),
        ([{"day": "2026-01-01"}], "days[0].name", "required"),
    ):
        assert problems(await send(api, admin, "PUT", "/api/sla/holidays/Korea", {"days": days})) == [(field, code)]
    for name, code in (("a%0Ab", "control_characters"), ("x" * 101, "too_long")):
        for method, body in (("PUT", {"days": []}), ("DELETE", None)):
            response = await send(api, admin, method, f"/api/sla/holidays/{name}", body)
            assert problems(response) == [("name", code)]
    assert await api.get("/api/sla/holidays", headers=admin.headers) == {"calendars": []}
