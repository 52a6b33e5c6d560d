"""/console/incidents without scripts: search, create, update, comment and delete. Concurrent edits are in
test_console_editing.py."""

import re
from typing import Any

import pytest

from tests.api.conftest import Api, User, add_service, create_user
from tests.api.incidents import Db, add_update, create, get_incident
from tests.api.visitors import Visitor, invalid_fields, redirect_target, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/incidents"
NEW = {"title": "Checkout <fails>", "severity": "high", "priority": "P1"}


@pytest.fixture
async def ann(db: Db) -> User:
    return await create_user(db, "reporter", "ann")


@pytest.fixture
async def reporter(api: Api, ann: User) -> Visitor:
    return await visitor(api, ann)


async def test_the_console_opens_with_the_incidents(reporter: Visitor) -> None:
    assert redirect_target(await reporter.request("GET", "/console")) == HERE
    page = await reporter.get(HERE)
    assert "There are no open incidents." in page.text
    assert f'href="{HERE}/new"' in page.text


@pytest.mark.parametrize("path", ["", "/new", "/INC-2026-0001", "/INC-2026-0001/edit", "/INC-2026-0001/delete"])
async def test_an_anonymous_visitor_is_sent_to_the_login_and_back(api: Api, path: str) -> None:
    anonymous = await visitor(api, None)
    assert redirect_target(await anonymous.request("GET", f"{HERE}{path}?x=1")) == f"/login?next={HERE}{path}%3Fx%3D1"


async def test_each_role_is_offered_its_permitted_actions(api: Api, db: Db, ann: User, reporter: Visitor) -> None:
    incident = await create(api, ann, public=False)
    one = f"{HERE}/{incident['id']}"
    viewer, admin = [await visitor(api, await create_user(db, role)) for role in ("viewer", "admin")]
    for client, writes, deletes in ((viewer, False, False), (reporter, True, False), (admin, True, True)):
        listed, shown = (await client.get(HERE)).text, (await client.get(one)).text
        assert incident["title"] in listed and "Internal" in listed
        assert (f"{HERE}/new" in listed, f"{one}/updates" in shown, f"{one}/edit" in shown) == (writes,) * 3
        assert (f"{one}/delete" in shown) is deletes
        assert f'href="/incidents/{incident["id"]}"' not in shown
        for path in (f"{HERE}/new", f"{one}/edit"):
            assert (await client.request("GET", path)).status == (200 if writes else 403)
        assert (await client.request("GET", f"{one}/delete")).status == (200 if deletes else 403)
        for path in (f"{HERE}/new", f"{one}/edit", f"{one}/updates", f"{one}/comments", f"{one}/draft"):
            refused = await client.request("POST", path, data={"title": "x"})
            assert refused.status == 403, path  # the CSRF token is missing, or the role is too low
    assert (await reporter.request("POST", f"{one}/delete", data={})).status == 403
    assert (await get_incident(api, ann, incident["id"]))["version"] == 1


async def test_incidents_are_found_by_filters(api: Api, db: Db, ann: User, reporter: Visitor) -> None:
    await add_service(db, "shop", name="The shop", public=False)
    down = await create(api, ann, title="All is down", affectedServices=["shop"], public=False)
    slow = await create(api, ann, title="All is slow", severity="low", priority="P3")
    await add_update(api, ann, slow["id"], "resolved")

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
    invalid = await reporter.get(f"{HERE}?from=yesterday&q=x", 400)
    assert "from" in invalid_fields(invalid) and 'value="yesterday"' in invalid.text


async def test_pages_of_a_long_list_keep_the_filters(api: Api, ann: User, reporter: Visitor) -> None:
    for number in range(21):
        await create(api, ann, title=f"Number {number}")
    first = await reporter.get(f"{HERE}?severity=high")
    assert f'href="{HERE}?severity=high&amp;page=2"' in first.text and "Number 20" in first.text
    second = await reporter.get(f"{HERE}?severity=high&page=2")
    assert second.text.count("<li id=") == 1 and "Number 0" in second.text


async def test_a_form_that_is_sent_twice_creates_one_incident(api: Api, db: Db, ann: User, reporter: Visitor) -> None:
    await add_service(db, "shop")
    form = (await reporter.get(f"{HERE}/new")).form(f"{HERE}/new")
    filled = {**NEW, "affectedServices": ["shop"], "public": "no", "update": "We look", "detectionCriteria": "5xx"}
    first, second = await reporter.submit(form, **filled), await reporter.submit(form, **filled)
    assert redirect_target(first) == redirect_target(second)
    incident_id = redirect_target(first).removeprefix(f"{HERE}/").removesuffix("?done=created")
    incident = await get_incident(api, ann, incident_id)
    assert incident["title"] == NEW["title"] and not incident["public"] and incident["reporter"] == "ann"
    assert (incident["affectedServices"], incident["detectionCriteria"]) == (["shop"], "5xx")
    assert [update["description"] for update in incident["updates"]] == ["We look"]
    page = await reporter.get(redirect_target(first))
    assert "The incident has been created." in page.text and "Checkout &lt;fails&gt;" in page.text
    another = await reporter.submit(form, **filled | {"title": "Other"})
    assert another.status == 409 and 'value="Other"' in another.text
    assert redirect_target(await reporter.submit(another.form(f"{HERE}/new"))) != redirect_target(first)


async def test_invalid_fields_are_marked_and_all_values_are_kept(db: Db, reporter: Visitor) -> None:
    await add_service(db, "shop")
    filled: dict[str, Any] = {
        "title": "",
        "description": "Long & <true>",
        "update": "First",
        "affectedServices": ["shop"],
    }
    page = await reporter.fill(f"{HERE}/new", severity="critical", public="no", **filled)
    assert page.status == 400 and "title" in invalid_fields(page)
    assert "no-store" not in page.response.headers["cache-control"]  # so that the back button restores the values
    assert "Long &amp; &lt;true&gt;</textarea>" in page.text and "First</textarea>" in page.text
    assert 'value="shop" checked' in page.text and 'value="no" checked' in page.text
    assert '<option value="critical" selected>' in page.text
    gone = await reporter.submit(page.form(f"{HERE}/new"), title="T", affectedServices=["shop", "gone"])
    assert gone.status == 400 and "affectedServices" in gone.text and 'value="T"' in gone.text


async def test_an_incident_starts_from_a_template(api: Api, db: Db, ann: User, reporter: Visitor) -> None:
    await add_service(db, "shop")
    data = {"title": "Shop down", "severity": "critical", "priority": "P1", "affectedServices": ["shop"]}
    body = {"name": "Outage", "data": data | {"description": "Nobody buys", "update": "We look into it"}}
    created = await api.http.post("/api/templates", json=body, headers=ann.headers)
    template = created.json()["data"]["id"]
    assert f'<option value="{template}">Outage' in (await reporter.get(f"{HERE}/new")).text
    page = await reporter.fill(f"{HERE}/new?template={template}", f"{HERE}/new")
    incident = await get_incident(api, ann, redirect_target(page).removeprefix(f"{HERE}/").partition("?")[0])
    assert {name: incident[name] for name in data} == data
    assert (incident["description"], incident["updates"][0]["description"]) == ("Nobody buys", "We look into it")
    for missing in ("nonsense", "00000000-0000-0000-0000-000000000000"):
        assert "This template has been deleted" in (await reporter.get(f"{HERE}/new?template={missing}")).text


async def test_updates_and_comments_are_added_in_forms(api: Api, ann: User, reporter: Visitor) -> None:
    one = f"{HERE}/{(await create(api, ann))['id']}"
    page = await reporter.fill(one, f"{one}/updates", status="identified", description="It is **DNS**")
    assert redirect_target(page) == f"{one}?done=updated"
    page = await reporter.fill(one, f"{one}/comments", text="Call Bob", public=None)
    assert redirect_target(page) == f"{one}?done=commented"
    redirect_target(await reporter.fill(one, f"{one}/comments", text="Sorry!", public="1"))
    shown = (await reporter.get(f"{one}?done=commented")).text
    assert "It is <strong>DNS</strong>" in shown and "Call Bob" in shown and "Sorry!" in shown
    assert "The comment has been added." in shown
    public = await api.get(f"{one.replace('/console', '/api')}/comments")
    assert [comment["text"] for comment in public["comments"]] == ["Sorry!"]
    for form, values in (("updates", {"description": " ", "status": "resolved"}), ("comments", {"text": "x" * 10001})):
        refused = await reporter.fill(one, f"{one}/{form}", **values)
        assert refused.status == 400 and len(invalid_fields(refused)) == 1
    assert "x" * 10001 in refused.text


async def test_a_comment_is_deleted_by_its_author_or_an_admin(api: Api, db: Db, ann: User, reporter: Visitor) -> None:
    one = f"{HERE}/{(await create(api, ann))['id']}"
    colleague, admin = (
        await visitor(api, await create_user(db, "reporter")),
        await visitor(api, await create_user(db, "admin")),
    )
    await reporter.fill(one, f"{one}/comments", text="Mine")
    await colleague.fill(one, f"{one}/comments", text="Theirs")

    async def delete_forms(client: Visitor) -> list[str]:
        return re.findall(f'action="({one}/comments/[0-9]+/delete)"', (await client.get(one)).text)

    [mine], [theirs] = await delete_forms(reporter), await delete_forms(colleague)
    assert await delete_forms(admin) == [mine, theirs]
    form = (await reporter.get(one)).form(mine)
    assert (await reporter.request("POST", theirs, data=dict(form.fields))).status == 403
    for _ in range(2):
        assert redirect_target(await reporter.submit(form)) == f"{one}?done=withdrawn"
    assert await delete_forms(admin) == [theirs]


async def test_an_admin_deletes_an_incident_after_confirmation(api: Api, db: Db, ann: User) -> None:
    admin = await visitor(api, await create_user(db, "admin"))
    incident = await create(api, ann, title="Oops <b>")
    one = f"{HERE}/{incident['id']}"
    confirmation = await admin.get(f"{one}/delete")
    assert "Oops &lt;b&gt;" in confirmation.text
    assert redirect_target(await admin.submit(confirmation.form(f"{one}/delete"))) == f"{HERE}?done=deleted"
    assert "has been deleted" in (await admin.get(f"{HERE}?done=deleted")).text
    await admin.get(one, 404)
    await admin.get(f"{HERE}/nonsense", 404)


async def test_a_form_of_another_session_changes_nothing(api: Api, db: Db, ann: User, reporter: Visitor) -> None:
    incident = await create(api, ann)
    one = f"{HERE}/{incident['id']}"
    other = await visitor(api, await create_user(db, "reporter"))
    for path in (f"{one}/updates", f"{one}/comments"):
        form = (await other.get(one)).form(path)
        assert (await reporter.submit(form, description="x", text="x")).status == 403
    form = (await other.get(f"{one}/edit")).form(f"{one}/edit")
    assert (await reporter.submit(form, title="Taken over")).status == 403
    assert (
        await reporter.request("POST", f"{one}/edit", data=dict(form.fields), headers={"Origin": "http://evil"})
    ).status == 403
    assert (await get_incident(api, ann, incident["id"]))["version"] == 1


async def test_the_list_shows_who_is_editing(api: Api, db: Db, ann: User, reporter: Visitor) -> None:
    incident, bob = await create(api, ann), await create_user(db, "reporter", "bob")
    for user in (ann, bob):
        await db.execute(
            "SELECT hold_presence(%s, %s, gen_random_uuid(), %s, %s, true, 'title', interval '1 min')",
            [incident["id"], user.username, user.user_id, user.username],
        )
    for path in (HERE, f"{HERE}/{incident['id']}", f"{HERE}/{incident['id']}/edit"):
        shown = (await reporter.get(path)).text
        assert "bob is editing" in shown and "ann is editing" not in shown


async def test_the_console_is_available_in_korean(api: Api, ann: User) -> None:
    incident = await create(api, ann)
    reporter = await visitor(api, ann, "ko")
    for path in ("", "/new", f"/{incident['id']}", f"/{incident['id']}/edit"):
        assert re.search("인시던트", (await reporter.get(HERE + path)).text)
