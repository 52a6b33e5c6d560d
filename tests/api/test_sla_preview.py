"""Previews of policies and corrections in the console: the figures under the draft beside those of today; nothing is
stored."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, Check, add_service, create_user, midday, record
from tests.api.people import Db
from tests.api.visitors import Page, Visitor, invalid_fields, visitor

pytestmark = [pytest.mark.one_engine, pytest.mark.one_day]

POLICIES, CORRECTIONS = "/console/policies", "/console/corrections"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def start() -> datetime:
    """The start of an hour of checks."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)


@pytest.fixture
async def admin(api: Api, db: Db, start: datetime) -> Visitor:
    """Two services, of which `shop` was down for 6 of 61 minutes, and a policy of 80 %. It is about noon."""
    zone = await midday(db)
    user = await create_user(db, "admin", "ada")
    for service in ("shop", "search"):
        await add_service(db, service)
        failing = range(20, 26) if service == "shop" else range(0)
        await record(db, [Check(service, start + n * MINUTE, ms=None if n in failing else 50.0) for n in range(61)])
    policy = {"scope": "everything", "name": "Standard", "target": 80, "validFrom": "2026-01-01", "timeZone": zone.key}
    response = await api.http.post("/api/sla/policies", json=policy, headers=user.headers)
    assert response.status_code == 201, response.text
    return await visitor(api, user)


def panel(page: Page) -> str:
    """Returns the visible text of the preview in one line."""
    found = re.search(r'<section id="preview".*?</section>', page.text, re.DOTALL)
    assert found is not None
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", found[0]).split()))


async def changes(db: Db) -> tuple[Any, ...]:
    cursor = await db.execute(
        "SELECT (SELECT count(*) FROM sla_policy_versions), (SELECT count(*) FROM sla_corrections), "
        "(SELECT count(*) FROM audit_log WHERE action <> 'login')"
    )
    row: tuple[Any, ...]
    [row] = await cursor.fetchall()
    return row


async def test_a_policy_shows_which_verdicts_change(admin: Visitor, db: Db) -> None:
    before = await changes(db)
    form = (await admin.get(f"{POLICIES}/new")).form(POLICIES)
    page = await admin.submit(form, name="Strict", scope="service", subject="shop", target="99", preview="1")
    assert page.status == 200
    shown = panel(page)
    assert "If these terms applied to the whole period" in shown
    assert "The figures of 1 service of 1 change." in shown and "1 service: Met → Missed" in shown
    assert "Shop" in shown and "90.16%" in shown
    assert page.form(POLICIES).value("name") == "Strict"
    same = await admin.submit(form, name="Same", scope="everything", target="80", preview="1")
    assert "The figures of 2 services stay as they are." in panel(same)
    wrong = await admin.submit(form, name="", target="all", preview="1")
    assert (wrong.status, invalid_fields(wrong)) == (400, {"name", "target"})
    assert "Correct the form" in panel(wrong)
    unknown = await admin.submit(form, name="x", scope="service", subject="nothing", preview="1")
    assert panel(unknown) == "Which one: names an unknown service"
    assert await changes(db) == before


async def test_a_new_version_is_previewed_from_the_edit_form(admin: Visitor, db: Db) -> None:
    [(policy_id,)] = await (await db.execute("SELECT id FROM sla_policies")).fetchall()
    before = await changes(db)
    page = await admin.fill(f"{POLICIES}/{policy_id}/edit", target="95", preview="1")
    assert "The figures of 2 services of 2 change." in panel(page) and "1 service: Met → Missed" in panel(page)
    assert page.form(f"{POLICIES}/{policy_id}/edit").value("version") == "1"
    assert await changes(db) == before


async def test_a_correction_and_its_withdrawal_are_previewed(admin: Visitor, db: Db, start: datetime) -> None:
    form = (await admin.get(f"{CORRECTIONS}/new?service=shop")).form(CORRECTIONS)
    times = {"startsAt": f"{start:%Y-%m-%dT%H:%M}", "endsAt": f"{start + 60 * MINUTE:%Y-%m-%dT%H:%M}"}
    times |= {"timeZone": "UTC"}
    before = await changes(db)
    page = await admin.submit(form, **times, reason="No impact", preview="1")
    shown = panel(page)
    assert "With this correction" in shown and "90.16% → becomes 100.00%" in shown, shown
    assert await changes(db) == before
    assert (await admin.submit(form, **times, reason="No impact")).status == 303
    [(correction_id,)] = await (await db.execute("SELECT id FROM sla_corrections")).fetchall()
    shown = panel(await admin.get(f"{CORRECTIONS}/{correction_id}/withdraw"))
    assert "Without this correction" in shown and "100.00% → becomes 90.16%" in shown, shown
