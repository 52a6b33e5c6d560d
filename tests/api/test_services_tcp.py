"""TCP services over REST, in services.toml and in the console."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.rest.declared_files import DeclarationError
from api.services.declared import apply, read
from sla_monitor.settings import Settings
from sql import open_pool
from tests.api.conftest import Api, create_user
from tests.api.visitors import Visitor, invalid_fields, redirect_target, visitor

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
DATABASE = {"id": "db", "name": "Database", "type": "tcp", "host": "db.example", "port": 5432}
DEFAULTS = {"tls": False, "verifyTls": True, "send": None, "expect": None}


@pytest.fixture
async def api(api: Api, db: Db) -> Api:
    """The API, with requests of an admin by default."""
    api.http.headers.update((await create_user(db, "admin")).headers)
    return api


async def test_a_service_is_stored_and_shown_with_the_fields_of_its_type(api: Api) -> None:
    created = await api.http.post("/api/services", json=DATABASE)
    assert created.status_code == 201, created.text
    body = created.json()
    assert body.items() >= (DATABASE | DEFAULTS).items()
    assert not {"endpointUrl", "method", "keyword"} & body.keys()
    assert await api.get("/api/services/db") == body
    assert (await api.get("/api/services?details=true"))["services"] == [body]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"host": None}, "host"),
        ({"host": "a b"}, "host"),
        ({"port": 0}, "port"),
        ({"port": "5432"}, "port"),
        ({"send": "\\q"}, "send"),
        ({"send": "a\r\n"}, "send"),
        ({"expect": ""}, "expect"),
        ({"endpointUrl": "http://a.example/"}, "endpointUrl"),
        ({"type": "udp"}, "type"),
        ({"type": None}, "type"),
        ({"type": "http"}, "host"),
    ],
)
async def test_invalid_fields_are_refused_by_name(api: Api, change: dict[str, Any], field: str) -> None:
    refused = await api.http.post("/api/services", json=DATABASE | change)
    assert refused.status_code == 400, refused.text
    assert field in [problem["field"] for problem in refused.json()["details"]], refused.text
    assert (await api.http.post("/api/services", json=DATABASE)).status_code == 201
    refused = await api.http.patch("/api/services/db", json=dict(change))
    assert refused.status_code == 400, refused.text


@pytest.mark.parametrize("missing", ["host", "port"])
async def test_host_and_port_are_required(api: Api, missing: str) -> None:
    refused = await api.http.post("/api/services", json={k: v for k, v in DATABASE.items() if k != missing})
    assert refused.json()["details"] == [{"field": missing, "message": "is required", "code": "required"}]


async def test_a_change_affects_only_the_given_fields(api: Api) -> None:
    await api.http.post("/api/services", json=DATABASE)
    changed = await api.http.patch("/api/services/db", json={"tls": True, "expect": "ok"})
    assert changed.json().items() >= {"tls": True, "expect": "ok", "port": 5432}.items()
    cleared = await api.http.patch("/api/services/db", json={"expect": None})
    assert (cleared.json()["expect"], cleared.json()["tls"]) == (None, True)


async def test_a_change_of_the_type_resets_the_fields_to_its_defaults(api: Api) -> None:
    await api.http.post("/api/services", json=DATABASE | {"retries": 2})
    refused = await api.http.patch("/api/services/db", json={"type": "http"})
    assert refused.json()["details"] == [{"field": "endpointUrl", "message": "is required", "code": "required"}]
    changed = await api.http.patch("/api/services/db", json={"type": "http", "endpointUrl": "http://db.example/"})
    assert changed.status_code == 200, changed.text
    assert changed.json().items() >= {"type": "http", "method": "GET", "retries": 2, "name": "Database"}.items()
    assert "port" not in await api.get("/api/services/db")
    back = await api.http.patch("/api/services/db", json={"type": "tcp", "host": "db.example", "port": 1})
    assert back.json().items() >= (DATABASE | DEFAULTS | {"port": 1}).items()


async def test_a_denied_target_is_stored_with_a_warning(api: Api) -> None:
    created = await api.http.post("/api/services", json=DATABASE | {"host": "169.254.169.254"})
    assert [warning["field"] for warning in created.json()["warnings"]] == ["host"]


async def test_the_openapi_document_has_each_type(api: Api) -> None:
    document = await api.get("/openapi.json")
    operation = document["paths"]["/api/services"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    names = {ref["$ref"].rpartition("/")[2] for ref in operation["anyOf"]}
    assert {"NewHttpService", "NewTcpService"} <= names
    schemas = document["components"]["schemas"]
    assert set(schemas["NewTcpService"]["required"]) == {"id", "name", "type", "host", "port"}
    assert schemas["NewTcpService"]["properties"]["port"]["maximum"] == 65535
    assert set(schemas["NewHttpService"]["required"]) == {"id", "name", "endpointUrl"}
    assert schemas["TcpService"]["properties"]["type"] == {"enum": ["tcp"]}


TOML = '[[service]]\nid = "db"\nname = "Database"\ntype = "tcp"\nhost = "db.example"\nport = 5432\n'


async def test_a_service_can_be_declared_in_a_file(database: str, db: Db, tmp_path: Path) -> None:
    path = tmp_path / "services.toml"
    async with open_pool(database, application="test") as pool:
        path.write_text(TOML)
        assert await apply(path, Settings(), pool) == [("db", "applied")]
        assert await apply(path, Settings(), pool) == []
        path.write_text(TOML.replace("5432", "5433"))
        assert await apply(path, Settings(), pool) == [("db", "applied")]
    row = await (await db.execute("SELECT check_config -> 'port' FROM services")).fetchone()
    assert row == (5433,)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (TOML.replace('host = "db.example"\n', ""), ["'db'", "host"]),
        (TOML.replace("5432", "0"), ["'db'", "port"]),
        (TOML.replace('"tcp"', '"udp"'), ["'db'", "type"]),
        (TOML + 'endpointUrl = "http://a/"\n', ["'db'", "endpointUrl"]),
        (TOML + 'send = "\\\\q"\n', ["'db'", "send"]),
    ],
)
def test_an_error_in_a_file_names_the_field(tmp_path: Path, text: str, names: list[str]) -> None:
    path = tmp_path / "services.toml"
    path.write_text(text)
    with pytest.raises(DeclarationError) as refused:
        read(path, Settings())
    assert all(name in str(refused.value) for name in names), refused.value


@pytest.fixture
async def admin(api: Api, db: Db) -> Visitor:
    api.http.headers.pop("authorization", None)
    return await visitor(api, await create_user(db, "admin", "ada"))


HERE = "/console/services"


async def test_the_form_has_the_fields_of_its_type(admin: Visitor, db: Db) -> None:
    page = await admin.get(f"{HERE}/new")
    assert f'href="{HERE}/new?type=tcp"' in page.text
    filled = {"id": "db", "name": "Database", "host": "db.example", "port": "5432", "send": "PING\\r\\n", "expect": "+"}
    assert redirect_target(await admin.fill(f"{HERE}/new?type=tcp", HERE, **filled)) == f"{HERE}?done=created"
    row = await (await db.execute("SELECT check_config FROM services")).fetchone()
    expected = {"type": "tcp", "host": "db.example", "port": 5432, "tls": False, "verify_tls": True}
    assert row is not None and row[0] == expected | {"send": "PING\\r\\n", "expect": "+"}
    assert "tcp://db.example:5432" in (await admin.get(HERE)).text
    assert redirect_target(await admin.fill(f"{HERE}/db", tls="1", expect="")) == f"{HERE}?done=saved"
    row = await (await db.execute("SELECT check_config FROM services")).fetchone()
    assert row is not None and row[0] == expected | {"send": "PING\\r\\n", "expect": None, "tls": True}


@pytest.mark.parametrize(("field", "value"), [("host", "a b"), ("host", ""), ("port", "0"), ("send", "\\q")])
async def test_invalid_values_are_marked(admin: Visitor, field: str, value: str) -> None:
    filled = {"id": "db", "name": "Database", "host": "db.example", "port": "5432", field: value}
    response = await admin.fill(f"{HERE}/new?type=tcp", HERE, **filled)
    assert (response.status, invalid_fields(response)) == (400, {field})
    assert response.form(HERE).value(field) == value
