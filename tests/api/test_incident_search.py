"""Search for incidents: every filter, alone and combined, and invalid filters."""

from typing import Any

import pytest

from tests.api.conftest import Api, User, add_service
from tests.api.incidents import Db, add_update, change, create, error_fields, import_incidents

pytestmark = pytest.mark.one_engine


async def titles(api: Api, **filters: Any) -> list[str]:
    response = await api.get("/api/incidents", params={name.strip("_"): value for name, value in filters.items()})
    assert response["pagination"]["total"] == len(response["incidents"])
    return [incident["title"] for incident in response["incidents"]]


async def test_incidents_are_found_by_each_filter(api: Api, db: Db, reporter: User) -> None:
    for service in ("shop", "search"):
        await add_service(db, service)
    await create(api, reporter, title="A", severity="low", priority="P3", affectedServices=["shop"])
    b = await create(api, reporter, title="B", severity="critical", priority="P1", affectedServices=["shop", "search"])
    c = await create(api, reporter, title="C", severity="high", priority="P2")
    await add_update(api, reporter, b["id"], "monitoring")
    await add_update(api, reporter, c["id"], "resolved")
    assert await titles(api) == ["B", "A"]
    assert await titles(api, status="") == ["B", "A"]
    assert await titles(api, status="all") == ["C", "B", "A"]
    assert await titles(api, status="all,resolved") == ["C", "B", "A"]
    assert await titles(api, status="resolved") == ["C"]
    assert await titles(api, status="monitoring, investigating") == ["B", "A"]
    assert await titles(api, severity="high,critical") == ["C", "B"]
    assert await titles(api, priority="P3") == ["A"]
    assert await titles(api, service="search") == ["B"]
    assert await titles(api, service="shop,search") == ["B", "A"]
    assert await titles(api, service="nothing") == []
    assert await titles(api, service="shop", severity="low", status="investigating") == ["A"]
    assert await titles(api, service="shop", severity="high") == []


async def test_incidents_are_found_by_the_day_or_time_they_began(api: Api, db: Db, reporter: User) -> None:
    await db.execute("UPDATE installation SET time_zone = 'Asia/Seoul'")
    for title, at in ("A", "2026-03-01T14:59:59Z"), ("B", "2026-03-01T15:00:00Z"), ("C", "2026-03-02T15:00:00Z"):
        await create(api, reporter, title=title)
        await db.execute("UPDATE incidents SET created_at = %s WHERE title = %s", [at, title])
    assert await titles(api, from_="2026-03-02") == ["C", "B"]
    assert await titles(api, from_="2026-03-02", to="2026-03-02") == ["B"]
    assert await titles(api, to="2026-03-01") == ["A"]
    assert await titles(api, to="2026-03-01T15:00:00Z") == ["A"]
    assert await titles(api, from_="2026-03-02T00:00:00+09:00", to="2026-03-03T00:00:00+09:00") == ["B"]


async def test_text_is_found_literally_in_titles_descriptions_updates_and_ids(api: Api, db: Db, reporter: User) -> None:
    a = await create(api, reporter, title="100% Down", description="The DATABASE of Zürich")
    await create(api, reporter, title="snake_case", description="C:\\temp '; --")
    await add_update(api, reporter, a["id"], "identified", "A cable was CUT in Ávila")
    for text in ("100%", "database", "ZÜRICH", "cut in ávila", a["id"].lower()):
        assert await titles(api, q=text) == ["100% Down"], text
    for text in ("snake_case", "\\temp", "'; --", "C:\\"):
        assert await titles(api, q=text) == ["snake_case"], text
    for text in ("100_", "sn%e", "snakeXcase", "\\%", "nowhere"):
        assert await titles(api, q=text) == [], text
    assert await titles(api, q="%") == ["100% Down"]
    assert await titles(api, q="_") == ["snake_case"]
    await change(api, reporter, a["id"], public=False)
    assert await titles(api, q="Database") == []


async def test_text_is_searched_in_the_newest_ten_thousand_incidents(api: Api, db: Db) -> None:
    await import_incidents(db, 10001)
    assert await titles(api, q="old 2", limit=1, to="2020-01-01T12:00:03Z") == ["Old 2"]
    assert await titles(api, q="inc-2020-100002") == ["Old 2"]
    assert await titles(api, q="inc-2020-100001") == []
    assert await titles(api, q="inc-2020-100001", to="2020-01-01T13:00:00Z") == ["Old 1"]


async def test_without_filters_up_to_a_thousand_open_incidents_are_listed(api: Api, db: Db) -> None:
    await import_incidents(db, 1001)
    for query, limit in ("", 1000), ("?page=1", 1000), ("?limit=100", 100), ("?status=all", 100):
        response = await api.get(f"/api/incidents{query}")
        assert (len(response["incidents"]), response["pagination"]["limit"]) == (limit, limit)
        assert response["pagination"]["total"] == 1001


async def test_pages_contain_every_incident_once(api: Api, reporter: User) -> None:
    created = [(await create(api, reporter))["id"] for _ in range(7)]
    found = []
    for page in (1, 2, 3, 4):
        response = await api.get(f"/api/incidents?limit=3&page={page}")
        assert response["pagination"] == {"page": page, "limit": 3, "total": 7, "totalPages": 3}
        found += [incident["id"] for incident in response["incidents"]]
    assert found == created[::-1]


INVALID_FILTERS: list[tuple[str, str]] = [
    ("status", "open"),
    ("status", "resolved,,"),
    ("severity", "all"),
    ("severity", "HIGH"),
    ("priority", "P0"),
    ("priority", "\u0000"),
    ("service", "Not a slug"),
    ("service", "\u0000"),
    ("service", ",".join(["shop"] * 51)),
    ("from", "yesterday"),
    ("from", "2026-02-30"),
    ("from", "1999-01-01"),
    ("from", "2026-01-01T00:00:00"),
    ("from", "0001-01-01T00:00:00+14:00"),
    ("to", "9999-12-31T23:59:59-14:00"),
    ("to", "infinity"),
    ("to", "x" * 41),
    ("q", "a\u0000"),
    ("q", "x" * 201),
    ("page", "0"),
    ("page", "9" * 400),
    ("limit", "0"),
    ("limit", "101"),
    ("limit", "many"),
]


async def test_an_invalid_filter_is_refused_by_name(api: Api) -> None:
    for name, value in INVALID_FILTERS:
        assert error_fields(await api.http.get("/api/incidents", params={name: value})) == [name]


async def test_any_text_can_be_searched(api: Api, reporter: User) -> None:
    await create(api, reporter)
    for text in (b"%ED%A0%80", b"%FF", b"%F0%9F%94%A5", b"%27%22%3B--", b"%25s%25(q)s"):
        assert (await api.http.get(f"/api/incidents?q={text.decode()}")).status_code == 200
