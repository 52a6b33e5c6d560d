"""/console/services: services are added, changed and deleted in forms."""

from typing import Any

import pytest

from api.console.service_form import body, of_service, problems
from api.services.fields import FAMILIES
from sla_monitor.texts.languages import texts
from tests.api.conftest import Api, add_service, create_user
from tests.api.people import Db
from tests.api.visitors import Visitor, invalid_fields, redirect_target, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/services"
NEW = {"id": "shop", "name": "Shop", "endpointUrl": "https://shop.example/health"}
FULL = {
    **NEW,
    "description": "Sells\nthings",
    "method": "POST",
    "headers": "Accept: text/html\nAuthorization: Bearer a:b",
    "body": "\n  {}",
    "expectedStatusCodes": "200, 204,301",
    "keyword": "ok",
    "keywordAbsent": "error",
    "jsonPath": "$.status",
    "jsonValue": "up",
    "intervalSeconds": "30",
    "timeoutMs": "5000",
    "degradedAfterMs": "800",
    "retries": "2",
    "followRedirects": "0",
    "group": "Sales",
    "tags": "eu, shop",
    "verifyTls": None,
    "enabled": None,
    "public": None,
}


@pytest.fixture
async def admin(api: Api, db: Db) -> Visitor:
    return await visitor(api, await create_user(db, "admin", "ada"))


async def stored(db: Db, service_id: str = "shop") -> dict[str, Any]:
    cursor = await db.execute("SELECT to_jsonb(services) FROM services WHERE id = %s", [service_id])
    [(row,)] = await cursor.fetchall()
    found: dict[str, Any] = row
    return found


async def test_three_fields_are_enough(admin: Visitor, db: Db) -> None:
    assert redirect_target(await admin.fill(f"{HERE}/new", HERE, **NEW)) == f"{HERE}?done=created"
    row = await stored(db)
    assert (row["method"], row["expected_status_codes"], row["interval_seconds"]) == ("GET", [200], 60)
    assert row["verify_tls"] and row["enabled"] and row["public"] and row["body"] is None
    page = await admin.get(f"{HERE}?done=created")
    assert "The service has been added." in page.text and "not checked yet" in page.text


async def test_every_field_is_stored_and_shown_and_saved_unchanged(admin: Visitor, db: Db) -> None:
    redirect_target(await admin.fill(f"{HERE}/new", HERE, **FULL))
    row = await stored(db)
    assert row["headers"] == {"Accept": "text/html", "Authorization": "Bearer a:b"}
    assert (row["body"], row["expected_status_codes"], row["tags"]) == ("\n  {}", [200, 204, 301], ["eu", "shop"])
    assert (row["group_name"], row["follow_redirects"], row["retries"]) == ("Sales", 0, 2)
    assert not row["verify_tls"] and not row["enabled"] and not row["public"]
    assert redirect_target(await admin.fill(f"{HERE}/shop")) == f"{HERE}?done=saved"
    assert {**await stored(db), "updated_at": None} == {**row, "updated_at": None}


async def test_cleared_fields_are_stored_as_empty(admin: Visitor, db: Db) -> None:
    redirect_target(await admin.fill(f"{HERE}/new", HERE, **FULL))
    names = ("description", "headers", "body", "keyword", "keywordAbsent", "jsonPath", "jsonValue", "group", "tags")
    redirect_target(await admin.fill(f"{HERE}/shop", **dict.fromkeys(names, "")))
    row = await stored(db)
    assert (row["description"], row["body"], row["json_path"], row["group_name"]) == (None, None, None, None)
    assert (row["headers"], row["tags"]) == ({}, [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "Not a slug"),
        ("id", "taken"),
        ("name", ""),
        ("endpointUrl", "ftp://shop.example"),
        ("headers", "no colon"),
        ("headers", "A: 1\na: 2"),
        ("headers", "Content-Length: 5"),
        ("expectedStatusCodes", "200-299"),
        ("expectedStatusCodes", "99"),
        ("expectedStatusCodes", ""),
        ("timeoutMs", "60001"),
        ("timeoutMs", "many"),
        ("retries", ""),
        ("jsonValue", "up"),
        ("tags", "eu, eu"),
        ("endpointUrl", "http://a\u200cb.example/"),
    ],
)
async def test_invalid_values_are_marked_and_all_are_kept(admin: Visitor, db: Db, field: str, value: str) -> None:
    await add_service(db, "taken")
    response = await admin.fill(f"{HERE}/new", HERE, **{**NEW, "description": "<b>", "public": None, field: value})
    assert response.status in (400, 409)
    assert invalid_fields(response) == {field}
    form = response.form(HERE)
    assert (form.value(field), form.value("description"), form.values("public")) == (value, "<b>", [])
    _, within, before = response.text.partition(f'id="problem-{field}"')[0].rpartition("<details")
    assert not within or "</details>" in before or " open>" in before, "the section with the error must be open"


@pytest.mark.parametrize(("method", "codes"), [("HEAD", "200"), ("GET", "204")])
async def test_a_keyword_is_invalid_where_the_response_has_no_body(admin: Visitor, method: str, codes: str) -> None:
    values = {**NEW, "method": method, "expectedStatusCodes": codes, "keyword": "ok", "jsonPath": "$.a"}
    response = await admin.fill(f"{HERE}/new", HERE, **values)
    assert (response.status, invalid_fields(response)) == (400, {"keyword", "jsonPath"})
    assert "has no body" in response.text


async def test_a_denied_target_is_stored_with_a_warning(admin: Visitor, db: Db) -> None:
    denied = {**NEW, "endpointUrl": "http://169.254.169.254/"}
    assert redirect_target(await admin.fill(f"{HERE}/new", HERE, **denied)) == f"{HERE}?done=created_denied"
    page = await admin.get(f"{HERE}?done=created_denied")
    assert "has been added, but it cannot be checked" in page.text and 'class="notice stale"' in page.text
    assert "This service cannot be checked" in (await admin.get(f"{HERE}/shop")).text
    assert redirect_target(await admin.fill(f"{HERE}/shop", name="Store")) == f"{HERE}?done=saved_denied"
    page = await admin.get(f"{HERE}?done=saved_denied")
    assert "has been saved, but it cannot be checked" in page.text and "PROBE_DENY_NETWORKS" in page.text
    moved = await admin.fill(f"{HERE}/shop", endpointUrl=" HTTP://shop.example/ ")
    assert redirect_target(moved) == f"{HERE}?done=saved"
    assert (await stored(db))["endpoint_url"] == "http://shop.example/"
    assert "cannot be checked" not in (await admin.get(f"{HERE}/shop")).text


async def test_a_service_of_services_toml_cannot_be_edited(admin: Visitor, db: Db) -> None:
    await add_service(db, "shop", declared_in="services.toml")
    page = await admin.get(f"{HERE}/shop")
    assert "declared in services.toml" in page.text
    assert page.form(f"{HERE}/shop").disabled and f"{HERE}/shop/delete" not in page.text
    assert "Save" not in page.text
    refused = await admin.submit(page.form(f"{HERE}/shop"), name="Mine", public="1")
    assert (refused.status, (await stored(db))["name"]) == (409, "Shop")
    assert "services.toml" in refused.text
    assert (await admin.fill(f"{HERE}/shop/delete")).status == 409


async def test_deleting_needs_a_confirmation_and_keeps_the_checks(admin: Visitor, db: Db) -> None:
    await add_service(db, "shop")
    page = await admin.get(f"{HERE}/shop/delete")
    assert "checks stay until" in page.text
    assert redirect_target(await admin.submit(page.form(f"{HERE}/shop/delete"))) == f"{HERE}?done=deleted"
    await admin.get(f"{HERE}/shop", status=404)
    await admin.get(f"{HERE}/No%20slug", status=404)


def test_the_values_of_a_form_become_the_body_of_a_request() -> None:
    service = FAMILIES["http"].stored(
        id="shop",
        name="Shop",
        endpoint_url="http://shop.example/",
        headers={"A": "b: c"},
        expected_status_codes=[200, 500],
        interval_seconds=30,
        timeout_ms=1000,
        degraded_after_ms=500,
        tags=["a", "b"],
    )
    values = of_service(service)
    request = body({name: str(value) if isinstance(value, int) else value for name, value in values.items()})
    assert problems(values, texts("en", "UTC")) == {}
    assert (request["headers"], request["expectedStatusCodes"], request["tags"]) == (
        {"A": "b: c"},
        [200, 500],
        ["a", "b"],
    )
    assert (request["intervalSeconds"], request["keyword"], request["group"]) == (30, None, None)
