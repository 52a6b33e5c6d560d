"""Issued reports: they never change, revisions are counted and compared, and who may issue and read them."""

import io
import uuid
from datetime import timedelta
from typing import Any

import anyio
import psycopg
import pypdf
import pytest

from tests.api.conftest import Api, User, add_service, create_user
from tests.api.incidents import error_fields
from tests.api.people import Db
from tests.api.test_sla_figures import NOON, add_policy, watch
from tests.api.test_sla_report import NOVEMBER, correct
from tests.sql.batches import set_clock

PATH = "/api/sla/reports"
pytestmark = pytest.mark.one_engine


async def issue(api: Api, admin: User, **fields: Any) -> Any:
    response = await api.http.post(PATH, json={"period": "2026-11"} | fields, headers=admin.headers)
    assert response.status_code == 201, response.text
    assert response.headers["location"] == f"{PATH}/{response.json()['report']['id']}"
    return response.json()["report"]


async def test_a_correction_changes_no_issued_report_and_the_next_revision_says_what_changed(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    admin, viewer = await create_user(db), await create_user(db, "viewer")
    first = await issue(api, admin)
    assert first == {
        "id": first["id"],
        "from": "2026-11-01",
        "to": "2026-11-30",
        "scope": {"services": [], "groups": [], "tags": [], "public": False},
        "asOf": "2026-11-15T12:00:00.000Z",
        "revision": 1,
        "author": admin.username,
        "issuedAt": "2026-11-15T12:00:00.000Z",
        "changes": [],
    }
    before = await api.get(f"{PATH}/{first['id']}", headers=viewer.headers)
    assert (before["revision"], before["services"][0]["uptime"]) == (1, "90.00")
    assert (
        "sla_levels('{shop}', '2026-11-01', '2026-11-30', '2026-11-15T12:00:00+00:00')" in before["services"][0]["sql"]
    )

    await set_clock(db, NOON + timedelta(minutes=1))
    await correct(db, at=NOON + timedelta(seconds=30))
    assert (await api.get(NOVEMBER, headers=viewer.headers))["services"][0]["uptime"] == "100.00"
    assert await api.get(f"{PATH}/{first['id']}", headers=viewer.headers) == before

    second = await issue(api, admin)
    assert second["revision"] == 2
    listed = (await api.get(PATH, headers=viewer.headers))["reports"]
    assert [(report["id"], report["revision"]) for report in listed] == [(second["id"], 2), (first["id"], 1)]
    assert listed[0]["changes"] == [
        {"service": "shop", "name": "Shop", "uptime": ["90.00", "100.00"], "verdict": ["missed", "met"]}
    ]
    assert listed[1]["changes"] == []


async def test_an_issued_report_is_rendered_in_every_format_and_language(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    admin = await create_user(db)
    path = f"{PATH}/{(await issue(api, admin))['id']}"
    korean = await api.http.get(f"{path}?format=pdf&lang=ko", headers=admin.headers)
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(korean.content)).pages)
    assert "서비스 수준 보고서" in text and "90.00%" in text
    assert korean.headers["content-disposition"] == 'inline; filename="sla-2026-11-01-2026-11-30-r1.pdf"'
    tag = {"If-None-Match": korean.headers["etag"]}
    assert (await api.http.get(f"{path}?format=pdf&lang=ko", headers=admin.headers | tag)).status_code == 304
    for form in ("csv", "html", "xlsx"):
        response = await api.http.get(f"{path}?format={form}", headers=admin.headers)
        assert response.status_code == 200, response.text


async def test_revisions_are_counted_for_the_same_days_and_scope(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    admin = await create_user(db)
    for fields, revision in (
        ({}, 1),
        ({"period": None, "from": "2026-11-01", "to": "2026-11-30"}, 2),
        ({"public": True}, 1),
        ({"services": ["shop"]}, 1),
        ({"services": ["shop", "shop"]}, 2),
        ({"period": "2026"}, 1),
    ):
        assert (await issue(api, admin, **fields))["revision"] == revision, fields

    async def issue_one() -> None:
        await issue(api, admin, period="2026-Q4")

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(issue_one)
    cursor = await db.execute(
        "SELECT revision FROM sla_reports WHERE last_day = '2026-12-31' AND first_day = '2026-10-01'"
    )
    assert sorted(await cursor.fetchall()) == [(n,) for n in range(1, 6)]
    page = await api.get(f"{PATH}?limit=2&page=2", headers=admin.headers)
    assert page["pagination"] == {"page": 2, "limit": 2, "total": 11, "totalPages": 6}
    assert len(page["reports"]) == 2


async def test_a_public_report_has_no_authors_and_no_private_services(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    await add_service(db, "vault", name="Vault", public=False)
    await correct(db)
    admin = await create_user(db)
    for public in (True, False):
        report = await api.get(f"{PATH}/{(await issue(api, admin, public=public))['id']}", headers=admin.headers)
        assert {service["id"] for service in report["services"]} == ({"shop"} if public else {"shop", "vault"})
        [correction] = report["corrections"]
        assert (correction["author"], correction["reason"]) == ((None, None) if public else ("ann", "The proxy failed"))


async def test_invalid_requests_name_the_field_and_store_nothing(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    admin, reporter = await create_user(db), await create_user(db, "reporter")
    for body, field in (
        ({"period": "2026-13"}, "period"),
        ({"period": "2025"}, "period"),
        ({"services": ["none"]}, "services"),
        ({"groups": ["none"]}, "groups"),
        ({"tags": ["none"]}, "tags"),
        ({"tags": [""]}, "tags[0]"),
        ({"from": "2026-11-01"}, "to"),
        ({"from": "2026-11-01", "to": "2037-11-01"}, "to"),
        ({"asOf": "now"}, "asOf"),
        ({"unknown": 1}, "unknown"),
    ):
        response = await api.http.post(PATH, json=body, headers=admin.headers)
        assert error_fields(response) == [field], body
    response = await api.http.post(PATH, json={"period": "2026-11"}, headers=reporter.headers)
    assert response.status_code == 403
    for unknown in (str(uuid.uuid4()), "x"):
        response = await api.http.get(f"{PATH}/{unknown}", headers=reporter.headers)
        assert (response.status_code, response.json()["reason"]) == (404, "unknown_report")
    assert (await (await db.execute("SELECT count(*) FROM sla_reports")).fetchall()) == [(0,)]


async def test_an_issued_report_cannot_be_changed_and_stays_after_its_author(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    admin, other = await create_user(db), await create_user(db)
    issued = await issue(api, admin)
    for statement in ("UPDATE sla_reports SET report = '{}'", "DELETE FROM sla_reports"):
        with pytest.raises(psycopg.Error):
            await db.execute(statement.encode())
    await db.execute("DELETE FROM users WHERE id = %s", [admin.user_id])
    [report] = (await api.get(PATH, headers=other.headers))["reports"]
    assert (report["id"], report["author"]) == (issued["id"], admin.username)
    cursor = await db.execute(
        "SELECT after ->> 'revision', after ? 'report' FROM audit_log "
        "WHERE object_type = 'sla-report' AND action = 'create'"
    )
    assert await cursor.fetchall() == [("1", False)]
