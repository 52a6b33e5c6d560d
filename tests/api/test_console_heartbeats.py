"""/console/services: the ping URL of a heartbeat service, and its replacement."""

import re

import pytest

from tests.api.conftest import Api, create_user
from tests.api.people import Db
from tests.api.visitors import Visitor, invalid_fields, redirect_target, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/services"
NEW = {"id": "backup", "name": "Backup", "cron": "0 2 * * *", "timeZone": "Europe/Berlin", "intervalSeconds": "1"}


@pytest.fixture
async def admin(api: Api, db: Db) -> Visitor:
    return await visitor(api, await create_user(db, "admin", "ada"))


def ping_path(text: str) -> str:
    found = re.search(r"/ping/[0-9a-f-]{36}", text)
    assert found is not None
    return found[0]


async def test_the_ping_url_is_shown_and_can_be_replaced(api: Api, admin: Visitor, db: Db) -> None:
    assert redirect_target(await admin.fill(f"{HERE}/new?type=heartbeat", HERE, **NEW)) == f"{HERE}?done=created"
    [(config,)] = await (await db.execute("SELECT check_config FROM services")).fetchall()
    assert config == {"type": "heartbeat", "cron": "0 2 * * *", "time_zone": "Europe/Berlin", "grace_seconds": 300}
    page = await admin.get(f"{HERE}/backup")
    assert "No report yet" in page.text
    first = ping_path(page.text)
    assert (await api.http.get(first)).text == "OK"
    page = await admin.get(f"{HERE}/backup")
    assert "Last report" in page.text and "next report due" in page.text
    again = await admin.submit(page.form(f"{HERE}/backup/key"))
    assert redirect_target(again) == f"{HERE}/backup?done=rotated"
    page = await admin.get(f"{HERE}/backup?done=rotated")
    assert ping_path(page.text) != first and "A new address has been created." in page.text
    assert (await api.http.get(first)).status_code == 404
    assert (
        redirect_target(await admin.fill(f"{HERE}/backup", f"{HERE}/backup", cron="", intervalSeconds="3600"))
        == f"{HERE}?done=saved"
    )
    assert (await api.http.get(ping_path(page.text))).text == "OK"


@pytest.mark.parametrize(("field", "value"), [("cron", "nonsense"), ("timeZone", "Mars/Base"), ("graceSeconds", "0")])
async def test_invalid_values_are_marked(admin: Visitor, field: str, value: str) -> None:
    response = await admin.fill(f"{HERE}/new?type=heartbeat", HERE, **NEW | {field: value})
    assert (response.status, invalid_fields(response)) == (400, {field})
    assert response.form(HERE).value(field) == value
