"""Rules for values in requests that are the same for every route."""

import psycopg
import pytest

from tests.api.conftest import Api, add_service, create_user

pytestmark = pytest.mark.one_engine

RANGES = (
    "/api/maintenance?from={year}-03-01T00:00:00Z&to={year}-03-02T00:00:00Z",
    "/api/response-times/shop?from={year}-03-01T00:00:00Z&to={year}-03-02T00:00:00Z",
    "/api/uptime/shop?startDate={year}-03-01",
    "/api/incidents?from={year}-03-01&to={year}-03-02",
)


@pytest.mark.parametrize("path", RANGES)
async def test_the_years_from_2000_to_2100_are_accepted(
    api: Api, db: psycopg.AsyncConnection[object], path: str
) -> None:
    await add_service(db, "shop")
    statuses = {year: (await api.http.get(path.format(year=year))).status_code for year in (1999, 2000, 2100, 2101)}
    assert statuses == {1999: 400, 2000: 200, 2100: 200, 2101: 400}


async def test_a_repeated_value_is_named_by_its_position(api: Api, db: psycopg.AsyncConnection[object]) -> None:
    await add_service(db, "shop")
    admin = await create_user(db, "admin")
    twice = ["shop", "shop"]
    window = {"title": "Disks", "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-02T00:00:00Z"}
    incident = {"title": "Down", "severity": "low", "priority": "P3", "affectedServices": twice}
    service = {"id": "pay", "name": "Pay", "endpointUrl": "https://pay.example/", "tags": ["eu", "de", "eu"]}
    for path, body, field in (
        ("/api/maintenance", window | {"affectedServices": twice}, "affectedServices[1]"),
        ("/api/incidents", incident, "affectedServices[1]"),
        ("/api/templates", {"name": "Outage", "data": incident}, "data.affectedServices[1]"),
        ("/api/services", service, "tags[2]"),
    ):
        response = await api.http.post(path, json=body, headers=admin.headers)
        assert response.status_code == 400
        assert [(one["field"], one["code"]) for one in response.json()["details"]] == [(field, "repeated")], path
