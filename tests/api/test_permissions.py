"""Who may do what: docs/permissions.md against the running server, cell by cell, and every path around it."""

import itertools
import re
from typing import get_args

import pytest
from litestar.routes import HTTPRoute

from api.operations import health
from api.routes import RESOURCES
from tests.api import raw
from tests.api.conftest import Api, add_service
from tests.api.people import Db, Kind, Principal, principal
from tests.api.published import Row, routes
from tests.api.things import INCIDENT, Things, Whose, body

pytestmark = pytest.mark.one_engine

REFUSED_BODY = {"/api/auth/login": 400, "/api/auth/refresh": 400, "/api/auth/password": 400}
"""Allowed to everybody who may ask, but not with the empty body that the matrix sends."""
DRAFT = "/api/incidents/{incident_id}/draft"
NO_DRAFT_YET = {("GET", DRAFT), ("DELETE", DRAFT)}
PROTECTED = [row for row in routes() if not row.who.startswith("everybody")]


@pytest.fixture
async def things(api: Api, db: Db) -> Things:
    await add_service(db, "shop")
    return Things(api, db, await principal(db, "admin"))


async def test_every_route_is_published_and_every_published_route_is_there(api: Api) -> None:
    described = await api.get("/openapi.json")
    there = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    published = [(row.method, row.path) for row in routes()]
    assert len(published) == len(set(published))
    assert there | hidden_routes() == set(published)


def hidden_routes() -> set[tuple[str, str]]:
    """Routes that the description leaves out, read off the application, so that leaving one out does not hide it."""
    hidden = {("GET", "/openapi.json")}
    for resource in (*RESOURCES, health):
        for route in resource.router.routes:
            assert isinstance(route, HTTPRoute), f"{route.path} is neither REST nor a WebSocket transport"
            path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
            for handler in route.route_handlers:
                if not handler.include_in_schema:
                    hidden |= {(method, path) for method in handler.http_methods if method != "OPTIONS"}
    return hidden


async def test_the_description_says_the_same(api: Api) -> None:
    """`security` of each route: nothing, a token if there is one, or a token."""
    described = await api.get("/openapi.json")
    for row in routes():
        if (row.method, row.path) not in hidden_routes():
            operation = described["paths"][row.path][row.method.lower()]
            without, with_token = ({} in operation["security"]), ({"bearer": []} in operation["security"])
            assert (without, with_token) == (row.who.startswith("everybody"), row.who != "everybody"), row
            refusals = {status for status in ("401", "403") if status in operation["responses"]}
            assert refusals >= ({"401", "403"} if not without else set()), row


async def test_the_matrix(api: Api, db: Db, things: Things) -> None:
    """Every route, asked by everybody there can be, for what is theirs, somebody else's, and not there."""
    wrong = []
    asked = 0
    for row, kind in itertools.product(routes(), get_args(Kind)):
        for whose in wheres(row, kind):
            asker = await principal(db, kind)
            path = await things.path(row, whose, asker)
            answer = await api.http.request(row.method, path, json=body(row), headers=asker.headers)
            asked += 1
            if not as_published(row, asker, whose, answer.status_code):
                wrong.append(f"{row.method} {row.path} {whose}, {kind}: {answer.status_code} {answer.text[:200]}")
    assert "\n".join(wrong) == ""
    assert asked > 500
    await api.get("/health")


def wheres(row: Row, kind: Kind) -> tuple[Whose, ...]:
    if "{" not in row.path:
        return ("foreign",)
    nobody = kind == "nobody" or kind.startswith("disabled")
    has_owner = row.own is not None or "{user_id}" in row.path or "{token_id}" in row.path
    return ("foreign", "missing") if nobody or not has_owner else ("own", "foreign", "missing")


def as_published(row: Row, asker: Principal, whose: Whose, status: int) -> bool:
    outcome = row.outcome(asker, own=whose in ("own", "missing"))
    if outcome != "allowed":
        return status == outcome
    if whose == "missing" or (row.method, row.path) in NO_DRAFT_YET:
        return status == 404
    return status == REFUSED_BODY.get(row.path) if row.path in REFUSED_BODY else status < 300


async def test_head_tells_nobody_more_than_get(api: Api, db: Db, things: Things) -> None:
    for row in (row for row in routes() if row.method == "GET"):
        for kind in ("nobody", "viewer", "reporter", "admin", "disabled admin"):
            asker = await principal(db, kind)
            path = await things.path(row, "foreign", asker)
            get = await api.http.get(path, headers=asker.headers)
            head = await api.http.head(path, headers=asker.headers)
            assert (head.status_code, head.content) == (get.status_code, b""), f"{path} {kind}"


async def test_options_disclose_nothing(api: Api, db: Db, things: Things) -> None:
    nobody = await principal(db, "nobody")
    for row in routes():
        there, missing = [await things.path(row, whose, nobody) for whose in ("foreign", "missing")]
        answers = [await api.http.options(path) for path in (there, missing)]
        assert {answer.content for answer in answers} == {b""}, row
        assert {answer.status_code for answer in answers} == {204}, row
        assert len({(answer.status_code, answer.headers.get("allow")) for answer in answers}) == 1, row


SIDE_PATHS = (
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
    """The same path, as servers have been talked into taking it for another one."""
    others = {side.format(path) for side in SIDE_PATHS}
    others |= {path.upper(), path.title(), path.replace("/", "//"), path.replace("/", "\\"), path.replace("/", "/./")}
    others |= {path.replace("/api", "/%61pi"), path.replace("/api/", "/api%2f"), path.replace("i/", "i%252f")}
    others |= {"http://127.0.0.1" + path, "http://evil.example" + path, path[1:]}
    return others - {path}


async def test_no_side_path_leads_around_a_permission(api: Api, db: Db, things: Things) -> None:
    """Nobody reads or changes by a variant of a path what they may not by the path itself."""
    port = api.settings.api_port
    nobody = await principal(db, "nobody")
    through = []
    for row in PROTECTED:
        path = await things.path(row, "foreign", nobody)
        for variant in sorted(variants(path)):
            answer = await raw.ask(port, row.method, variant, {}, b"{}" if body(row) is not None else b"")
            if answer.status not in (400, 401, 403, 404, 405):
                through.append(f"{row.method} {variant}: {answer.status}")
    assert through == []


async def test_no_side_path_raises_a_role(api: Api, db: Db, things: Things) -> None:
    port = api.settings.api_port
    viewer = await principal(db, "viewer")
    through = []
    for row in (row for row in PROTECTED if row.who == "admin"):
        path = await things.path(row, "foreign", viewer)
        for variant in sorted(variants(path)):
            answer = await raw.ask(port, row.method, variant, viewer.headers, b"{}" if body(row) is not None else b"")
            if answer.status not in (400, 403, 404, 405):
                through.append(f"{row.method} {variant}: {answer.status}")
    assert through == []


async def test_no_header_turns_a_request_into_another(api: Api, db: Db, things: Things) -> None:
    viewer = await principal(db, "viewer")
    row = next(row for row in routes() if (row.method, row.path) == ("DELETE", "/api/incidents/{incident_id}"))
    path = await things.path(row, "foreign", viewer)
    turns = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE", "X-HTTP-Method": "DELETE"}
    turns |= {"X-Original-URL": "/api/users", "X-Rewrite-URL": "/api/users", "X-Forwarded-Prefix": "/api/users"}
    for name, value in turns.items():
        headers = {**viewer.headers, name: value}
        assert (await api.http.post(path, headers=headers)).status_code == 405, name
        asked = await api.get(path, headers=headers)
        assert asked["incident"]["id"] == path.rpartition("/")[2], name


PLACES = ("token", "access_token", "accessToken", "authorization", "Authorization", "auth", "jwt", "bearer", "api_key")


async def test_a_token_anywhere_but_in_its_header_is_no_token(api: Api, db: Db, things: Things) -> None:
    askers = [await principal(db, kind) for kind in ("admin", "admin's token")]
    rows = [row for row in PROTECTED if row.method == "GET"]
    for row, asker in itertools.product(rows, askers):
        path = await things.path(row, "foreign", asker)
        for form in (asker.token, f"Bearer {asker.token}"):
            query = {place: str(form) for place in PLACES}
            assert (await api.http.get(path, params=query)).status_code in (400, 401), row
            assert (await api.http.get(path, params={"token": str(form)})).status_code in (400, 401), row
        cookies = "; ".join(f"{place}={asker.token}" for place in PLACES)
        headers = {"Cookie": cookies, "X-Api-Key": str(asker.token), "X-Access-Token": str(asker.token)}
        assert (await api.http.get(path, headers=headers)).status_code == 401, row
        basic = {"Authorization": f"Basic {asker.token}"}
        assert (await api.http.get(path, headers=basic)).status_code == 401, row


async def test_nobody_is_given_from_memory_what_somebody_was_given(api: Api, db: Db, things: Things) -> None:
    """Whatever the order of asking, and whatever is kept in memory or sent back as an ETag."""
    admin, viewer = await principal(db, "admin"), await principal(db, "viewer")
    public = await api.http.post("/api/incidents", json=INCIDENT, headers=admin.headers)
    internal = await api.http.post("/api/incidents", json={**INCIDENT, "public": False}, headers=admin.headers)
    hidden = internal.json()["incident"]["id"]
    one = f"/api/incidents/{hidden}"
    for path in ("/api/incidents", "/api/incidents?status=all", "/api/incidents/past", one, f"{one}/comments"):
        for _ in range(2):
            given = await api.http.get(path, headers=viewer.headers)
            nobody = await api.http.get(path)
            known = {"If-None-Match": given.headers["etag"]} if "etag" in given.headers else {}
            again = await api.http.get(path, headers=known)
            bad = await api.http.get(path, headers={"Authorization": "Bearer x"})
            assert given.status_code == 200, path
            assert hidden in given.text or path.endswith("/comments"), path
            assert hidden not in nobody.text + again.text + bad.text, path
            assert again.status_code == nobody.status_code == (404 if path.startswith(one) else 200), path
            assert bad.status_code == 401, path
    assert public.json()["incident"]["id"] in (await api.http.get("/api/incidents")).text


async def test_the_details_of_services_are_for_admins(api: Api, db: Db, things: Things) -> None:
    for kind in get_args(Kind):
        asker = await principal(db, kind)
        for path in ("/api/services?details=true", "/api/system/services?details=true", "/api/services?details=1"):
            answer = await api.http.get(path, headers=asker.headers)
            expected = 401 if asker.bad or asker.role is None else 200 if asker.role == "admin" else 403
            assert answer.status_code == expected, f"{path} {kind}"
