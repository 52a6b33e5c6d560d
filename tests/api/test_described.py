"""Responses match the OpenAPI document: the status, the content type, the headers and every field."""

import itertools
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, get_args

import httpx
import pytest
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from api.operations.description import HEADERS
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, Check, add_service, now, record, running_api
from tests.api.people import Db, Kind, Principal, create_principal
from tests.api.published import Row, routes
from tests.api.resources import INCIDENT, WINDOW, Resources, Whose, body

KINDS: tuple[Kind, ...] = ("anonymous", "viewer", "reporter", "admin", "admin's token", "disabled admin")
NOT_JSON: tuple[tuple[str, bytes], ...] = (
    ("application/json", b"{"),
    ("application/json", b'{"unknown": 1}'),
    ("text/plain", b"{}"),
    ("application/json", b'"' + b"x" * 300_000 + b'"'),
)
pytestmark = pytest.mark.usefixtures("cheap")


class CheckedApi:
    """Sends requests to the API and compares each response with the OpenAPI document."""

    def __init__(self, api: Api, document: dict[str, Any]) -> None:
        self._api = api
        self._components: dict[str, Any] = document["components"]
        self.paths: dict[str, Any] = document["paths"]
        self._validators: dict[str, Validator] = {}
        self.received: set[tuple[str, str, int]] = set()
        for schema in self._components["schemas"].values():
            if "properties" in schema:  # a response may only contain described fields
                schema.setdefault("additionalProperties", False)

    def rows(self) -> list[Row]:
        return [row for row in routes() if row.method.lower() in self.paths.get(row.path, {})]

    async def request(self, method: str, path: str, to: str | None = None, **options: Any) -> httpx.Response:
        """Sends a request to `to`, a path of the route `path`, or to `path` itself, and checks the response."""
        response = await self._api.http.request(method, to or path, **options)
        what = f"{method} {to or path}: {response.status_code} {response.text[:300]}"
        responses = self.paths[path][method.lower()]["responses"]
        assert str(response.status_code) in responses, f"{what} is not described"
        described = responses[str(response.status_code)]
        self.received.add((method, path, response.status_code))
        present = {name for name in HEADERS if name in response.headers}
        assert present <= described["headers"].keys(), what
        for name in described["headers"]:
            self._check_header(self._components["headers"][name], response.headers.get(name), what)
        content: Mapping[str, Any] = described.get("content", {})
        if not response.content:
            assert content == {}, what
            return response
        media_type = response.headers["content-type"].partition(";")[0]
        assert media_type in content, what
        value = response.json() if media_type == "application/json" else response.text
        problems = [problem.message for problem in self._validator(content[media_type]["schema"]).iter_errors(value)]
        assert problems == [], what
        return response

    def _check_header(self, header: Mapping[str, Any], value: str | None, what: str) -> None:
        assert value is not None or not header.get("required"), what
        if value is not None:
            read = int(value) if header["schema"].get("type") == "integer" else value
            assert self._validator(header["schema"]).is_valid(read), what

    def _validator(self, schema: dict[str, Any]) -> Validator:
        key = repr(schema)
        if key not in self._validators:
            whole = {**schema, "components": self._components}
            self._validators[key] = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
        return self._validators[key]


@pytest.fixture
async def checked(api: Api) -> CheckedApi:
    return CheckedApi(api, await api.get("/openapi.json"))


@pytest.fixture
async def admin(db: Db) -> Principal:
    return await create_principal(db, "admin")


@pytest.fixture
async def resources(api: Api, db: Db, admin: Principal) -> Resources:
    await add_service(db, "shop")
    start = now() - timedelta(minutes=20)
    await record(db, [Check("shop", start + timedelta(minutes=n), ms=None if n == 3 else 90.0) for n in range(15)])
    return Resources(api, db, admin)


@pytest.mark.one_engine
async def test_the_document_is_valid(api: Api) -> None:
    """Each schema is valid, and the target of each reference exists."""
    document = await api.get("/openapi.json")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for kind, name in {tuple(ref.split("/")[2:]) for ref in _references(document)}:
        assert name in document["components"][kind]


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {ref for item in value for ref in _references(item)}
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own | {ref for item in value.values() for ref in _references(item)}
    return set()


async def test_every_response_matches_the_document(checked: CheckedApi, db: Db, resources: Resources) -> None:
    kinds_of_resources: tuple[Whose, ...] = get_args(Whose)
    for row, kind in itertools.product(checked.rows(), KINDS):
        for whose in (
            kinds_of_resources if "{" in row.path and kind not in ("anonymous", "disabled admin") else ("foreign",)
        ):
            principal = await create_principal(db, kind)
            path = await resources.path(row, whose, principal)
            await checked.request(row.method, row.path, path, json=body(row), headers=principal.headers)
    successful = {(method, path) for method, path, status in checked.received if status < 300}
    assert {(row.method, row.path) for row in checked.rows()} - successful == {
        ("POST", "/api/auth/login"),
        ("POST", "/api/auth/refresh"),
        ("POST", "/api/auth/password"),
        ("GET", "/api/incidents/{incident_id}/draft"),
        ("DELETE", "/api/incidents/{incident_id}/draft"),
    }  # tested below


async def test_refusals_of_unreadable_bodies_match_the_document(
    checked: CheckedApi, db: Db, resources: Resources, admin: Principal
) -> None:
    for row in checked.rows():
        path = await resources.path(row, "foreign", admin)
        if body(row) is not None and row.path != "/api/auth/logout":
            for media_type, content in NOT_JSON:
                headers = {**admin.headers, "Content-Type": media_type}
                response = await checked.request(row.method, row.path, path, content=content, headers=headers)
                assert response.status_code in (400, 413, 415), (row, media_type, content[:20])
        for parameters in checked.paths[row.path][row.method.lower()].get("parameters", []):
            if parameters["in"] == "query" and row.method == "GET":
                query = {parameters["name"]: "\0"}
                response = await checked.request(row.method, row.path, path, params=query, headers=admin.headers)
                assert response.status_code == 400, (row, query)


@pytest.mark.one_engine
async def test_responses_to_an_account_from_creation_to_deletion(checked: CheckedApi, admin: Principal) -> None:
    password, other = secrets.token_urlsafe(), secrets.token_urlsafe()
    new = {"username": "ann", "email": "ann@example.com", "role": "reporter"}
    created = await checked.request("POST", "/api/users", json={**new, "password": password}, headers=admin.headers)
    one = f"/api/users/{created.json()['user']['id']}"
    again = await checked.request("POST", "/api/users", json={**new, "password": password}, headers=admin.headers)
    wrong_password = await checked.request("POST", "/api/auth/login", json={"username": "ann", "password": other})
    login = await checked.request("POST", "/api/auth/login", json={"username": "ann", "password": password})
    refresh = {"refreshToken": login.json()["refreshToken"]}
    fresh = await checked.request("POST", "/api/auth/refresh", json=refresh)
    headers = {"Authorization": f"Bearer {fresh.json()['accessToken']}"}
    change = {"currentPassword": password, "newPassword": other}
    changed = await checked.request("POST", "/api/auth/password", json=change, headers=headers)
    reused = await checked.request("POST", "/api/auth/refresh", json=refresh)
    await checked.request("PATCH", "/api/users/{user_id}", one, json={"active": False}, headers=admin.headers)
    last = await checked.request("DELETE", "/api/users/{user_id}", f"/api/users/{admin.user_id}", headers=admin.headers)
    assert [
        response.status_code for response in (created, again, wrong_password, login, fresh, changed, reused, last)
    ] == [*(201, 409, 401, 200, 200, 200, 401, 409)]


async def test_conflicts_match_the_document(checked: CheckedApi, resources: Resources, admin: Principal) -> None:
    """409 and 412; a 412 contains the version that was saved first."""
    headers = admin.headers
    for path in ("/api/services", "/api/templates", "/api/tokens"):
        row = next(row for row in checked.rows() if (row.method, row.path) == ("POST", path))
        new = body(row)
        first = await checked.request("POST", path, json=new, headers=headers)
        second = await checked.request("POST", path, json=new, headers=headers)
        assert (first.status_code, second.status_code) == (201, 409), path
    stale = {**headers, "If-Match": '"9"'}
    for path, new in (("/api/incidents", INCIDENT), ("/api/maintenance", WINDOW)):
        key = "incident" if path == "/api/incidents" else "maintenance"
        route = path + ("/{incident_id}" if path == "/api/incidents" else "/{window_id}")
        created = (await checked.request("POST", path, json=new, headers=headers)).json()[key]
        late = await checked.request("PUT", route, f"{path}/{created['id']}", json={"title": "x"}, headers=stale)
        assert (late.status_code, late.json()[key]["title"]) == (412, created["title"])
        update = {"status": "resolved", "description": "x"}
        if key == "incident":
            route += "/updates"
            late = await checked.request("POST", route, f"{path}/{created['id']}/updates", json=update, headers=stale)
            assert late.status_code == 412


async def test_drafts_match_the_document(checked: CheckedApi, resources: Resources, admin: Principal) -> None:
    created = await checked.request("POST", "/api/incidents", json=INCIDENT, headers=admin.headers)
    route = "/api/incidents/{incident_id}/draft"
    path = f"/api/incidents/{created.json()['incident']['id']}/draft"
    draft = {"data": {"title": "half a w", "of": [1, None]}}
    for method, status in (("PUT", 200), ("GET", 200), ("DELETE", 204), ("GET", 404)):
        response = await checked.request(
            method, route, path, json=draft if method == "PUT" else None, headers=admin.headers
        )
        assert response.status_code == status


async def test_not_modified_responses_match_the_document(
    checked: CheckedApi, resources: Resources, admin: Principal
) -> None:
    """304 for cached responses and for resources with a version."""
    not_modified = 0
    for row in (row for row in checked.rows() if row.method == "GET" and row.path != "/api/auth/me"):
        path = await resources.path(row, "foreign", admin)
        for headers in ({}, admin.headers):
            response = await checked.request("GET", row.path, path, headers=headers)
            if response.status_code == 200 and "etag" in response.headers:
                conditional = {**headers, "If-None-Match": response.headers["etag"]}
                again = await checked.request("GET", row.path, path, headers=conditional)
                assert (again.status_code, again.headers["etag"]) == (304, response.headers["etag"])
                not_modified += 1
            else:
                assert headers or row.who != "everybody" or not row.path.startswith("/api/"), row
    assert not_modified > 10


@pytest.mark.one_engine
async def test_rate_limited_responses_match_the_document(database: str, db: Db, admin: Principal) -> None:
    limit = Limit(4, timedelta(minutes=15))
    async with running_api(database, rate_limit_api=limit) as api:
        checked = CheckedApi(api, await api.get("/openapi.json"))
        responses = [await checked.request("GET", "/api/drafts", headers=admin.headers) for _ in range(5)]
        assert [response.status_code for response in responses] == [200, 200, 200, 200, 429]
        assert all("ratelimit-remaining" in response.headers for response in responses)
        refused = await checked.request("GET", "/api/system-status")
        assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
