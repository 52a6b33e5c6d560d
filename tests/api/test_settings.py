"""GET /api/settings: every setting in the format of the environment, with masked secrets."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.operations.settings import described, written
from sla_monitor.settings import ENVIRONMENT, NEW_INSTALLATION, SECRET, Settings, Terms, load
from sla_monitor.settings.values import Limit
from tests.api.conftest import JWT_SECRET, Api, create_user, running_api

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def settings_of(api: Api, headers: dict[str, str]) -> dict[str, dict[str, Any]]:
    response = await api.http.get("/api/settings", headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    return {one["variable"]: one for one in response.json()["settings"]}


async def test_every_setting_is_listed_with_its_meaning(database: str, db: Db) -> None:
    admin = await create_user(db, "admin")
    async with running_api(database, rate_limit_login=Limit(7, timedelta(minutes=1))) as api:
        found = await settings_of(api, admin.headers)
        assert list(found) == [variable.name for variable in ENVIRONMENT.values()]
        for variable in ENVIRONMENT.values():
            assert set(found[variable.name]) == {"variable", "value", "default", "meaning"}
            assert found[variable.name]["meaning"] == variable.meaning
        assert (found["PORT"]["value"], found["PORT"]["default"]) == (str(api.settings.api_port), "3001")
        assert (found["RATE_LIMIT_LOGIN"]["value"], found["RATE_LIMIT_LOGIN"]["default"]) == ("7/1m", "5/15m")
        assert (found["RATE_LIMIT_API"]["value"], found["RATE_LIMIT_API"]["default"]) == ("off", "100/15m")
        assert (found["JWT_EXPIRES_IN"]["value"], found["CLIENT_URLS"]["value"]) == ("1d", None)


async def test_secrets_are_masked_in_the_response(database: str, db: Db) -> None:
    admin = await create_user(db, "admin")
    async with running_api(database, heartbeat_url="https://watch.example/top-secret") as api:
        found = await settings_of(api, admin.headers)
        assert found["HEARTBEAT_URL"]["value"] == found["JWT_SECRET"]["value"] == "***"
        assert found["DATABASE_URL"]["value"] is None
        assert "top-secret" not in str(found)
        assert JWT_SECRET not in str(found)


def test_every_secret_is_masked() -> None:
    secrets = {field: f"https://top-secret.example/{field}" for field in SECRET}
    shown = described(msgspec.structs.replace(Settings(), **secrets), NEW_INSTALLATION)
    assert "top-secret" not in str(shown)
    assert {one.variable for one in shown if one.value == "***"} == {ENVIRONMENT[field].name for field in SECRET}


async def test_settings_of_the_installation_are_read_from_the_database(database: str, db: Db) -> None:
    admin = await create_user(db, "admin")
    await db.execute("UPDATE installation SET time_zone = 'Asia/Seoul', retention = '30 days', compress_after = '36 h'")
    async with running_api(database, time_zone="Europe/Vienna") as api:
        found = await settings_of(api, admin.headers)
        assert found["SLA_MONITOR_TIMEZONE"]["value"] == "Asia/Seoul"
        assert found["SLA_MONITOR_TIMEZONE"]["default"] == "UTC"
        assert (found["CHECK_RETENTION"]["value"], found["CHECK_RETENTION"]["default"]) == ("30d", "400d")
        assert found["CHECK_COMPRESS_AFTER"]["value"] == "36h"


@pytest.mark.parametrize(("role", "status"), [(None, 401), ("viewer", 403), ("reporter", 403)])
async def test_only_admins_read_settings_and_they_cannot_be_written(
    api: Api, db: Db, role: str | None, status: int
) -> None:
    headers = (await create_user(db, role)).headers if role else {}
    assert (await api.http.get("/api/settings", headers=headers)).status_code == status
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await api.http.request(method, "/api/settings", headers=headers)).status_code == 405


def test_credentials_in_a_url_are_masked() -> None:
    assert written("https://user:top-secret@face.example/v1?a=b@c") == "https://***@face.example/v1?a=b@c"


def test_a_setting_is_shown_in_the_format_of_the_environment() -> None:
    environment = {
        "SLA_MONITOR_HOME": str(Path("/srv/sla")),
        "CLIENT_URLS": "http://a.example,https://b.example:8443",
        "TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8",
        "HEALTH_CHECK_INTERVAL": "*/5 * * * *",
        "RATE_LIMIT_SOCKETS": "off",
        "SOCKET_SEND_TIMEOUT": "1500ms",
        "PORT": "8080",
    }
    settings = load(environment)
    shown = {one.variable: one.value for one in described(settings, NEW_INSTALLATION)}
    again = load({name: value for name, value in shown.items() if value is not None})
    terms = {name: getattr(again, name) for name in Terms._fields}
    assert terms == NEW_INSTALLATION._asdict()
    for field in set(Settings.__struct_fields__) - set(Terms._fields):
        assert getattr(again, field) == getattr(settings, field), field
    assert (shown["HEALTH_CHECK_INTERVAL"], shown["SOCKET_SEND_TIMEOUT"]) == ("5m", "1500ms")


@given(st.integers(0, 10**10))
def test_a_duration_is_written_in_its_largest_whole_unit(milliseconds: int) -> None:
    text = written(timedelta(milliseconds=milliseconds))
    assert text is not None
    assert load({"SOCKET_SEND_TIMEOUT": text}).socket_send_timeout == timedelta(milliseconds=milliseconds)
