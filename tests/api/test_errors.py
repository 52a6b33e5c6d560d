"""Every error has the same shape and discloses no internals."""

import re
from typing import Any

import httpx
import psycopg
import pytest

from tests.api.conftest import Api, create_user, running_api

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
DEEP = b"[" * 100_000
JSON = {"content-type": "application/json"}


@pytest.fixture
async def api(api: Api, db: Db) -> Api:
    """The API, with requests of an admin, so that every error is due to the request itself."""
    api.http.headers.update((await create_user(db, "admin")).headers)
    return api


def assert_error(response: httpx.Response, status: int, code: str) -> Any:
    """Checks the shape of an error and that it discloses no internals, and returns its body."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) <= {"error", "code", "reason", "parameters", "details"}
    assert body["code"] == code
    assert isinstance(body["error"], str)
    for internal in ("Traceback", "SELECT", "INSERT", "psycopg", ".py", "site-packages", "/tmp"):
        assert internal not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["referrer-policy"] == "same-origin"
    return body


REFUSALS = [
    ("GET", "/nothing", 404, "NOT_FOUND"),
    ("GET", "/api/nope", 404, "NOT_FOUND"),
    ("GET", "/api/uptime/", 404, "NOT_FOUND"),
    ("GET", "/api/uptime/NOT-A-SLUG", 404, "NOT_FOUND"),
    ("GET", "/api/uptime/%ff%00", 404, "NOT_FOUND"),
    ("GET", "/api/uptime/a%3Fb", 404, "NOT_FOUND"),
    ("GET", "/api/services/" + "x" * 5000, 404, "NOT_FOUND"),
    ("DELETE", "/api/services/nope", 404, "NOT_FOUND"),
    ("POST", "/api/system-status", 405, "VALIDATION_ERROR"),
    ("PUT", "/api/services", 405, "VALIDATION_ERROR"),
    ("GET", "/api/uptime/shop?months=0", 400, "VALIDATION_ERROR"),
    ("GET", "/api/uptime/shop?months=25", 400, "VALIDATION_ERROR"),
    ("GET", "/api/uptime/shop?months=" + "9" * 400, 400, "VALIDATION_ERROR"),
    ("GET", "/api/uptime/shop?months=%ff", 400, "VALIDATION_ERROR"),
    ("GET", "/api/uptime/shop?startDate=2026-02-30", 400, "VALIDATION_ERROR"),
    ("GET", "/api/uptime/shop?startDate=9999-12-31", 400, "VALIDATION_ERROR"),
    ("GET", "/api/services?details=perhaps", 400, "VALIDATION_ERROR"),
]


async def test_every_refusal_has_the_same_shape(api: Api) -> None:
    for method, path, status, code in REFUSALS:
        body = assert_error(await api.http.request(method, path), status, code)
        if status == 400:
            assert body["details"][0]["field"] in ("months", "startDate", "details")


NOT_JSON = [
    b"",
    b"[",
    b"null",
    b"[]",
    b"\xff\xfe",
    b'{"name": "\xff"}',
    b'{"name": "\\ud800"}',
    b'{"intervalSeconds": NaN}',
    b'{"intervalSeconds": Infinity}',
    b'{"intervalSeconds": 1e999}',
    DEEP,
    b'{"tags": ' + DEEP,
    b'{"unknown": ' + DEEP + b"]" * 100_000 + b"}",
]


async def test_a_body_that_is_not_json_is_a_400(api: Api) -> None:
    for body in NOT_JSON:
        response = await api.http.post("/api/services", content=body, headers=JSON)
        assert assert_error(response, 400, "VALIDATION_ERROR")["details"][0]["field"] == "body"


async def test_a_too_large_body_is_a_413_and_another_media_type_a_415(api: Api) -> None:
    large = await api.http.post("/api/services", content=b" " * 300_000, headers=JSON)
    assert_error(large, 413, "VALIDATION_ERROR")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        response = await api.http.post("/api/services", content=b"{}", headers={"content-type": kind})
        assert_error(response, 415, "VALIDATION_ERROR")


async def test_a_server_error_discloses_nothing_else(api: Api, db: Db, caplog: pytest.LogCaptureFixture) -> None:
    await db.execute("ALTER TABLE services RENAME COLUMN name TO renamed")
    response = await api.http.get("/api/services")
    assert_error(response, 500, "SERVER_ERROR")
    assert any("failed: UndefinedColumn" in record.message for record in caplog.records)
    uncached = await api.http.get("/api/services/shop")
    assert_error(uncached, 500, "SERVER_ERROR")
    assert uncached.headers["x-request-id"] in caplog.text


async def test_changes_from_other_origins_are_refused(api: Api) -> None:
    for origin, allowed in (("http://evil.example", False), ("null", False), ("http://front.example", True)):
        response = await api.http.delete("/api/services/nope", headers={"origin": origin})
        assert_error(response, *((404, "NOT_FOUND") if allowed else (403, "FORBIDDEN")))


async def test_cors_is_for_the_configured_front_ends_only(api: Api) -> None:
    preflight = {"access-control-request-method": "PATCH", "access-control-request-headers": "content-type"}
    allowed = await api.http.options("/api/services/x", headers={"origin": "http://front.example", **preflight})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, "http://front.example")
    assert "PATCH" in allowed.headers["access-control-allow-methods"]
    evil = await api.http.options("/api/services/x", headers={"origin": "http://evil.example", **preflight})
    assert "access-control-allow-origin" not in evil.headers
    for path in ("/api/system-status", "/api/nope", "/api/services?details=true"):
        for _ in range(2):  # computed, then cached
            response = await api.http.get(path, headers={"origin": "http://front.example"})
            assert response.headers["access-control-allow-origin"] == "http://front.example"
            other = await api.http.get(path, headers={"origin": "http://evil.example"})
            assert "access-control-allow-origin" not in other.headers
            assert other.headers["vary"] == "Origin"


async def test_head_is_get_without_a_body(api: Api) -> None:
    for path in ("/health", "/api/system-status", "/api/system-status", "/api/services?details=true"):
        response = await api.http.head(path)
        assert (response.status_code, response.content) == (200, b"")
        assert int(response.headers["content-length"]) > 0


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3001", "127.0.0.1.evil.example", "[::bad"])
async def test_an_unknown_host_name_is_refused(api: Api, host: str) -> None:
    """DNS rebinding: if evil.example pointed to this server, its pages would have the same origin."""
    page = {"host": host, "origin": f"http://{host}"}
    assert_error(await api.http.get("/api/services?details=true", headers=page), 400, "VALIDATION_ERROR")
    new = {"id": "x", "name": "X", "endpointUrl": "http://127.0.0.1/"}
    assert_error(await api.http.post("/api/services", json=new, headers=page), 400, "VALIDATION_ERROR")
    await api.get("/api/services")  # cached from here on
    for path in ("/api/services", "/api/system-status"):
        assert_error(await api.http.get(path, headers=page), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("host", ["localhost:3001", "api:3001", "127.0.0.1", "[::1]:3001", "status.example.com"])
async def test_addresses_bare_names_and_allowed_hosts_are_accepted(database: str, host: str) -> None:
    async with running_api(database, allowed_hosts=("status.example.com",)) as api:
        assert (await api.http.get("/api/no-such-thing", headers={"host": host})).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/services", {"id": "a", "name": "A", "endpointUrl": "http://a/", "enabled": 0}, "enabled"),
        (
            "/api/services",
            {"id": "a", "name": "A", "endpointUrl": "http://a/", "intervalSeconds": "60"},
            "intervalSeconds",
        ),
        ("/api/services", {"id": "a", "name": "A", "endpointUrl": "http://a/", "tags": "x"}, "tags"),
        ("/api/tokens", {"name": "a", "role": "viewer", "expiresAt": 1795442400}, "expiresAt"),
        ("/api/templates", {"name": "a", "data": {"title": 5}}, "data.title"),
        ("/api/templates", {"name": "a", "data": {}}, "data.title"),
    ],
)
async def test_values_in_a_body_are_not_converted_to_other_types(
    api: Api, path: str, body: dict[str, Any], field: str
) -> None:
    """0 is not false, "60" is not a number, and a number is not a time, as in the OpenAPI document."""
    body = assert_error(await api.http.post(path, json=body), 400, "VALIDATION_ERROR")
    assert body["details"][0]["field"] == field


async def test_options_lists_every_method_of_a_path(api: Api) -> None:
    described = (await api.get("/openapi.json"))["paths"]
    for path, operations in described.items():
        methods = {method.upper() for method in operations} | {"HEAD", "OPTIONS"}
        if "get" not in operations:
            methods.remove("HEAD")
        response = await api.http.options(re.sub(r"{\w+}", "1", path))
        assert set(response.headers.get("allow", "").split(", ")) == methods, path
