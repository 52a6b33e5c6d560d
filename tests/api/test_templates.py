"""Incident templates over REST: permissions, stored fields and invalid fields."""

import uuid
from typing import Any

import psycopg
import pytest

from api.incidents.fields import TemplateData
from api.incidents.records import template_data
from tests.api.conftest import Api, add_service, create_user

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
DATA = {"title": "The shop is down", "severity": "high", "priority": "P1", "affectedServices": ["shop"]}
WHOLE = DATA | {"description": "Nobody can buy", "update": "We are looking into it"}


async def create_template(api: Api, headers: dict[str, str], name: str, **fields: Any) -> Any:
    body = {"name": name, "data": DATA} | fields
    response = await api.http.post("/api/templates", json=body, headers=headers)
    assert response.status_code == 201, response.text
    return response.json()["data"]


async def test_a_template_is_created_read_changed_and_deleted(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    body = {"name": "Shop outage", "description": "When nobody can buy", "data": WHOLE}
    response = await api.http.post("/api/templates", json=body, headers=reporter.headers)
    assert response.status_code == 201
    created = response.json()["data"]
    assert list(created) == ["id", "name", "description", "data", "createdBy", "createdAt", "updatedAt"]
    assert (created["name"], created["description"], created["data"]) == ("Shop outage", "When nobody can buy", WHOLE)
    assert created["createdBy"] == reporter.username

    path = response.headers["location"]
    assert path == f"/api/templates/{created['id']}"
    assert (await api.get(path, headers=reporter.headers))["data"] == created

    response = await api.http.put(path, json={"name": "Shop", "data": DATA}, headers=reporter.headers)
    changed = response.json()["data"]
    assert (changed["name"], changed["description"]) == ("Shop", "When nobody can buy")
    assert changed["data"] == DATA | {"description": None, "update": None}
    response = await api.http.put(path, json={"description": None}, headers=reporter.headers)
    assert response.json()["data"]["description"] is None

    assert (await api.http.delete(path, headers=reporter.headers)).status_code == 204
    assert (await api.http.get(path, headers=reporter.headers)).status_code == 404
    cursor = await db.execute("SELECT action FROM audit_entries WHERE object_type = 'template' ORDER BY id")
    assert [action for (action,) in await cursor.fetchall()] == ["create", "update", "update", "delete"]


async def test_names_are_unique_without_regard_to_case(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    admin = await create_user(db)
    first = await create_template(api, admin.headers, "Shop outage")
    second = await create_template(api, admin.headers, "Other")
    again = await api.http.post("/api/templates", json={"name": "SHOP outage", "data": DATA}, headers=admin.headers)
    renamed = await api.http.put(f"/api/templates/{second['id']}", json={"name": "shop Outage"}, headers=admin.headers)
    for response in (again, renamed):
        assert response.status_code == 409
        assert response.json()["details"] == [{"field": "name", "message": "is already in use", "code": "taken"}]
    response = await api.http.put(f"/api/templates/{first['id']}", json={"name": "SHOP OUTAGE"}, headers=admin.headers)
    assert response.status_code == 200


async def test_text_is_searched_literally_and_results_have_pages(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    admin = await create_user(db)
    for name, description in [("100% loss", None), ("a_b", None), ("axb", "Loss of data"), ("back\\slash", None)]:
        await create_template(api, admin.headers, name, description=description)

    async def found(**query: Any) -> tuple[list[str], dict[str, int]]:
        response = await api.get("/api/templates", params=query, headers=admin.headers)
        return [template["name"] for template in response["data"]], response["pagination"]

    assert (await found(search="LOSS"))[0] == ["100% loss", "axb"]
    assert (await found(search="%"))[0] == ["100% loss"]
    assert (await found(search="a_b"))[0] == ["a_b"]
    assert (await found(search="\\"))[0] == ["back\\slash"]
    assert await found(page=2, limit=3) == (["back\\slash"], {"page": 2, "limit": 3, "total": 4, "totalPages": 2})
    assert await found(page=9, limit=3) == ([], {"page": 9, "limit": 3, "total": 4, "totalPages": 2})


@pytest.mark.parametrize("query", ["page=0", "limit=0", "limit=101", "page=99999999999999999999", "search=%00"])
async def test_invalid_parameters_are_refused_by_name(api: Api, db: Db, query: str) -> None:
    viewer = await create_user(db, "viewer")
    response = await api.http.get(f"/api/templates?{query}", headers=viewer.headers)
    assert response.status_code == 400
    assert response.json()["details"][0]["field"] == query.partition("=")[0]


async def test_invalid_templates_are_refused_by_field(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    admin = await create_user(db)
    invalid: list[tuple[dict[str, Any], str]] = [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"description": "a\x00b"}, "description"),
        ({"description": "x" * 2001}, "description"),
        ({"createdBy": "me"}, "createdBy"),
        ({"data": DATA | {"title": " "}}, "data.title"),
        ({"data": DATA | {"title": "x" * 256}}, "data.title"),
        ({"data": DATA | {"severity": "huge"}}, "data.severity"),
        ({"data": DATA | {"priority": "P9"}}, "data.priority"),
        ({"data": DATA | {"affectedServices": ["shop", "nothing"]}}, "data.affectedServices[1]"),
        ({"data": DATA | {"affectedServices": ["shop", "shop"]}}, "data.affectedServices[1]"),
        ({"data": DATA | {"affectedServices": ["a\x00b"]}}, "data.affectedServices[0]"),
        ({"data": DATA | {"affectedServices": ["shop\n"]}}, "data.affectedServices[0]"),
        ({"data": DATA | {"description": "\x00"}}, "data.description"),
        ({"data": DATA | {"update": "\x00"}}, "data.update"),
        ({"data": DATA | {"script": "rm"}}, "data.script"),
    ]
    created = await create_template(api, admin.headers, "Made")
    for fields, field in invalid:
        body = {"name": "New", "data": DATA} | fields
        responses = [
            await api.http.post("/api/templates", json=body, headers=admin.headers),
            await api.http.put(f"/api/templates/{created['id']}", json=fields, headers=admin.headers),
        ]
        for response in responses:
            assert response.status_code == 400, (fields, response.text)
            assert response.json()["details"][0]["field"] == field, (fields, response.text)
    surrogate = b'{"name": "\\ud800", "data": {}}'
    json = {"Content-Type": "application/json", **admin.headers}
    assert (await api.http.post("/api/templates", content=surrogate, headers=json)).status_code == 400


async def test_viewers_read_reporters_write_and_delete_their_own_and_admins_any(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    viewer, reporter, other, admin = [
        await create_user(db, role) for role in ("viewer", "reporter", "reporter", "admin")
    ]
    path = f"/api/templates/{(await create_template(api, reporter.headers, 'Mine'))['id']}"
    assert (await api.http.get("/api/templates")).status_code == 401
    assert (await api.http.get(path)).status_code == 401
    assert (await api.get("/api/templates", headers=viewer.headers))["pagination"]["total"] == 1
    for refused in (
        await api.http.post("/api/templates", json={"name": "V", "data": DATA}, headers=viewer.headers),
        await api.http.put(path, json={"name": "V"}, headers=viewer.headers),
        await api.http.delete(path, headers=viewer.headers),
        await api.http.delete(path, headers=other.headers),
    ):
        assert refused.status_code == 403
    assert (await api.http.put(path, json={"name": "Ours"}, headers=other.headers)).status_code == 200
    assert (await api.http.delete(path, headers=admin.headers)).status_code == 204


@pytest.mark.parametrize("template_id", ["nothing", "%00", str(uuid.UUID(int=0))])
async def test_a_missing_template_is_a_404(api: Api, db: Db, template_id: str) -> None:
    admin = await create_user(db)
    path = f"/api/templates/{template_id}"
    assert (await api.http.get(path, headers=admin.headers)).status_code == 404
    assert (await api.http.put(path, json={"name": "x"}, headers=admin.headers)).status_code == 404
    assert (await api.http.delete(path, headers=admin.headers)).status_code == 404


async def test_deleted_services_of_a_template_are_left_out_of_new_incidents(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await add_service(db, "pay")
    admin = await create_user(db)
    created = await create_template(api, admin.headers, "Both", data=WHOLE | {"affectedServices": ["shop", "pay"]})
    await db.execute("DELETE FROM services WHERE id = 'shop'")
    assert await template_data(db, created["id"]) == TemplateData(
        title="The shop is down",
        severity="high",
        priority="P1",
        affected_services=["pay"],
        description="Nobody can buy",
        update="We are looking into it",
    )
    template = await api.get(f"/api/templates/{created['id']}", headers=admin.headers)
    assert template["data"]["data"]["affectedServices"] == ["shop", "pay"]
    assert await template_data(db, "nothing") is None
    assert await template_data(db, str(uuid.UUID(int=0))) is None
