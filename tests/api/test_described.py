"""What the server answers is what the OpenAPI document says: the status, the type, the headers, every field."""

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
from tests.api.people import Db, Kind, Principal, principal
from tests.api.published import Row, routes
from tests.api.things import INCIDENT, WINDOW, Things, Whose, body

KINDS: tuple[Kind, ...] = ("nobody", "viewer", "reporter", "admin", "admin's token", "disabled admin")
NO_JSON: tuple[tuple[str, bytes], ...] = (
    ("application/json", b"{"),
    ("application/json", b'{"unknown": 1}'),
    ("text/plain", b"{}"),
    ("application/json", b'"' + b"x" * 300_000 + b'"'),
)
pytestmark = pytest.mark.usefixtures("cheap")


class Described:
    """The API, each answer of which is held against its description."""

    def __init__(self, api: Api, document: dict[str, Any]) -> None:
        self._api = api
        self._components: dict[str, Any] = document["components"]
        self.paths: dict[str, Any] = document["paths"]
        self._validators: dict[str, Validator] = {}
        self.seen: set[tuple[str, str, int]] = set()
        for schema in self._components["schemas"].values():
            if "properties" in schema:  # what is answered is all described
                schema.setdefault("additionalProperties", False)

    def rows(self) -> list[Row]:
        return [row for row in routes() if row.method.lower() in self.paths.get(row.path, {})]

    async def ask(self, method: str, path: str, to: str | None = None, **options: Any) -> httpx.Response:
        """Asks `to`, which is a path of the route `path`, or `path` itself."""
        answer = await self._api.http.request(method, to or path, **options)
        what = f"{method} {to or path}: {answer.status_code} {answer.text[:300]}"
        answers = self.paths[path][method.lower()]["responses"]
        assert str(answer.status_code) in answers, f"{what} is not described"
        described = answers[str(answer.status_code)]
        self.seen.add((method, path, answer.status_code))
        given = {name for name in HEADERS if name in answer.headers}
        assert given <= described["headers"].keys(), what
        for name in described["headers"]:
            self._check_header(self._components["headers"][name], answer.headers.get(name), what)
        content: Mapping[str, Any] = described.get("content", {})
        if not answer.content:
            assert content == {}, what
            return answer
        media_type = answer.headers["content-type"].partition(";")[0]
        assert media_type in content, what
        value = answer.json() if media_type == "application/json" else answer.text
        problems = [problem.message for problem in self._validator(content[media_type]["schema"]).iter_errors(value)]
        assert problems == [], what
        return answer

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
async def described(api: Api) -> Described:
    return Described(api, await api.get("/openapi.json"))


@pytest.fixture
async def admin(db: Db) -> Principal:
    return await principal(db, "admin")


@pytest.fixture
async def things(api: Api, db: Db, admin: Principal) -> Things:
    await add_service(db, "shop")
    start = now() - timedelta(minutes=20)
    await record(db, [Check("shop", start + timedelta(minutes=n), ms=None if n == 3 else 90.0) for n in range(15)])
    return Things(api, db, admin)


@pytest.mark.one_engine
async def test_the_document_is_sound(api: Api) -> None:
    """Each schema is one, and each reference leads somewhere."""
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


async def test_every_route_answers_everybody_as_described(described: Described, db: Db, things: Things) -> None:
    wheres: tuple[Whose, ...] = get_args(Whose)
    for row, kind in itertools.product(described.rows(), KINDS):
        for whose in wheres if "{" in row.path and kind not in ("nobody", "disabled admin") else ("foreign",):
            asker = await principal(db, kind)
            path = await things.path(row, whose, asker)
            await described.ask(row.method, row.path, path, json=body(row), headers=asker.headers)
    good = {(method, path) for method, path, status in described.seen if status < 300}
    assert {(row.method, row.path) for row in described.rows()} - good == {
        ("POST", "/api/auth/login"),
        ("POST", "/api/auth/refresh"),
        ("POST", "/api/auth/password"),
        ("GET", "/api/incidents/{incident_id}/draft"),
        ("DELETE", "/api/incidents/{incident_id}/draft"),
    }  # these have a test of their own


async def test_what_cannot_be_read_is_refused_as_described(
    described: Described, db: Db, things: Things, admin: Principal
) -> None:
    for row in described.rows():
        path = await things.path(row, "foreign", admin)
        if body(row) is not None and row.path != "/api/auth/logout":
            for media_type, content in NO_JSON:
                headers = {**admin.headers, "Content-Type": media_type}
                answer = await described.ask(row.method, row.path, path, content=content, headers=headers)
                assert answer.status_code in (400, 413, 415), (row, media_type, content[:20])
        for parameters in described.paths[row.path][row.method.lower()].get("parameters", []):
            if parameters["in"] == "query" and row.method == "GET":
                query = {parameters["name"]: "\0"}
                answer = await described.ask(row.method, row.path, path, params=query, headers=admin.headers)
                assert answer.status_code == 400, (row, query)


@pytest.mark.one_engine
async def test_an_account_from_its_beginning_to_its_end(described: Described, admin: Principal) -> None:
    password, other = secrets.token_urlsafe(), secrets.token_urlsafe()
    new = {"username": "ann", "email": "ann@example.com", "role": "reporter"}
    made = await described.ask("POST", "/api/users", json={**new, "password": password}, headers=admin.headers)
    one = f"/api/users/{made.json()['user']['id']}"
    again = await described.ask("POST", "/api/users", json={**new, "password": password}, headers=admin.headers)
    wrong = await described.ask("POST", "/api/auth/login", json={"username": "ann", "password": other})
    right = await described.ask("POST", "/api/auth/login", json={"username": "ann", "password": password})
    refresh = {"refreshToken": right.json()["refreshToken"]}
    fresh = await described.ask("POST", "/api/auth/refresh", json=refresh)
    headers = {"Authorization": f"Bearer {fresh.json()['accessToken']}"}
    change = {"currentPassword": password, "newPassword": other}
    changed = await described.ask("POST", "/api/auth/password", json=change, headers=headers)
    reused = await described.ask("POST", "/api/auth/refresh", json=refresh)
    await described.ask("PATCH", "/api/users/{user_id}", one, json={"active": False}, headers=admin.headers)
    last = await described.ask("DELETE", "/api/users/{user_id}", f"/api/users/{admin.user_id}", headers=admin.headers)
    assert [answer.status_code for answer in (made, again, wrong, right, fresh, changed, reused, last)] == [
        *(201, 409, 401, 200, 200, 200, 401, 409)
    ]


async def test_what_contradicts_what_is_there(described: Described, things: Things, admin: Principal) -> None:
    """409 and 412; the one who saved second is shown what the first one saved."""
    headers = admin.headers
    for path in ("/api/services", "/api/templates", "/api/tokens"):
        row = next(row for row in described.rows() if (row.method, row.path) == ("POST", path))
        new = body(row)
        first = await described.ask("POST", path, json=new, headers=headers)
        second = await described.ask("POST", path, json=new, headers=headers)
        assert (first.status_code, second.status_code) == (201, 409), path
    stale = {**headers, "If-Match": '"9"'}
    for path, new in (("/api/incidents", INCIDENT), ("/api/maintenance", WINDOW)):
        key = "incident" if path == "/api/incidents" else "maintenance"
        route = path + ("/{incident_id}" if path == "/api/incidents" else "/{window_id}")
        made = (await described.ask("POST", path, json=new, headers=headers)).json()[key]
        late = await described.ask("PUT", route, f"{path}/{made['id']}", json={"title": "x"}, headers=stale)
        assert (late.status_code, late.json()[key]["title"]) == (412, made["title"])
        update = {"status": "resolved", "description": "x"}
        if key == "incident":
            route += "/updates"
            late = await described.ask("POST", route, f"{path}/{made['id']}/updates", json=update, headers=stale)
            assert late.status_code == 412


async def test_drafts(described: Described, things: Things, admin: Principal) -> None:
    made = await described.ask("POST", "/api/incidents", json=INCIDENT, headers=admin.headers)
    route = "/api/incidents/{incident_id}/draft"
    path = f"/api/incidents/{made.json()['incident']['id']}/draft"
    draft = {"data": {"title": "half a w", "of": [1, None]}}
    for method, status in (("PUT", 200), ("GET", 200), ("DELETE", 204), ("GET", 404)):
        answer = await described.ask(
            method, route, path, json=draft if method == "PUT" else None, headers=admin.headers
        )
        assert answer.status_code == status


async def test_what_is_known_already(described: Described, things: Things, admin: Principal) -> None:
    """304, of what is kept in memory and of what has a version."""
    known = 0
    for row in (row for row in described.rows() if row.method == "GET" and row.path != "/api/auth/me"):
        path = await things.path(row, "foreign", admin)
        for headers in ({}, admin.headers):
            answer = await described.ask("GET", row.path, path, headers=headers)
            if answer.status_code == 200 and "etag" in answer.headers:
                asked = {**headers, "If-None-Match": answer.headers["etag"]}
                again = await described.ask("GET", row.path, path, headers=asked)
                assert (again.status_code, again.headers["etag"]) == (304, answer.headers["etag"])
                known += 1
            else:
                assert headers or row.who != "everybody" or not row.path.startswith("/api/"), row
    assert known > 10


@pytest.mark.one_engine
async def test_limits(database: str, db: Db, admin: Principal) -> None:
    limit = Limit(4, timedelta(minutes=15))
    async with running_api(database, rate_limit_api=limit) as api:
        described = Described(api, await api.get("/openapi.json"))
        told = [await described.ask("GET", "/api/drafts", headers=admin.headers) for _ in range(5)]
        assert [answer.status_code for answer in told] == [200, 200, 200, 200, 429]
        assert all("ratelimit-remaining" in answer.headers for answer in told)
        refused = await described.ask("GET", "/api/system-status")
        assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
