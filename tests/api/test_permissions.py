"""The tables of docs/permissions.md are compared with the running server, and attempts to bypass permissions fail."""

import itertools
import re
from typing import get_args

import pytest
from litestar.routes import HTTPRoute

from api.operations import health
from api.routes import RESOURCES
from tests.api import raw
from tests.api.conftest import Api, add_service
from tests.api.people import Db, Kind, Principal, create_principal
from tests.api.published import Row, routes
from tests.api.resources import INCIDENT, Resources, Whose, body

pytestmark = pytest.mark.one_engine

REFUSED_BODY = {"/api/auth/login": 400, "/api/auth/refresh": 400, "/api/auth/password": 400}
"""Statuses of routes that are permitted, but refuse the empty body that the test sends."""
DRAFT = "/api/incidents/{incident_id}/draft"
CREATES = {("PUT", "/api/sla/holidays/{calendar_name}")}
"""Routes that create a resource that does not exist."""
WITHOUT_DRAFT = {("GET", DRAFT), ("DELETE", DRAFT)}
PROTECTED = [row for row in routes() if not row.who.startswith("everybody")]


@pytest.fixture
async def resources(api: Api, db: Db) -> Resources:
    await add_service(db, "shop")
    return Resources(api, db, await create_principal(db, "admin"))


async def test_the_table_lists_exactly_the_routes_of_the_application(api: Api) -> None:
    described = await api.get("/openapi.json")
    in_openapi = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    published = [(row.method, row.path) for row in routes()]
    assert len(published) == len(set(published))
    assert in_openapi | hidden_routes() == set(published)


def hidden_routes() -> set[tuple[str, str]]:
    """Returns the routes that are not in the OpenAPI document, read from the application so that they are tested
    too."""
    hidden = {("GET", "/openapi.json")}
    for resource in (*RESOURCES, health):
        for route in resource.router.routes:
            assert isinstance(route, HTTPRoute), f"{route.path} is neither REST nor a WebSocket transport"
            path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
            for handler in route.route_handlers:
                if not handler.include_in_schema:
                    hidden |= {(method, path) for method in handler.http_methods if method != "OPTIONS"}
    return hidden


async def test_the_openapi_document_has_the_permissions_of_the_table(api: Api) -> None:
    """`security` of a route is empty, an optional token or a required token."""
    described = await api.get("/openapi.json")
    for row in routes():
        if (row.method, row.path) not in hidden_routes():
            operation = described["paths"][row.path][row.method.lower()]
            without, with_token = ({} in operation["security"]), ({"bearer": []} in operation["security"])
            assert (without, with_token) == (row.who.startswith("everybody"), row.who != "everybody"), row
            refusals = {status for status in ("401", "403") if status in operation["responses"]}
            assert refusals >= ({"401", "403"} if not without else set()), row


async def test_every_route_allows_exactly_the_roles_of_its_row(api: Api, db: Db, resources: Resources) -> None:
    """Sends a request to each route as each kind of principal: for a resource of its own, one of another user and a
    missing one."""
    errors = []
    requests = 0
    for row, kind in itertools.product(routes(), get_args(Kind)):
        for whose in resources_to_try(row, kind):
            principal = await create_principal(db, kind)
            path = await resources.path(row, whose, principal)
            response = await api.http.request(row.method, path, json=body(row), headers=principal.headers)
            requests += 1
            if not is_as_documented(row, principal, whose, response.status_code):
                errors.append(f"{row.method} {row.path} {whose}, {kind}: {response.status_code} {response.text[:200]}")
    assert "\n".join(errors) == ""
    assert requests > 500
    await api.get("/health")


def resources_to_try(row: Row, kind: Kind) -> tuple[Whose, ...]:
    """Returns the resources for which a principal of this kind requests the route."""
    if "{" not in row.path:
        return ("foreign",)
    anonymous = kind == "anonymous" or kind.startswith("disabled")
    has_owner = row.own is not None or "{user_id}" in row.path or "{token_id}" in row.path
    return ("foreign", "missing") if anonymous or not has_owner else ("own", "foreign", "missing")


def is_as_documented(row: Row, principal: Principal, whose: Whose, status: int) -> bool:
    """Returns whether `status` is the one that the row of the table implies."""
    outcome = row.outcome(principal, own=whose in ("own", "missing"))
    if outcome != "allowed":
        return status == outcome
    if (whose == "missing" and (row.method, row.path) not in CREATES) or (row.method, row.path) in WITHOUT_DRAFT:
        return status == 404
    return status == REFUSED_BODY.get(row.path) if row.path in REFUSED_BODY else status < 300


async def test_head_has_the_status_of_get_and_no_body(api: Api, db: Db, resources: Resources) -> None:
    for row in (row for row in routes() if row.method == "GET"):
        for kind in ("anonymous", "viewer", "reporter", "admin", "disabled admin"):
            principal = await create_principal(db, kind)
            path = await resources.path(row, "foreign", principal)
            get = await api.http.get(path, headers=principal.headers)
            head = await api.http.head(path, headers=principal.headers)
            assert (head.status_code, head.content) == (get.status_code, b""), f"{path} {kind}"


async def test_options_is_the_same_for_existing_and_missing_resources(api: Api, db: Db, resources: Resources) -> None:
    anonymous = await create_principal(db, "anonymous")
    for row in routes():
        existing, missing = [await resources.path(row, whose, anonymous) for whose in ("foreign", "missing")]
        responses = [await api.http.options(path) for path in (existing, missing)]
        assert {response.content for response in responses} == {b""}, row
        assert {response.status_code for response in responses} == {204}, row
        assert len({(response.status_code, response.headers.get("allow")) for response in responses}) == 1, row


PATH_VARIANTS = (
    "{0}/",
    "/{0}",
    "//{0}",
    "{0}//",
    "{0}/.",
    "/.{0}",
    "/x/..{0}",
    "/health/..{0}",
    "/docs/../..{0}",
    "{0}%2f",
    "{0}%00",
    "{0}%20",
    "{0};",
    "{0};.css",
    "{0}.json",
    "{0}%3fdetails=true",
    "{0}?",
    "{0}#",
)


def variants(path: str) -> set[str]:
    """Returns other spellings of the path, which servers or proxies may normalise to it."""
    others = {pattern.format(path) for pattern in PATH_VARIANTS}
    others |= {path.upper(), path.title(), path.replace("/", "//"), path.replace("/", "\\"), path.replace("/", "/./")}
    others |= {path.replace("/api", "/%61pi"), path.replace("/api/", "/api%2f"), path.replace("i/", "i%252f")}
    others |= {"http://127.0.0.1" + path, "http://evil.example" + path, path[1:]}
    return others - {path}


async def test_no_spelling_of_a_path_bypasses_its_permission(api: Api, db: Db, resources: Resources) -> None:
    """An anonymous client cannot read or change a protected resource by another spelling of its path."""
    port = api.settings.api_port
    anonymous = await create_principal(db, "anonymous")
    allowed = []
    for row in PROTECTED:
        path = await resources.path(row, "foreign", anonymous)
        for variant in sorted(variants(path)):
            response = await raw.send_request(port, row.method, variant, {}, b"{}" if body(row) is not None else b"")
            if response.status not in (400, 401, 403, 404, 405):
                allowed.append(f"{row.method} {variant}: {response.status}")
    assert allowed == []


async def test_no_spelling_of_a_path_raises_a_role(api: Api, db: Db, resources: Resources) -> None:
    port = api.settings.api_port
    viewer = await create_principal(db, "viewer")
    allowed = []
    for row in (row for row in PROTECTED if row.who == "admin"):
        path = await resources.path(row, "foreign", viewer)
        for variant in sorted(variants(path)):
            response = await raw.send_request(
                port, row.method, variant, viewer.headers, b"{}" if body(row) is not None else b""
            )
            if response.status not in (400, 403, 404, 405):
                allowed.append(f"{row.method} {variant}: {response.status}")
    assert allowed == []


async def test_no_header_replaces_the_method_or_the_path(api: Api, db: Db, resources: Resources) -> None:
    viewer = await create_principal(db, "viewer")
    row = next(row for row in routes() if (row.method, row.path) == ("DELETE", "/api/incidents/{incident_id}"))
    path = await resources.path(row, "foreign", viewer)
    overrides = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE", "X-HTTP-Method": "DELETE"}
    overrides |= {"X-Original-URL": "/api/users", "X-Rewrite-URL": "/api/users", "X-Forwarded-Prefix": "/api/users"}
    for name, value in overrides.items():
        headers = {**viewer.headers, name: value}
        assert (await api.http.post(path, headers=headers)).status_code == 405, name
        shown = await api.get(path, headers=headers)
        assert shown["incident"]["id"] == path.rpartition("/")[2], name


PLACES = ("token", "access_token", "accessToken", "authorization", "Authorization", "auth", "jwt", "bearer", "api_key")


async def test_a_token_outside_the_authorization_header_is_ignored(api: Api, db: Db, resources: Resources) -> None:
    admins = [await create_principal(db, kind) for kind in ("admin", "admin's token")]
    rows = [row for row in PROTECTED if row.method == "GET"]
    for row, principal in itertools.product(rows, admins):
        path = await resources.path(row, "foreign", principal)
        for form in (principal.token, f"Bearer {principal.token}"):
            query = {place: str(form) for place in PLACES}
            assert (await api.http.get(path, params=query)).status_code in (400, 401), row
            assert (await api.http.get(path, params={"token": str(form)})).status_code in (400, 401), row
        cookies = "; ".join(f"{place}={principal.token}" for place in PLACES)
        headers = {"Cookie": cookies, "X-Api-Key": str(principal.token), "X-Access-Token": str(principal.token)}
        assert (await api.http.get(path, headers=headers)).status_code == 401, row
        basic = {"Authorization": f"Basic {principal.token}"}
        assert (await api.http.get(path, headers=basic)).status_code == 401, row


async def test_cached_responses_of_one_client_are_not_sent_to_another(api: Api, db: Db, resources: Resources) -> None:
    """A viewer gets an internal incident. Anonymous clients do not, also if they send the ETag of the viewer's
    response."""
    admin, viewer = await create_principal(db, "admin"), await create_principal(db, "viewer")
    public = await api.http.post("/api/incidents", json=INCIDENT, headers=admin.headers)
    internal = await api.http.post("/api/incidents", json={**INCIDENT, "public": False}, headers=admin.headers)
    hidden = internal.json()["incident"]["id"]
    one = f"/api/incidents/{hidden}"
    for path in ("/api/incidents", "/api/incidents?status=all", "/api/incidents/past", one, f"{one}/comments"):
        for _ in range(2):
            viewed = await api.http.get(path, headers=viewer.headers)
            anonymous = await api.http.get(path)
            condition = {"If-None-Match": viewed.headers["etag"]} if "etag" in viewed.headers else {}
            again = await api.http.get(path, headers=condition)
            invalid = await api.http.get(path, headers={"Authorization": "Bearer x"})
            assert viewed.status_code == 200, path
            assert hidden in viewed.text or path.endswith("/comments"), path
            assert hidden not in anonymous.text + again.text + invalid.text, path
            assert again.status_code == anonymous.status_code == (404 if path.startswith(one) else 200), path
            assert invalid.status_code == 401, path
    assert public.json()["incident"]["id"] in (await api.http.get("/api/incidents")).text


async def test_only_admins_see_the_details_of_services(api: Api, db: Db, resources: Resources) -> None:
    for kind in get_args(Kind):
        principal = await create_principal(db, kind)
        for path in ("/api/services?details=true", "/api/system/services?details=true", "/api/services?details=1"):
            response = await api.http.get(path, headers=principal.headers)
            expected = 401 if principal.invalid or principal.role is None else 200 if principal.role == "admin" else 403
            assert response.status_code == expected, f"{path} {kind}"
