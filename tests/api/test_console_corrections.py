"""/console/corrections and /console/holidays: corrections are made from outages and withdrawn; calendars are saved."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, Check, add_service, create_user, now, record
from tests.api.people import Db
from tests.api.visitors import Visitor, invalid_fields, redirect_target, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/corrections"
HOLIDAYS = "/console/holidays"
NEW = {"subject": "shop", "startsAt": "2026-03-02T10:00", "endsAt": "2026-03-02T10:05:30", "reason": "Proxy <b>"}


@pytest.fixture
async def reporter(api: Api, db: Db) -> Visitor:
    await add_service(db, "shop", name="Shop")
    return await visitor(api, await create_user(db, "reporter", "rosa"))


async def stored(db: Db) -> list[dict[str, Any]]:
    cursor = await db.execute("SELECT to_jsonb(sla_corrections) FROM sla_corrections ORDER BY created_at")
    return [row for (row,) in await cursor.fetchall()]


async def test_an_outage_fills_the_form_and_the_correction_covers_it(reporter: Visitor, db: Db) -> None:
    started = now() - timedelta(minutes=10, microseconds=250_000)
    ended = started + timedelta(minutes=1)
    await record(db, [Check("shop", started, ms=None), Check("shop", ended)])
    page = (await reporter.get("/services/shop")).text
    [link] = re.findall(r'href="(/console/corrections/new[^"]+)"', page)
    form = (await reporter.get(html.unescape(link))).form(HERE)
    assert form.value("subject") == "shop" and len(form.value("startsAt")) == 19
    redirect_target(await reporter.submit(form, reason="The proxy of the prober failed"))
    [correction] = await stored(db)
    starts_at, ends_at = (datetime.fromisoformat(correction[name]) for name in ("starts_at", "ends_at"))
    assert timedelta() <= started - starts_at < timedelta(seconds=1)
    assert timedelta() <= ends_at - ended < timedelta(seconds=1)
    assert (correction["effect"], correction["category"], correction["author"]) == ("up", "false_positive", "rosa")


async def test_times_are_local_times_of_the_chosen_zone(reporter: Visitor, db: Db) -> None:
    response = await reporter.fill(f"{HERE}/new", HERE, **NEW, timeZone="Asia/Seoul", effect="excluded")
    assert redirect_target(response) == f"{HERE}?done=created"
    [correction] = await stored(db)
    assert correction["starts_at"] == "2026-03-02T01:00:00+00:00" and correction["ends_at"][11:19] == "01:05:30"
    listed = (await reporter.get(f"{HERE}?done=created")).text
    assert "All figures follow it" in listed and "Proxy &lt;b&gt;" in listed and "<strong>Shop</strong>" in listed
    assert "Does not count" in listed and "rosa" in listed


async def test_all_problems_are_marked_and_what_was_typed_stays(reporter: Visitor, db: Db) -> None:
    wrong = {**NEW, "subject": "", "reason": "", "endsAt": "2026-03-02T09:00", "effect": "less"}
    response = await reporter.fill(f"{HERE}/new", HERE, **wrong, repeats="weekly", days=["SU", "MO"])
    assert response.status == 400 and {"reason", "effect"} <= invalid_fields(response)
    form = response.form(HERE)
    assert (form.value("endsAt"), form.values("days")) == ("2026-03-02T09:00", ["SU", "MO"])
    later = await reporter.submit(form, subject="shop", reason="x", effect="up")
    assert (later.status, invalid_fields(later)) == (400, {"endsAt"})
    future = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    response = await reporter.fill(f"{HERE}/new", HERE, **{**NEW, "startsAt": future, "endsAt": future[:-2] + "59"})
    assert (response.status, invalid_fields(response)) == (400, {"startsAt"})
    unreadable = await reporter.fill(f"{HERE}/new", HERE, **{**NEW, "startsAt": "soon"})
    assert (unreadable.status, invalid_fields(unreadable)) == (400, {"startsAt"})
    assert await stored(db) == []


async def test_a_correction_is_withdrawn_after_a_question_and_the_audit_log_names_it(
    reporter: Visitor, api: Api, db: Db
) -> None:
    redirect_target(await reporter.fill(f"{HERE}/new", HERE, **NEW))
    [correction] = await stored(db)
    question = f"{HERE}/{correction['id']}/withdraw"
    assert "Withdraw this correction?" in (await reporter.get(question)).text
    assert redirect_target(await reporter.fill(question)) == f"{HERE}?done=withdrawn"
    again = await reporter.fill(question)
    assert again.status == 409 and "already" in again.text
    assert "withdrawn by rosa" in (await reporter.get(HERE)).text
    for state, count in (("withdrawn", 1), ("valid", 0)):
        page = (await reporter.get(f"{HERE}?service=shop&state={state}")).text
        assert page.count("Proxy &lt;b&gt;") == count, state
    admin = await visitor(api, await create_user(db, "admin"))
    audit = (await admin.get("/console/audit?objectType=correction")).text
    assert audit.count("“Proxy &lt;b&gt;”") == 2
    assert "Counts as up" in audit and "False positive" in audit and "Withdrawn by" in audit
    korean = await Visitor(api, admin.cookie, "ko").get("/console/audit?objectType=correction")
    assert "정상으로 계산" in korean.text and "오탐" in korean.text


async def test_a_calendar_is_a_line_for_each_day(api: Api, db: Db) -> None:
    admin = await visitor(api, await create_user(db, "admin"))
    lines = "2026-12-25 Christmas Day\n\n2026-12-26\n26 December x"
    wrong = await admin.fill(f"{HOLIDAYS}/new", HOLIDAYS, name="Berlin", days=lines)
    assert (wrong.status, invalid_fields(wrong)) == (400, {"days"}) and "Line 3:" in wrong.text
    form = wrong.form(HOLIDAYS)
    assert form.value("days") == lines
    slash = await admin.submit(form, name="Berlin 2026/27")
    assert (slash.status, invalid_fields(slash)) == (400, {"name"})
    saved = await admin.submit(form, name="Berlin", days="2026-12-26 Boxing Day\n2026-12-25 Christmas Day")
    assert redirect_target(saved) == f"{HOLIDAYS}?done=saved"
    page = f"{HOLIDAYS}/Berlin"
    taken = await admin.fill(f"{HOLIDAYS}/new", HOLIDAYS, name="Berlin", days="2026-01-01 x")
    assert (taken.status, invalid_fields(taken)) == (409, {"name"})
    assert "2 days" in (await admin.get(HOLIDAYS)).text
    changed = await admin.get(page)
    assert changed.form(page).value("days") == "2026-12-25 Christmas Day\n2026-12-26 Boxing Day"
    redirect_target(await admin.submit(changed.form(page), days="2027-01-01 New Year"))
    assert redirect_target(await admin.fill(f"{page}/delete")) == f"{HOLIDAYS}?done=deleted"
    assert "There are no holiday calendars yet." in (await admin.get(HOLIDAYS)).text
