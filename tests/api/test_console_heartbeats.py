"""/console/services: a job that reports by itself, its address, and another one."""

import re

import pytest

from tests.api.conftest import Api, someone
from tests.api.people import Db
from tests.api.visitors import Visitor, marked, sent_to, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/services"
NEW = {"id": "backup", "name": "Backup", "cron": "0 2 * * *", "timeZone": "Europe/Berlin", "intervalSeconds": "1"}


@pytest.fixture
async def admin(api: Api, db: Db) -> Visitor:
    return await visitor(api, await someone(db, "admin", "ada"))


def address(text: str) -> str:
    found = re.search(r"/ping/[0-9a-f-]{36}", text)
    assert found is not None
    return found[0]


async def test_its_address_is_shown_and_can_be_made_anew(api: Api, admin: Visitor, db: Db) -> None:
    assert sent_to(await admin.fill(f"{HERE}/new?type=heartbeat", HERE, **NEW)) == f"{HERE}?done=created"
    [(config,)] = await (await db.execute("SELECT check_config FROM services")).fetchall()
    assert config == {"type": "heartbeat", "cron": "0 2 * * *", "time_zone": "Europe/Berlin", "grace_seconds": 300}
    page = await admin.get(f"{HERE}/backup")
    assert "No report yet" in page.text
    first = address(page.text)
    assert (await api.http.get(first)).text == "OK"
    page = await admin.get(f"{HERE}/backup")
    assert "Last report" in page.text and "next one due" in page.text
    again = await admin.submit(page.form(f"{HERE}/backup/key"))
    assert sent_to(again) == f"{HERE}/backup?done=rotated"
    page = await admin.get(f"{HERE}/backup?done=rotated")
    assert address(page.text) != first and "The address is new." in page.text
    assert (await api.http.get(first)).status_code == 404
    assert (
        sent_to(await admin.fill(f"{HERE}/backup", f"{HERE}/backup", cron="", intervalSeconds="3600"))
        == f"{HERE}?done=saved"
    )
    assert (await api.http.get(address(page.text))).text == "OK"


@pytest.mark.parametrize(("field", "value"), [("cron", "nonsense"), ("timeZone", "Mars/Base"), ("graceSeconds", "0")])
async def test_wrong_values_are_marked(admin: Visitor, field: str, value: str) -> None:
    answer = await admin.fill(f"{HERE}/new?type=heartbeat", HERE, **NEW | {field: value})
    assert (answer.status, marked(answer)) == (400, {field})
    assert answer.form(HERE).value(field) == value
