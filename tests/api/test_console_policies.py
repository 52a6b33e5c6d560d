"""/console/policies: policies are created, changed and ended in forms; versions keep who changed what."""

from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, add_service, create_user, now
from tests.api.people import Db
from tests.api.visitors import Visitor, invalid_fields, redirect_target, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/policies"
NEW = {"scope": "service", "subject": "shop", "name": "Gold", "target": "99,95", "validFrom": "2026-01-01"}


@pytest.fixture
async def admin(api: Api, db: Db) -> Visitor:
    await add_service(db, "shop", name="Shop")
    return await visitor(api, await create_user(db, "admin", "ada"))


async def stored(db: Db) -> list[dict[str, Any]]:
    cursor = await db.execute("SELECT to_jsonb(sla_policy_versions) FROM sla_policy_versions ORDER BY version")
    return [row for (row,) in await cursor.fetchall()]


async def test_a_policy_is_created_with_all_terms(admin: Visitor, db: Db) -> None:
    hours = {"hours-rows": "3", "hours-0-days": ["1", "5"], "hours-0-from": "08:00", "hours-0-until": "20:00"}
    hours |= {"hours-2-days": "6", "hours-2-from": "00:00", "hours-2-until": "24:00"}
    steps = {"credits-rows": "1", "credits-0-below": "99.9", "credits-0-credit": "12.5"}
    response = await admin.fill(
        f"{HERE}/new",
        HERE,
        **NEW,
        period="rolling",
        rollingDays="30",
        timeZone="Europe/Berlin",
        objectiveMs="800",
        quorum="all",
        quorumLocations="3",  # the form hides it for this quorum
        groupMethod="mean",
        fields=hours | steps,
    )
    assert redirect_target(response) == f"{HERE}?done=created"
    [version] = await stored(db)
    assert version["target"] == 99.95 and version["author"] == "ada" and version["valid_from"] == "2026-01-01"
    assert (version["period"], version["rolling_days"], version["time_zone"]) == ("rolling", 30, "Europe/Berlin")
    assert version["service_hours"] == [
        {"days": [1, 5], "from": "08:00", "until": "20:00"},
        {"days": [6], "from": "00:00", "until": "24:00"},
    ]
    assert version["credits"] == [{"below": 99.9, "credit": 12.5}]
    assert (version["objective_ms"], version["objective_share"], version["quorum_locations"]) == (800, 95, None)
    assert version["group_method"] == "mean"
    listed = (await admin.get(f"{HERE}?done=created")).text
    assert "The policy has been created." in listed and "99.95%" in listed and "<strong>Shop</strong>" in listed
    page = (await admin.get(f"{HERE}/{version['policy_id']}")).text
    for text in (
        "Mon, Fri 08:00–20:00; Sat 00:00–24:00",
        "95% of checks within 800 ms",
        "below 99.9%: 12.5%",
        "30 days",
    ):
        assert text in page, text


async def test_all_problems_are_beside_their_fields_and_what_was_typed_stays(admin: Visitor, db: Db) -> None:
    rows = {"hours-rows": "3", "hours-1-days": "1", "hours-1-from": "20:00", "hours-1-until": "8"}
    rows |= {"hours-2-days": "2", "hours-2-from": "10:00", "hours-2-until": "09:00"}
    rows |= {"credits-rows": "2", "credits-0-below": "99", "credits-0-credit": "10", "credits-1-below": "99.5"}
    rows |= {"credits-1-credit": "x"}
    wrong = {"name": "", "target": "all", "subject": "", "timeZone": "Mars/Base", "announcedMinutes": "-1"}
    response = await admin.fill(f"{HERE}/new", HERE, **{**NEW, **wrong}, fields=rows)
    assert response.status == 400
    assert invalid_fields(response) == {
        *("name", "target", "subject", "timeZone", "announcedMinutes"),
        *("hours-1", "credits-1"),
    }
    form = response.form(HERE)
    assert [form.value(name) for name in ("target", "hours-1-until", "hours-2-from", "credits-1-credit")] == [
        *("all", "8", "10:00", "x"),
    ]
    assert await stored(db) == []
    rows |= {"hours-1-until": "22:00", "credits-1-below": "98", "credits-1-credit": "25"}
    response = await admin.submit(form, **NEW, timeZone="UTC", announcedMinutes="0", fields=rows)
    assert (response.status, invalid_fields(response)) == (400, {"hours-2"})
    unknown = await admin.submit(response.form(HERE), subject="nothing", fields=rows | {"hours-2-until": "11:00"})
    assert (unknown.status, invalid_fields(unknown)) == (400, {"subject"})


async def test_a_row_is_added_without_javascript(admin: Visitor, db: Db) -> None:
    response = await admin.fill(f"{HERE}/new", HERE, **NEW, add="hours", fields={"hours-0-from": "08:00"})
    assert response.status == 200
    form = response.form(HERE)
    assert (form.value("hours-rows"), form.value("hours-0-from"), form.value("name")) == ("3", "08:00", "Gold")
    assert await stored(db) == []


async def test_a_change_is_a_version_whose_differences_are_listed(admin: Visitor, api: Api, db: Db) -> None:
    redirect_target(await admin.fill(f"{HERE}/new", HERE, **NEW))
    [version] = await stored(db)
    page = f"{HERE}/{version['policy_id']}"
    form = await admin.get(f"{page}/edit")
    tomorrow = now().date() + timedelta(days=1)
    assert form.form(f"{page}/edit").value("validFrom") == tomorrow.isoformat()
    saved = await admin.submit(form.form(f"{page}/edit"), target="99.9", degradedWeight="0.5")
    assert redirect_target(saved) == f"{page}?done=saved"
    shown = (await admin.get(page)).text
    assert "99.95%</span>" in shown and "</span> 99.9%" in shown and "</span> 50%" in shown
    assert "The terms change on" in shown

    # The form that was opened before shows what the other user has changed, and can then be saved.
    outdated = await admin.submit(form.form(f"{page}/edit"), target="99.5")
    assert outdated.status == 412
    assert "ada has saved another version in the meantime" in outdated.text
    assert redirect_target(await admin.submit(outdated.form(f"{page}/edit"))) == f"{page}?done=saved"
    assert [row["target"] for row in await stored(db)] == [99.95, 99.9, 99.5]
    past = await admin.fill(f"{page}/edit", validFrom="2026-01-01")
    assert (past.status, invalid_fields(past)) == (400, {"validFrom"})

    ended = await admin.fill(f"{page}/end", **{"from": (tomorrow + timedelta(days=5)).isoformat()})
    assert redirect_target(ended) == f"{page}?done=ended"
    wrong = await admin.fill(f"{page}/end", **{"from": "soon"})
    assert (wrong.status, invalid_fields(wrong)) == (400, {"from"})
    audit = (await admin.get("/console/audit?objectType=sla-policy-version")).text
    assert "Version of an SLA policy" in audit and "“Gold”" in audit and "99.95%" in audit


async def test_reporters_read_policies_and_cannot_change_them(admin: Visitor, api: Api, db: Db) -> None:
    redirect_target(await admin.fill(f"{HERE}/new", HERE, **NEW))
    [version] = await stored(db)
    reporter = await visitor(api, await create_user(db, "reporter"))
    page = (await reporter.get(f"{HERE}/{version['policy_id']}")).text
    assert "99.95%" in page and "/edit" not in page and "/end" not in page
    assert f"{HERE}/new" not in (await reporter.get(HERE)).text
    await reporter.get(f"{HERE}/new", status=403)
