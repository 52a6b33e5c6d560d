"""Administration of services over REST: valid and invalid fields, defaults and permissions."""

import random
import re
import string
from typing import Any

import anyio
import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from api.rest.errors import ApiError
from api.rest.problems import FieldProblem
from api.services.fields import Service, complete, problems, read_new
from sla_monitor.formats.one_line import is_label
from sla_monitor.settings import Settings
from tests.api.conftest import Api, add_service, create_user, until_events_processed
from tests.api.service_bodies import ALL_FIELDS, DEFAULTS, INVALID, SHOP

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


@pytest.fixture
async def api(api: Api, db: Db) -> Api:
    """The API, with requests of an admin by default."""
    api.http.headers.update((await create_user(db, "admin")).headers)
    return api


async def stored(db: Db) -> int:
    row = await (await db.execute("SELECT count(*) FROM services")).fetchone()
    assert row is not None
    count: int = row[0]
    return count


async def test_only_id_name_and_url_are_required(api: Api) -> None:
    response = await api.http.post("/api/services", json=SHOP)
    assert (response.status_code, response.json()) == (201, SHOP | DEFAULTS)
    assert response.headers["location"] == "/api/services/shop"
    assert await api.get("/api/services/shop") == SHOP | DEFAULTS
    for missing in SHOP:
        refused = await api.http.post("/api/services", json={k: v for k, v in SHOP.items() if k != missing})
        assert refused.status_code == 400
        assert refused.json()["details"] == [{"field": missing, "message": "is required", "code": "required"}]


FAMILY, PERSIAN, FLAG = (
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\U0001f1f0\U0001f1f7",
)


async def test_joiners_flags_and_special_spaces_are_accepted(api: Api) -> None:
    given = {
        "name": f"{FAMILY} {PERSIAN}",
        "group": f"{FLAG}\u00a0a\u00adb",
        "tags": [FLAG, "\u2764\ufe0f"],
        "keyword": PERSIAN,
        "keywordAbsent": "a\u00a0b",
    }
    response = await api.http.post("/api/services", json=SHOP | given)
    assert response.status_code == 201, response.text
    found = await api.get("/api/services/shop")
    assert {name: found[name] for name in given} == given


async def test_every_field_is_stored_unchanged(api: Api, db: Db) -> None:
    response = await api.http.post("/api/services", json=SHOP | ALL_FIELDS)
    assert response.status_code == 201, response.text
    assert await api.get("/api/services/shop") == SHOP | {"type": "http"} | ALL_FIELDS
    listed = await api.get("/api/services?details=true")
    assert listed["services"] == [SHOP | {"type": "http"} | ALL_FIELDS]
    assert (await api.get("/api/services"))["services"] == [{"id": "all-systems", "name": "All Systems"}]


async def test_an_invalid_service_is_refused_by_field_and_nothing_is_stored(api: Api, db: Db) -> None:
    for change, field in INVALID:
        response = await api.http.post("/api/services", json=SHOP | change)
        assert response.status_code == 400, (change, response.text)
        assert response.json()["code"] == "VALIDATION_ERROR"
        assert field in [problem["field"] for problem in response.json()["details"]], (change, response.text)
    huge = b'{"id":"shop","name":"Shop","endpointUrl":"http://a.example/","intervalSeconds":' + b"9" * 400 + b"}"
    response = await api.http.post("/api/services", content=huge, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["details"][0]["field"]) == (400, "intervalSeconds")
    assert await stored(db) == 0


async def test_an_invalid_change_is_refused_by_field_and_nothing_is_stored(api: Api) -> None:
    await api.http.post("/api/services", json=SHOP)
    for change, field in INVALID:
        if "id" in change:
            field = "id"
        response = await api.http.patch("/api/services/shop", json=change)
        assert response.status_code == 400, (change, response.text)
        assert field in [problem["field"] for problem in response.json()["details"]], (change, response.text)
    assert await api.get("/api/services/shop") == SHOP | DEFAULTS


async def test_a_change_affects_only_the_given_fields(api: Api) -> None:
    await api.http.post("/api/services", json=SHOP | ALL_FIELDS)
    changed = await api.http.patch("/api/services/shop", json={"name": "Store", "keyword": None, "group": None})
    expected = SHOP | {"type": "http"} | ALL_FIELDS | {"name": "Store", "keyword": None, "group": None}
    assert (changed.status_code, changed.json()) == (200, expected)
    assert await api.get("/api/services/shop") == expected
    assert (await api.http.patch("/api/services/shop", json={})).json() == expected
    inconsistent = await api.http.patch("/api/services/shop", json={"intervalSeconds": 1})
    assert inconsistent.json()["details"][0]["field"] == "timeoutMs"


@pytest.mark.parametrize("given_url", ["HTTPS://shop.example/health", " https://shop.example/health\r\n"])
async def test_a_url_is_stored_normalised(api: Api, given_url: str) -> None:
    for method, path, body in (("POST", "/api/services", SHOP), ("PATCH", "/api/services/shop", {})):
        response = await api.http.request(method, path, json={**body, "endpointUrl": given_url})
        assert response.json()["endpointUrl"] == "https://shop.example/health", response.text
    assert (await api.get("/api/services/shop"))["endpointUrl"] == "https://shop.example/health"


async def test_nonstandard_status_codes_can_be_expected(api: Api) -> None:
    codes = {"expectedStatusCodes": [100, 600, 999]}
    response = await api.http.post("/api/services", json=SHOP | codes)
    assert (response.status_code, response.json()["expectedStatusCodes"]) == (201, [100, 600, 999])


async def test_keyword_absent_is_valid_for_a_response_without_a_body(api: Api) -> None:
    response = await api.http.post("/api/services", json=SHOP | {"method": "HEAD", "keywordAbsent": "error"})
    assert response.status_code == 201, response.text


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.1.1]", "2852039166", "169.254.1"])
async def test_a_denied_target_is_stored_with_a_warning(api: Api, host: str) -> None:
    url = f"http://{host}:8080/health"
    created = await api.http.post("/api/services", json=SHOP | {"endpointUrl": url})
    assert created.status_code == 201, created.text
    [warning] = created.json()["warnings"]
    assert warning["field"] == "endpointUrl"
    assert re.fullmatch(
        r"probes may not connect to \S+ \(PROBE_DENY_NETWORKS\); the status stays unknown", warning["message"]
    )
    assert (await api.http.patch("/api/services/shop", json={"name": "Store"})).json()["warnings"] == [warning]
    assert "warnings" not in await api.get("/api/services/shop")
    moved = await api.http.patch("/api/services/shop", json={"endpointUrl": SHOP["endpointUrl"]})
    assert moved.json() == SHOP | DEFAULTS | {"name": "Store"}


async def test_a_used_id_is_a_409(api: Api) -> None:
    assert (await api.http.post("/api/services", json=SHOP)).status_code == 201
    again = await api.http.post("/api/services", json=SHOP | {"name": "Other"})
    assert (again.status_code, again.json()["code"]) == (409, "CONFLICT")
    assert again.json()["details"][0]["field"] == "id"
    assert (await api.get("/api/services/shop"))["name"] == "Shop"


async def test_a_deleted_service_is_not_found(api: Api) -> None:
    await api.http.post("/api/services", json=SHOP)
    gone = await api.http.delete("/api/services/shop")
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert (await api.http.request(method, "/api/services/shop")).status_code == 404
    assert (await api.http.patch("/api/services/shop", json={"name": "X"})).status_code == 404


async def test_a_service_can_be_read_while_a_transaction_changes_it(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    async with db.transaction():
        await db.execute("SELECT FROM services WHERE id = 'shop' FOR UPDATE")
        with anyio.fail_after(10):
            assert (await api.get("/api/services/shop"))["id"] == "shop"


async def test_a_service_of_services_toml_cannot_be_changed(api: Api, db: Db) -> None:
    await api.http.post("/api/services", json=SHOP)
    await db.execute("UPDATE services SET declared_in = 'services.toml'")
    for method, body in (("PATCH", {"name": "X"}), ("DELETE", None)):
        response = await api.http.request(method, "/api/services/shop", json=body)
        assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
        assert "services.toml" in response.json()["error"]
    assert (await api.get("/api/services/shop"))["name"] == "Shop"


def test_defaults_are_valid_for_every_interval() -> None:
    for interval in (1, 2, 6, 7, 8, 86400):
        service = complete(read_new(SHOP | {"intervalSeconds": interval}), Settings())
        assert problems(service) == []


text = st.text(st.characters(codec="utf-8"), max_size=60)


@given(
    name=text,
    url=st.one_of(text, text.map("http://shop.example/".__add__), text.map("https://".__add__)),
    headers=st.dictionaries(text, text, max_size=3),
    keyword=text,
    tags=st.lists(text, max_size=3),
    interval=st.integers(),
    timeout=st.integers(-1, 70000),
)
def test_accepted_services_satisfy_the_constraints_of_the_table(
    name: str, url: str, headers: dict[str, str], keyword: str, tags: list[str], interval: int, timeout: int
) -> None:
    """The test repeats the conditions of the constraints. REST must not accept an input that the table refuses."""
    given_fields: dict[str, Any] = {
        "id": "shop",
        "name": name,
        "endpointUrl": url,
        "headers": headers,
        "keyword": keyword,
    }
    given_fields |= {"tags": tags, "intervalSeconds": interval, "timeoutMs": timeout}
    try:
        service: Service = complete(read_new(given_fields), Settings())
    except ApiError:
        return
    found: list[FieldProblem] = problems(service)
    if found:
        return
    assert "\0" not in msgspec.json.encode(service).decode().replace("\\u0000", "\0")
    assert 1 <= len(name) <= 100
    assert is_label(name)
    assert re.fullmatch("https?://[^ ]+", service.check_config.target)
    assert "@" not in service.check_config.target.split("/")[2]
    assert all(set(value) <= set(string.printable) - set("\r\n\t\x0b\x0c") for value in headers.values())
    assert 1 <= interval <= 86400
    assert 100 <= timeout <= min(60000, interval * 1000)


async def test_random_services_never_cause_a_server_error(api: Api) -> None:
    chance = random.Random(7)
    alphabet = "ab \u0000\n\u202e\U0001f600\"'\\%/:@?#\u00e9"
    for _ in range(150):
        word = "".join(chance.choices(alphabet, k=chance.randint(0, 12)))
        body: dict[str, Any] = SHOP | {chance.choice(list(DEFAULTS)): word, "endpointUrl": "http://a.example/" + word}
        response = await api.http.post("/api/services", json=body)
        assert response.status_code in (201, 400, 409), (body, response.text)


WRITES = [("POST", "/api/services"), ("PATCH", "/api/services/shop"), ("DELETE", "/api/services/shop")]
DETAILS = [("GET", "/api/services/shop"), ("GET", "/api/services?details=true"), ("GET", "/api/services/no-such-one")]


@pytest.mark.parametrize(("role", "status"), [(None, 401), ("viewer", 403), ("reporter", 403)])
async def test_only_admins_see_the_details_of_services_or_change_them(
    api: Api, db: Db, role: str | None, status: int
) -> None:
    await add_service(db, "shop", headers=Jsonb({"Authorization": "Bearer hidden"}))
    api.http.headers.pop("Authorization")
    headers = (await create_user(db, role)).headers if role else {}
    if role is None:
        refused = await api.http.get("/api/services?details=true", headers={"Authorization": "Bearer nonsense"})
        assert (refused.status_code, "hidden" in refused.text) == (401, False)
    for method, path in [*WRITES, *DETAILS]:
        body = {"name": "Theirs"} if method == "PATCH" else SHOP if method == "POST" else None
        response = await api.http.request(method, path, json=body, headers=headers)
        assert response.status_code == status, (method, path, response.text)
        assert response.json()["code"] == ("UNAUTHORIZED" if status == 401 else "FORBIDDEN")
        assert "hidden" not in response.text
    assert (await api.get("/api/services", headers=headers))["services"][1:] == [{"id": "shop", "name": "Shop"}]


async def test_the_public_list_is_cached_for_all_clients(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    viewer = await create_user(db, "viewer")
    path = "/api/services"

    await until_events_processed(api, db)
    await api.http.get(path)
    for headers in ({}, viewer.headers, {"Authorization": "Bearer nonsense"}):
        response = await api.http.get(path, headers=headers)
        assert (response.status_code, response.headers["x-cache"]) == (200, "HIT")
