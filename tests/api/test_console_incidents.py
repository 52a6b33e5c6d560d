"""/console/incidents without scripts: found, made, told of, commented on, removed; two reporters are in
test_console_editing.py."""

import re
from typing import Any

import pytest

from tests.api.conftest import Api, Someone, add_service, someone
from tests.api.incidents import Db, create, say
from tests.api.visitors import Visitor, marked, sent_to, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/incidents"
NEW = {"title": "Checkout <fails>", "severity": "high", "priority": "P1"}


@pytest.fixture
async def ann(db: Db) -> Someone:
    return await someone(db, "reporter", "ann")


@pytest.fixture
async def reporter(api: Api, ann: Someone) -> Visitor:
    return await visitor(api, ann)


async def stored(api: Api, who: Someone, incident_id: str) -> Any:
    return (await api.get(f"/api/incidents/{incident_id}", headers=who.headers))["incident"]


async def test_the_console_begins_with_its_incidents(reporter: Visitor) -> None:
    assert sent_to(await reporter.ask("GET", "/console")) == HERE
    page = await reporter.get(HERE)
    assert "There are no open incidents." in page.text
    assert f'href="{HERE}/new"' in page.text


@pytest.mark.parametrize("path", ["", "/new", "/INC-2026-0001", "/INC-2026-0001/edit", "/INC-2026-0001/delete"])
async def test_who_is_not_logged_in_logs_in_first_and_comes_back(api: Api, path: str) -> None:
    nobody = await visitor(api, None)
    assert sent_to(await nobody.ask("GET", f"{HERE}{path}?x=1")) == f"/login?next={HERE}{path}%3Fx%3D1"


async def test_each_role_is_offered_what_it_may(api: Api, db: Db, ann: Someone, reporter: Visitor) -> None:
    incident = await create(api, ann, public=False)
    one = f"{HERE}/{incident['id']}"
    viewer, admin = [await visitor(api, await someone(db, role)) for role in ("viewer", "admin")]
    for who, writes, deletes in ((viewer, False, False), (reporter, True, False), (admin, True, True)):
        listed, shown = (await who.get(HERE)).text, (await who.get(one)).text
        assert incident["title"] in listed and "Internal" in listed
        assert (f"{HERE}/new" in listed, f"{one}/updates" in shown, f"{one}/edit" in shown) == (writes,) * 3
        assert (f"{one}/delete" in shown) is deletes
        assert f'href="/incidents/{incident["id"]}"' not in shown
        for path in (f"{HERE}/new", f"{one}/edit"):
            assert (await who.ask("GET", path)).status == (200 if writes else 403)
        assert (await who.ask("GET", f"{one}/delete")).status == (200 if deletes else 403)
        for path in (f"{HERE}/new", f"{one}/edit", f"{one}/updates", f"{one}/comments", f"{one}/draft"):
            refused = await who.ask("POST", path, data={"title": "x"})
            assert refused.status == 403, path  # the form's token is missing, or the role is too low
    assert (await reporter.ask("POST", f"{one}/delete", data={})).status == 403
    assert (await stored(api, ann, incident["id"]))["version"] == 1


async def test_incidents_are_found_as_over_rest(api: Api, db: Db, ann: Someone, reporter: Visitor) -> None:
    await add_service(db, "shop", name="The shop", public=False)
    down = await create(api, ann, title="All is down", affectedServices=["shop"], public=False)
    slow = await create(api, ann, title="All is slow", severity="low", priority="P3")
    await say(api, ann, slow["id"], "resolved")

    async def found(query: str) -> set[str]:
        return set(re.findall(rf'<li id="({"INC-[0-9]+-[0-9]+"})"', (await reporter.get(f"{HERE}?{query}")).text))

    assert await found("") == await found("status=investigating%2Cidentified%2Cmonitoring") == {down["id"]}
    assert await found("status=all") == {down["id"], slow["id"]}
    assert await found("status=resolved&severity=&priority=&service=&from=&to=&q=") == {slow["id"]}
    assert await found("severity=low") == await found("priority=P3") == await found("q=SLOW") == {slow["id"]}
    assert await found("service=shop") == {down["id"]}
    assert await found("from=2020-01-01&to=2020-01-02") == set()
    shown = await reporter.get(f"{HERE}?service=shop&q=down")
    assert 'value="down"' in shown.text and '<option value="shop" selected>' in shown.text
    assert "The shop" in shown.text and "One incident" in shown.text
    assert "No incidents match" in (await reporter.get(f"{HERE}?q=none")).text
    wrong = await reporter.get(f"{HERE}?from=yesterday&q=x", 400)
    assert "from" in marked(wrong) and 'value="yesterday"' in wrong.text


async def test_a_long_list_has_pages_that_keep_the_filters(api: Api, ann: Someone, reporter: Visitor) -> None:
    for number in range(21):
        await create(api, ann, title=f"Number {number}")
    first = await reporter.get(f"{HERE}?severity=high")
    assert f'href="{HERE}?severity=high&amp;page=2"' in first.text and "Number 20" in first.text
    second = await reporter.get(f"{HERE}?severity=high&page=2")
    assert second.text.count("<li id=") == 1 and "Number 0" in second.text


async def test_an_incident_is_made_once_however_often_it_is_sent(
    api: Api, db: Db, ann: Someone, reporter: Visitor
) -> None:
    await add_service(db, "shop")
    form = (await reporter.get(f"{HERE}/new")).form(f"{HERE}/new")
    filled = {**NEW, "affectedServices": ["shop"], "public": "no", "update": "We look", "detectionCriteria": "5xx"}
    first, second = await reporter.submit(form, **filled), await reporter.submit(form, **filled)
    assert sent_to(first) == sent_to(second)
    incident_id = sent_to(first).removeprefix(f"{HERE}/").removesuffix("?done=created")
    incident = await stored(api, ann, incident_id)
    assert incident["title"] == NEW["title"] and not incident["public"] and incident["reporter"] == "ann"
    assert (incident["affectedServices"], incident["detectionCriteria"]) == (["shop"], "5xx")
    assert [update["description"] for update in incident["updates"]] == ["We look"]
    page = await reporter.get(sent_to(first))
    assert "The incident has been created." in page.text and "Checkout &lt;fails&gt;" in page.text
    another = await reporter.submit(form, **filled | {"title": "Other"})
    assert another.status == 409 and 'value="Other"' in another.text
    assert sent_to(await reporter.submit(another.form(f"{HERE}/new"))) != sent_to(first)


async def test_what_is_wrong_is_marked_and_nothing_typed_is_lost(db: Db, reporter: Visitor) -> None:
    await add_service(db, "shop")
    filled: dict[str, Any] = {
        "title": "",
        "description": "Long & <true>",
        "update": "First",
        "affectedServices": ["shop"],
    }
    page = await reporter.fill(f"{HERE}/new", severity="critical", public="no", **filled)
    assert page.status == 400 and "title" in marked(page)
    assert "no-store" not in page.answer.headers["cache-control"]  # the back button brings back what was typed
    assert "Long &amp; &lt;true&gt;</textarea>" in page.text and "First</textarea>" in page.text
    assert 'value="shop" checked' in page.text and 'value="no" checked' in page.text
    assert '<option value="critical" selected>' in page.text
    gone = await reporter.submit(page.form(f"{HERE}/new"), title="T", affectedServices=["shop", "gone"])
    assert gone.status == 400 and "affectedServices" in gone.text and 'value="T"' in gone.text


async def test_an_incident_starts_from_a_template(api: Api, db: Db, ann: Someone, reporter: Visitor) -> None:
    await add_service(db, "shop")
    data = {"title": "Shop down", "severity": "critical", "priority": "P1", "affectedServices": ["shop"]}
    body = {"name": "Outage", "data": data | {"description": "Nobody buys", "update": "We look into it"}}
    made = await api.http.post("/api/templates", json=body, headers=ann.headers)
    template = made.json()["data"]["id"]
    assert f'<option value="{template}">Outage' in (await reporter.get(f"{HERE}/new")).text
    page = await reporter.fill(f"{HERE}/new?template={template}", f"{HERE}/new")
    incident = await stored(api, ann, sent_to(page).removeprefix(f"{HERE}/").partition("?")[0])
    assert {name: incident[name] for name in data} == data
    assert (incident["description"], incident["updates"][0]["description"]) == ("Nobody buys", "We look into it")
    for missing in ("nonsense", "00000000-0000-0000-0000-000000000000"):
        assert "This template has been deleted" in (await reporter.get(f"{HERE}/new?template={missing}")).text


async def test_the_timeline_and_the_comments_go_on_in_forms(api: Api, ann: Someone, reporter: Visitor) -> None:
    one = f"{HERE}/{(await create(api, ann))['id']}"
    page = await reporter.fill(one, f"{one}/updates", status="identified", description="It is **DNS**")
    assert sent_to(page) == f"{one}?done=updated"
    page = await reporter.fill(one, f"{one}/comments", text="Call Bob", public=None)
    assert sent_to(page) == f"{one}?done=commented"
    sent_to(await reporter.fill(one, f"{one}/comments", text="Sorry!", public="1"))
    shown = (await reporter.get(f"{one}?done=commented")).text
    assert "It is <strong>DNS</strong>" in shown and "Call Bob" in shown and "Sorry!" in shown
    assert "The comment has been added." in shown
    outside = await api.get(f"{one.replace('/console', '/api')}/comments")
    assert [comment["text"] for comment in outside["comments"]] == ["Sorry!"]
    for form, typed in (("updates", {"description": " ", "status": "resolved"}), ("comments", {"text": "x" * 10001})):
        refused = await reporter.fill(one, f"{one}/{form}", **typed)
        assert refused.status == 400 and len(marked(refused)) == 1
    assert "x" * 10001 in refused.text


async def test_a_comment_is_removed_by_who_wrote_it_or_an_admin(
    api: Api, db: Db, ann: Someone, reporter: Visitor
) -> None:
    one = f"{HERE}/{(await create(api, ann))['id']}"
    colleague, admin = await visitor(api, await someone(db, "reporter")), await visitor(api, await someone(db, "admin"))
    await reporter.fill(one, f"{one}/comments", text="Mine")
    await colleague.fill(one, f"{one}/comments", text="Theirs")

    async def removals(who: Visitor) -> list[str]:
        return re.findall(f'action="({one}/comments/[0-9]+/delete)"', (await who.get(one)).text)

    [mine], [theirs] = await removals(reporter), await removals(colleague)
    assert await removals(admin) == [mine, theirs]
    form = (await reporter.get(one)).form(mine)
    assert (await reporter.ask("POST", theirs, data=dict(form.fields))).status == 403
    for _ in range(2):
        assert sent_to(await reporter.submit(form)) == f"{one}?done=withdrawn"
    assert await removals(admin) == [theirs]


async def test_an_admin_removes_an_incident_once_it_is_confirmed(api: Api, db: Db, ann: Someone) -> None:
    admin = await visitor(api, await someone(db, "admin"))
    incident = await create(api, ann, title="Oops <b>")
    one = f"{HERE}/{incident['id']}"
    asked = await admin.get(f"{one}/delete")
    assert "Oops &lt;b&gt;" in asked.text
    assert sent_to(await admin.submit(asked.form(f"{one}/delete"))) == f"{HERE}?done=deleted"
    assert "has been deleted" in (await admin.get(f"{HERE}?done=deleted")).text
    await admin.get(one, 404)
    await admin.get(f"{HERE}/nonsense", 404)


async def test_a_form_of_another_session_changes_nothing(api: Api, db: Db, ann: Someone, reporter: Visitor) -> None:
    incident = await create(api, ann)
    one = f"{HERE}/{incident['id']}"
    other = await visitor(api, await someone(db, "reporter"))
    for path in (f"{one}/updates", f"{one}/comments"):
        form = (await other.get(one)).form(path)
        assert (await reporter.submit(form, description="x", text="x")).status == 403
    form = (await other.get(f"{one}/edit")).form(f"{one}/edit")
    assert (await reporter.submit(form, title="Taken over")).status == 403
    assert (
        await reporter.ask("POST", f"{one}/edit", data=dict(form.fields), headers={"Origin": "http://evil"})
    ).status == 403
    assert (await stored(api, ann, incident["id"]))["version"] == 1


async def test_the_list_tells_who_is_editing(api: Api, db: Db, ann: Someone, reporter: Visitor) -> None:
    incident, bob = await create(api, ann), await someone(db, "reporter", "bob")
    for who in (ann, bob):
        await db.execute(
            "SELECT hold_presence(%s, %s, gen_random_uuid(), %s, %s, true, 'title', interval '1 min')",
            [incident["id"], who.username, who.user_id, who.username],
        )
    for path in (HERE, f"{HERE}/{incident['id']}", f"{HERE}/{incident['id']}/edit"):
        shown = (await reporter.get(path)).text
        assert "bob is editing" in shown and "ann is editing" not in shown


async def test_the_console_speaks_korean(api: Api, ann: Someone) -> None:
    incident = await create(api, ann)
    reporter = await visitor(api, ann, "ko")
    for path in ("", "/new", f"/{incident['id']}", f"/{incident['id']}/edit"):
        assert re.search("인시던트", (await reporter.get(HERE + path)).text)
