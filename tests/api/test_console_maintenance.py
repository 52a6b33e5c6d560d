"""/console/maintenance: maintenance windows are created, changed and cancelled in forms."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api import coming
from tests.api.coming import coming_change_of_clocks, coming_day
from tests.api.conftest import Api, add_service, create_user
from tests.api.people import Db
from tests.api.visitors import Visitor, invalid_fields, redirect_target, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/maintenance"
DAY = coming_day()
WEDNESDAY = coming_day(coming.WEDNESDAY)
SPRING, AUTUMN = coming_change_of_clocks(3), coming_change_of_clocks(10)
WEEK = timedelta(days=7)
NEW = {"title": "New disks", "affectedServices": "shop", "startsAt": f"{DAY}T02:00", "endsAt": f"{DAY}T03:30"}


@pytest.fixture
async def reporter(api: Api, db: Db) -> Visitor:
    await add_service(db, "shop")
    await add_service(db, "vault", public=False)
    return await visitor(api, await create_user(db, "reporter", "rosa"))


async def stored(db: Db) -> list[dict[str, Any]]:
    cursor = await db.execute(
        "SELECT to_jsonb(maintenance_windows) FROM maintenance_windows WHERE deleted_at IS NULL ORDER BY created_at"
    )
    return [row for (row,) in await cursor.fetchall()]


async def test_a_window_is_created_in_the_chosen_time_zone(reporter: Visitor, db: Db) -> None:
    response = await reporter.fill(f"{HERE}/new", HERE, **NEW, timeZone="Asia/Seoul", public="no")
    assert redirect_target(response) == f"{HERE}?done=created"
    [window] = await stored(db)
    assert window["starts_at"] == f"{DAY - timedelta(days=1)}T17:00:00+00:00"
    assert (window["time_zone"], window["rrule"], window["public"]) == ("Asia/Seoul", None, False)
    page = await reporter.get(f"{HERE}?done=created")
    assert 'role="status">The maintenance has been scheduled.' in page.text
    assert "New disks" in page.text and "Internal" in page.text and "by rosa" in page.text
    cursor = await db.execute("SELECT actor_kind, actor FROM audit_log WHERE object_type = 'maintenance'")
    assert await cursor.fetchall() == [("user", "rosa")]


async def test_an_unknown_message_in_the_address_is_ignored(reporter: Visitor) -> None:
    assert 'role="status"' not in (await reporter.get(f"{HERE}?done=<script>")).text.partition("<h1")[2]


async def test_the_form_starts_with_the_reporting_time_zone(reporter: Visitor, db: Db) -> None:
    await db.execute("UPDATE installation SET time_zone = 'Asia/Seoul'")
    page = await reporter.get(f"{HERE}/new")
    form = page.form(HERE)
    assert form.value("timeZone") == "Asia/Seoul"
    assert page.text.index('value="Asia/Seoul"') < page.text.index('value="Africa/Abidjan"')


async def test_invalid_fields_are_marked_and_all_values_are_kept(reporter: Visitor, db: Db) -> None:
    invalid = {**NEW, "title": "", "affectedServices": None, "endsAt": f"{DAY}T01:00", "description": "<b>&"}
    response = await reporter.fill(
        f"{HERE}/new", HERE, **invalid, repeats="weekly", days=["SU", "WE"], limit="count", count="5", every="2"
    )
    assert response.status == 400
    assert invalid_fields(response)
    form = response.form(HERE)
    values = {
        name: form.values(name) for name in ("title", "description", "endsAt", "repeats", "days", "count", "every")
    }
    assert values == {
        "title": [""],
        "description": ["<b>&"],
        "endsAt": [f"{DAY}T01:00"],
        "repeats": ["weekly"],
        "days": ["SU", "WE"],
        "count": ["5"],
        "every": ["2"],
    }
    corrected = await reporter.submit(form, **{**NEW, "startsAt": f"{WEDNESDAY}T02:00", "endsAt": f"{WEDNESDAY}T03:00"})
    assert redirect_target(corrected) == f"{HERE}?done=created"
    [window] = await stored(db)
    assert window["rrule"] == "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,WE;COUNT=5"


@pytest.mark.parametrize(
    ("starts_at", "message"),
    [
        (f"{SPRING}T02:30", "does not exist in Europe/Berlin"),
        (f"{AUTUMN}T02:30", "occurs twice in Europe/Berlin"),
        ("tomorrow", "Please enter a date and a time"),
        ("", "Please enter a date and a time"),
    ],
    ids=["never", "twice", "nonsense", "empty"],
)
async def test_skipped_and_repeated_local_times_are_marked(
    reporter: Visitor, db: Db, starts_at: str, message: str
) -> None:
    values = {**NEW, "startsAt": starts_at, "endsAt": f"{starts_at[:10]}T05:00"}
    response = await reporter.fill(f"{HERE}/new", HERE, **values, timeZone="Europe/Berlin")
    assert response.status == 400
    assert "startsAt" in invalid_fields(response) and message in response.text
    assert await stored(db) == []


@pytest.mark.parametrize(("which", "utc"), [("first", "00:30"), ("second", "01:30")])
async def test_either_moment_of_a_repeated_local_time_can_be_chosen(
    reporter: Visitor, db: Db, which: str, utc: str
) -> None:
    values = {**NEW, "startsAt": f"{AUTUMN}T02:30", "endsAt": f"{AUTUMN}T05:00", "timeZone": "Europe/Berlin"}
    first = await reporter.fill(f"{HERE}/new", HERE, **values)
    response = await reporter.submit(first.form(HERE), fields={"startsAt-which": which})
    redirect_target(response)
    [window] = await stored(db)
    assert window["starts_at"] == f"{AUTUMN}T{utc}:00+00:00"
    page = await reporter.get(f"{HERE}/{window['id']}")
    assert page.form(f"{HERE}/{window['id']}").value("startsAt-which") == which


async def test_a_preview_shows_the_next_occurrences_and_saves_nothing(reporter: Visitor, db: Db) -> None:
    before = SPRING - WEEK
    values = {**NEW, "startsAt": f"{before}T02:30", "endsAt": f"{before}T03:30", "timeZone": "Europe/Berlin"}
    response = await reporter.fill(f"{HERE}/new", HERE, **values, repeats="weekly", preview="1")
    assert response.status == 200
    shown = response.text.partition('id="preview"')[2].partition("</section>")[0]
    assert shown.count("<li>") == 10
    assert f"{before}T01:30:00Z" in shown and f"{SPRING}T01:30:00Z" in shown and f"{SPRING + WEEK}T00:30:00Z" in shown
    assert response.form(HERE).value("repeats") == "weekly"
    assert await stored(db) == []
    invalid = await reporter.fill(f"{HERE}/new", HERE, **NEW, repeats="rule", rrule="FREQ=SECONDLY", preview="1")
    assert (invalid.status, invalid_fields(invalid)) == (400, {"rrule"})


async def create_window(reporter: Visitor, db: Db, **values: Any) -> str:
    redirect_target(await reporter.fill(f"{HERE}/new", HERE, **{**NEW, **values}))
    return str((await stored(db))[-1]["id"])


async def test_a_change_keeps_fractions_of_seconds_that_the_form_does_not_show(reporter: Visitor, db: Db) -> None:
    window = await create_window(reporter, db)
    await db.execute("UPDATE maintenance_windows SET starts_at = starts_at + interval '1.5 s' WHERE id = %s", [window])
    response = await reporter.fill(f"{HERE}/{window}", title="Newer disks", description="Soon")
    assert redirect_target(response) == f"{HERE}?done=saved"
    [row] = await stored(db)
    assert (row["title"], row["description"]) == ("Newer disks", "Soon")
    assert row["starts_at"] == f"{DAY}T02:00:01.5+00:00"


async def test_the_user_who_saves_later_sees_the_saved_version(reporter: Visitor, db: Db) -> None:
    window = await create_window(reporter, db)
    opened = await reporter.get(f"{HERE}/{window}")
    redirect_target(await reporter.fill(f"{HERE}/{window}", title="Theirs"))
    refused = await reporter.submit(opened.form(f"{HERE}/{window}"), description="Mine")
    assert refused.status == 412
    assert "Another user has saved this maintenance" in refused.text and "Title: Theirs" in refused.text
    form = refused.form(f"{HERE}/{window}")
    assert (form.value("title"), form.value("description")) == ("New disks", "Mine")
    redirect_target(await reporter.submit(form))
    assert (await stored(db))[0]["title"] == "New disks"


async def test_cancelling_needs_a_confirmation(reporter: Visitor, api: Api, db: Db) -> None:
    window = await create_window(reporter, db)
    page = await reporter.get(f"{HERE}/{window}/delete")
    assert "New disks" in page.text and len(await stored(db)) == 1
    response = await reporter.submit(page.form(f"{HERE}/{window}/delete"))
    assert redirect_target(response) == f"{HERE}?done=deleted"
    assert await stored(db) == []
    await reporter.get(f"{HERE}/{window}", status=404)


async def test_a_reporter_changes_but_does_not_cancel_the_window_of_another(
    reporter: Visitor, api: Api, db: Db
) -> None:
    window = await create_window(reporter, db)
    other = await visitor(api, await create_user(db, "reporter"))
    assert f"{HERE}/{window}/delete" not in (await other.get(HERE)).text
    await other.get(f"{HERE}/{window}/delete", status=403)
    redirect_target(await other.fill(f"{HERE}/{window}", title="Together"))
    admin = await visitor(api, await create_user(db, "admin"))
    redirect_target(await admin.fill(f"{HERE}/{window}/delete"))


async def test_viewers_see_windows_and_no_forms(reporter: Visitor, api: Api, db: Db) -> None:
    await create_window(reporter, db, public="no")
    page = await (await visitor(api, await create_user(db, "viewer"))).get(HERE)
    assert "New disks" in page.text
    assert f"{HERE}/new" not in page.text and "/delete" not in page.text


async def test_running_planned_and_past_windows_have_sections(reporter: Visitor, db: Db) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    hour = timedelta(hours=1)
    times = {"startsAt": f"{now - hour:%Y-%m-%dT%H:%M:%S}", "endsAt": f"{now + hour:%Y-%m-%dT%H:%M:%S}"}
    await create_window(reporter, db, title="Now", **times)
    await db.execute(
        "INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author) "
        "VALUES ('Then', '{shop}', now() - interval '3 h', now() - interval '2 h', 'UTC', 'rosa')"
    )
    await db.execute(
        "INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids) "
        "SELECT id, starts_at, ends_at, affected_services FROM maintenance_windows WHERE title = 'Then'"
    )
    text = (await reporter.get(HERE)).text
    running, coming, past = (text.index(f"<h2>{word}</h2>") for word in ("Running", "Upcoming", "Past"))
    assert running < text.index("Now", running) < coming < text.index("No maintenance is planned") < past
    assert past < text.index("Then", past)


async def test_texts_are_escaped(reporter: Visitor, db: Db) -> None:
    await create_window(reporter, db, title="<img src=x onerror=alert(1)>", description="</textarea><script>")
    [window] = await stored(db)
    for path in (HERE, f"{HERE}/{window['id']}", f"{HERE}/{window['id']}/delete"):
        text = (await reporter.get(path)).text
        assert "<img src=x" not in text and "</textarea><script>" not in text


async def test_the_page_is_available_in_korean(api: Api, db: Db, reporter: Visitor) -> None:
    await create_window(reporter, db, repeats="weekly", startsAt=f"{WEDNESDAY}T02:00", endsAt=f"{WEDNESDAY}T03:00")
    text = (await (await visitor(api, await create_user(db, "reporter"), "ko")).get(HERE)).text
    assert '<html lang="ko"' in text and "매주 · 수" in text and "Every" not in text
    assert re.search(r"02:00</time> ~ <time[^>]*>03:00", text) and " – " not in text
