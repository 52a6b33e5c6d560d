"""Hostile bodies, queries, ids and texts are refused with the name of the field, or stored and returned as plain
JSON."""

from uuid import uuid4

import msgspec
import pytest

from tests.api import raw
from tests.api.attacks import admin, no_server_error
from tests.api.conftest import Api, User
from tests.api.people import Db
from tests.api.published import routes
from tests.api.resources import INCIDENT

__all__ = ["admin", "no_server_error"]

HOSTILE_BODIES: tuple[bytes, ...] = (
    b"",
    b"null",
    b"[]",
    b"1",
    b'"x"',
    b"{",
    b'{"title": NaN}',
    b'{"title": Infinity}',
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"title": ' + b"9" * 400 + b"}",
    b'{"title": "\\u0000"}',
    b'{"name": "\\u0000", "username": "\\u0000", "text": "\\u0000", "password": "\\u0000", "token": "\\u0000"}',
    b'{"title": "\\ud800"}',
    b'{"name": "\\udfff", "username": "\\ud800", "text": "\\ud800", "password": "\\ud800"}',
    b'{"title": "a", "title": "b"}',
    b'{"\\u0000": 1}',
    b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>",
)


@pytest.mark.one_engine
async def test_no_body_makes_the_server_fail(api: Api, db: Db, admin: User) -> None:
    """Every route that reads a body refuses one that is not a JSON object."""
    for row in (row for row in routes() if row.method in ("POST", "PUT", "PATCH")):
        path = row.path.replace("{incident_id}", "INC-1999-0001").replace("{service_id}", "shop")
        path = path.replace("{comment_id}", "1")
        while "{" in path:
            path = path[: path.index("{")] + str(uuid4()) + path[path.index("}") + 1 :]
        if path == "/api/auth/logout" or path.endswith(("/heartbeat/key", "/withdraw")) or path.startswith("/ping/"):
            continue  # they read no body, and a logout would end the session
        for hostile in HOSTILE_BODIES:
            headers = {**admin.headers, "Content-Type": "application/json"}
            response = await api.http.request(row.method, path, content=hostile, headers=headers)
            assert response.status_code in (400, 404, 413), (row.method, path, hostile[:50], response.text)
        for media_type in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
        ):
            headers = {**admin.headers, "Content-Type": media_type}
            response = await api.http.request(row.method, path, content=b"{}", headers=headers)
            assert response.status_code in (400, 404, 415), (row.method, path, media_type, response.text)
        too_much = await api.http.request(row.method, path, content=b'"' + b"x" * 2_000_000 + b'"', headers=headers)
        assert too_much.status_code in (400, 413, 415), (row.method, path)


HOSTILE_QUERIES = (
    "\0",
    "%00",
    "'; DROP TABLE incidents; --",
    "\\",
    "%",
    "_" * 300,
    "(" * 200,
    "a" * 5000,
    "9" * 400,
    "-1",
    "NaN",
    "1e999",
    "[]",
    "{}",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "../../etc/passwd",
    "all,all,",
    "0001-01-01T00:00:00-24:00",
    "99999-01-01",
)


async def test_no_query_makes_the_server_fail(api: Api, db: Db, admin: User) -> None:
    described = await api.get("/openapi.json")
    requests = 0
    for path, methods in described["paths"].items():
        if "get" not in methods or "{" in path:
            continue
        names = [item["name"] for item in methods["get"].get("parameters", []) if item["in"] == "query"]
        for name in (*names, "unknown"):
            for hostile in HOSTILE_QUERIES:
                response = await api.http.get(path, params={name: hostile}, headers=admin.headers)
                assert response.status_code in (200, 400), (path, name, hostile, response.text)
                requests += 1
    assert requests > 300


HOSTILE_IDS = (
    "%00",
    "..%2f..%2fetc%2fpasswd",
    "%0d%0aSet-Cookie:%20a=b",
    "x%0d%0a%0d%0a<script>",
    "%ff%fe",
    "9" * 400,
    "-1",
    "null",
    "undefined",
    "__proto__",
    "%27%20OR%20true--",
    "INC-2026-0001%00",
    "%F0%9F%98%80",
    "x" * 5000,
    "*",
    "%25",
)


@pytest.mark.one_engine
async def test_no_id_makes_the_server_fail_or_returns_another_resource(api: Api, db: Db, admin: User) -> None:
    port = api.settings.api_port
    for row in (row for row in routes() if "{" in row.path):
        for hostile in HOSTILE_IDS:
            path = row.path
            while "{" in path:
                path = path[: path.index("{")] + hostile + path[path.index("}") + 1 :]
            body = b"{}" if row.method in ("POST", "PUT", "PATCH") else b""
            response = await raw.send_request(port, row.method, path, admin.headers, body)
            assert response.status in (400, 404), (row.method, path, response)
            assert "set-cookie" not in response.headers and b"<script>" not in response.body, (row.method, path)


# Texts that other users see

HOSTILE_TEXTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "[x](javascript:alert(1))",
    "{{7*7}} ${7*7} #{7*7} <%= 7*7 %> {% raw %}",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1",
    "@SUM(A1)",
    "<!channel> <@U123> <http://evil.example|bank>",
    "a\u202egnp.exe",
    "\ufeff\u200b\u2028\u2029",
    "'; DROP TABLE incidents; --",
    "%s %(x)s {0} %n",
    "\U0001f600 한국어 e\u0301",
)


@pytest.mark.one_engine
async def test_hostile_text_is_stored_unchanged_and_returned_as_json(api: Api, db: Db, admin: User) -> None:
    for text in HOSTILE_TEXTS:
        new = {**INCIDENT, "title": text, "description": text, "detectionCriteria": text, "reporter": text}
        response = await api.http.post("/api/incidents", json=new, headers=admin.headers)
        assert response.status_code in (201, 400), (text, response.text)
        if response.status_code == 400:  # a title needs a visible character
            assert text == "\ufeff\u200b\u2028\u2029" or not text.isprintable(), text
            continue
        path = f"/api/incidents/{response.json()['incident']['id']}"
        await api.http.post(f"{path}/comments", json={"text": text, "public": True}, headers=admin.headers)
        read = await api.http.get(path)
        incident = read.json()["incident"]
        assert {incident[name] for name in ("title", "description", "detectionCriteria", "reporter")} == {text}
        for each in (response, read, await api.http.get("/api/incidents"), await api.http.get(f"{path}/comments")):
            assert each.headers["content-type"].split(";")[0] == "application/json"
            assert each.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in each.headers["content-security-policy"]
            msgspec.json.decode(each.content)
