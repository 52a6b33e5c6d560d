"""Two reporters change one incident, without scripts: whoever is second sees both versions, and no word is lost."""

from typing import Any

import msgspec
import pytest

from api.console.incident_form import EMPTY, FIELDS, draft_of, marks, of_draft, of_incident
from api.console.incident_merge import clash, differences, merged
from api.console.word_diff import MAX_WORDS, side_by_side
from api.incidents.fields import Incident
from tests.api.conftest import Api, Someone, add_service, someone
from tests.api.incidents import Db, change, create, say
from tests.api.visitors import Form, Page, Visitor, marked, sent_to, visitor

pytestmark = pytest.mark.one_engine


@pytest.fixture
async def ann(db: Db) -> Someone:
    return await someone(db, "reporter", "ann")


@pytest.fixture
async def bob(db: Db) -> Someone:
    return await someone(db, "reporter", "bob")


class Desk:
    """Ann at the form of an incident, in a browser without scripts; others by REST."""

    def __init__(self, api: Api, ann: Someone, incident: Any, browser: Visitor) -> None:
        self.api, self.ann, self.browser = api, ann, browser
        self.id: str = incident["id"]
        self.view = f"/console/incidents/{self.id}"
        self.edit = f"{self.view}/edit"

    async def form(self) -> Form:
        return (await self.browser.get(self.edit)).form(self.edit)

    async def send(self, form: Form, **fields: Any) -> Page:
        return await self.browser.submit(form, **fields)

    def as_draft(self, form: Form) -> Form:
        """As a script sends it while it is typed."""
        kept = Form(f"{self.view}/draft", "post")
        kept.fields = form.fields
        return kept

    async def stored(self) -> Any:
        return (await self.api.get(f"/api/incidents/{self.id}", headers=self.ann.headers))["incident"]

    async def draft(self) -> Any:
        """What is kept of it, None for nothing."""
        answer = await self.api.http.get(f"/api/incidents/{self.id}/draft", headers=self.ann.headers)
        return answer.json()["draft"] if answer.status_code == 200 else None


@pytest.fixture
async def desk(api: Api, db: Db, ann: Someone) -> Desk:
    await add_service(db, "shop")
    await add_service(db, "search")
    incident = await create(api, ann, title="Down", description="One line", affectedServices=["shop"])
    return Desk(api, ann, incident, await visitor(api, ann))


def chosen(page: Page) -> dict[str, str]:
    """What is preselected side by side; the fields that are offered, with "" where nothing is."""
    fields = dict.fromkeys((name for name in FIELDS if f'name="choice-{name}"' in page.text), "")
    [form] = [form for form in page.forms if form.action.endswith("/edit")]
    return fields | {name.removeprefix("choice-"): value for name, value in form.fields if name.startswith("choice-")}


async def test_only_what_was_changed_is_saved(desk: Desk) -> None:
    filled = {
        "title": "Up & down",
        "affectedServices": ["search"],
        "public": "no",
        "postmortem": "Why\r\nnot",
        "reporter": "",
    }
    assert sent_to(await desk.send(await desk.form(), **filled)) == f"{desk.view}?done=saved"
    stored = await desk.stored()
    assert (stored["title"], stored["affectedServices"], stored["public"]) == ("Up & down", ["search"], False)
    assert (stored["postmortem"], stored["reporter"], stored["version"]) == ("Why\nnot", None, 2)
    assert sent_to(await desk.send(await desk.form())) == f"{desk.view}?done=saved"
    assert (await desk.stored())["version"] == 2
    assert "Saved." in (await desk.browser.get(f"{desk.view}?done=saved")).text


async def test_what_is_wrong_is_marked_and_kept_as_a_draft(desk: Desk) -> None:
    page = await desk.send(await desk.form(), title="", description="Typed for long")
    assert page.status == 400 and "title" in marked(page) and "Typed for long</textarea>" in page.text
    assert (await desk.draft())["data"]["description"] == "Typed for long"
    assert sent_to(await desk.send(page.form(desk.edit), title="Down")) == f"{desk.view}?done=saved"
    assert await desk.draft() is None


async def test_who_saves_second_sees_both_versions_and_chooses(desk: Desk, bob: Someone) -> None:
    form = await desk.form()
    await change(desk.api, bob, desk.id, title="Bob's title", description="One line, by Bob", severity="critical")
    page = await desk.send(form, title="Ann's title", description="One line, by Ann", priority="P3")
    assert page.status == 412 and "Another user saved first" in page.text
    assert "<mark>Ann</mark>" in page.text and "<mark>Bob</mark>" in page.text
    assert chosen(page) == {"title": "", "description": "", "severity": "theirs", "priority": "mine"}
    assert (await desk.stored())["title"] == "Bob's title"
    assert (await desk.draft())["data"]["description"] == "One line, by Ann"
    undecided = await desk.send(page.form(desk.edit), fields={"choice-title": "mine"}, go="save")
    assert undecided.status == 400 and "Choose one version" in undecided.text
    assert chosen(undecided) == {"title": "mine", "description": "", "severity": "theirs", "priority": "mine"}
    done = await desk.send(undecided.form(desk.edit), fields={"choice-description": "both"}, go="save")
    assert sent_to(done) == f"{desk.view}?done=saved"
    stored = await desk.stored()
    assert (stored["title"], stored["severity"], stored["priority"]) == ("Ann's title", "critical", "P3")
    assert stored["description"] == "One line, by Bob\n\nOne line, by Ann"
    assert await desk.draft() is None


async def test_the_choice_can_be_edited_before_it_is_saved(desk: Desk, bob: Someone) -> None:
    form = await desk.form()
    await change(desk.api, bob, desk.id, title="Bob's title")
    page = await desk.send(form, title="Ann's title")
    again = await desk.send(page.form(desk.edit), fields={"choice-title": "mine"}, go="edit")
    assert again.status == 200 and 'value="Ann&#39;s title"' in again.text
    assert (await desk.draft())["baseVersion"] == 2
    sent_to(await desk.send(again.form(desk.edit), title="The title of both"))
    assert (await desk.stored())["title"] == "The title of both"


async def test_what_a_third_one_saves_meanwhile_is_shown_too(desk: Desk, bob: Someone) -> None:
    form = await desk.form()
    await change(desk.api, bob, desk.id, title="Second")
    page = await desk.send(form, title="Mine")
    await change(desk.api, bob, desk.id, title="Third")
    page = await desk.send(page.form(desk.edit), fields={"choice-title": "mine"}, go="save")
    assert page.status == 400 and "<mark>Third</mark>" in page.text and chosen(page) == {"title": ""}
    sent_to(await desk.send(page.form(desk.edit), fields={"choice-title": "mine"}, go="save"))
    assert (await desk.stored())["title"] == "Mine"


async def test_a_new_word_of_the_timeline_is_no_conflict(desk: Desk, bob: Someone) -> None:
    form = await desk.form()
    await say(desk.api, bob, desk.id, "identified")
    assert sent_to(await desk.send(form, title="Mine")) == f"{desk.view}?done=saved"
    stored = await desk.stored()
    assert (stored["title"], stored["status"]) == ("Mine", "identified")


async def test_the_same_words_twice_are_no_conflict(desk: Desk) -> None:
    form = await desk.form()
    for _ in range(2):
        assert sent_to(await desk.send(form, title="Mine")) == f"{desk.view}?done=saved"
    assert (await desk.stored())["version"] == 2


async def test_both_versions_are_shown_before_saving_where_asked_for(desk: Desk, bob: Someone) -> None:
    form = await desk.form()
    await change(desk.api, bob, desk.id, title="Bob's title")
    page = await desk.send(form, description="Mine", compare="1")
    assert page.status == 200 and chosen(page) == {"title": "theirs", "description": "mine"}
    again = await desk.send(page.form(desk.edit), go="edit")
    assert 'value="Bob&#39;s title"' in again.text and "Mine</textarea>" in again.text
    assert (await desk.stored())["version"] == 2


async def test_a_form_that_does_not_say_what_it_was_filled_with_takes_nothing_for_granted(
    desk: Desk, bob: Someone
) -> None:
    form = await desk.form()
    await change(desk.api, bob, desk.id, title="Bob's title")
    for base in ("", "no JSON", '{"title": 1}', '["title"]'):
        page = await desk.send(form, base=base, version="nonsense", severity="low")
        assert page.status == 412 and chosen(page) == {"title": "", "severity": ""}
    assert (await desk.stored())["version"] == 2


async def test_an_incident_that_is_gone_can_become_a_new_one(api: Api, db: Db, desk: Desk) -> None:
    admin = await someone(db, "admin")
    form = await desk.form()
    await api.http.delete(f"/api/incidents/{desk.id}", headers=admin.headers)
    page = await desk.send(form, description="Much typed")
    assert page.status == 404 and "was deleted" in page.text and "Much typed</textarea>" in page.text
    assert sent_to(await desk.send(page.form("/console/incidents/new"))).endswith("?done=created")


async def test_a_draft_that_waits_is_offered_before_anybody_types_over_it(desk: Desk) -> None:
    form = await desk.form()
    kept = await desk.browser.submit(desk.as_draft(form), description="Half a sen")
    assert (kept.status, (await desk.draft())["data"]["description"]) == (200, "Half a sen")
    for path, said in (
        ("/console/incidents", f"unsaved changes in {desk.id}"),
        (desk.view, "unsaved changes in this incident"),
    ):
        assert said in (await desk.browser.get(path)).text
    offer = await desk.browser.get(desk.edit)
    assert "<textarea" not in offer.text and "sen</mark>" in offer.text and f"{desk.edit}?draft=restore" in offer.text
    restored = await desk.browser.get(f"{desk.edit}?draft=restore")
    assert "Half a sen</textarea>" in restored.text and "data-unsaved" in restored.text
    sent_to(await desk.send(restored.form(desk.edit)))
    assert ((await desk.stored())["description"], await desk.draft()) == ("Half a sen", None)


async def test_a_draft_can_be_discarded(desk: Desk) -> None:
    form = await desk.form()
    await desk.browser.submit(desk.as_draft(form), title="Nonsense")
    offer = await desk.browser.get(desk.edit)
    assert sent_to(await desk.browser.submit(offer.form(f"{desk.view}/draft/discard"))) == desk.edit
    assert 'value="Down"' in (await desk.browser.get(desk.edit)).text
    assert await desk.draft() is None


async def test_a_draft_of_an_old_version_is_put_beside_the_new_one(desk: Desk, bob: Someone) -> None:
    form = await desk.form()
    await desk.browser.submit(desk.as_draft(form), title="Mine")
    await change(desk.api, bob, desk.id, title="Bob's")
    restored = await desk.browser.get(f"{desk.edit}?draft=restore")
    assert chosen(restored) == {"title": ""} and "<mark>Mine</mark>" in restored.text


@pytest.mark.parametrize("data", [{}, {"title": 7, "affectedServices": "shop", "base": []}, {"note": {"deep": [1]}}])
async def test_drafts_of_other_front_ends_are_taken_as_far_as_they_are_understood(desk: Desk, data: Any) -> None:
    path = f"/api/incidents/{desk.id}/draft"
    for known, title in (({}, "Down"), ({"title": "From afar"}, "From afar")):
        await desk.api.http.put(path, json={"data": data | known}, headers=desk.ann.headers)
        assert f'value="{title}"' in (await desk.browser.get(f"{desk.edit}?draft=restore")).text


async def test_a_session_that_ended_while_typing_loses_no_word(api: Api, db: Db, desk: Desk) -> None:
    form = await desk.form()
    await desk.browser.submit(desk.as_draft(form), description="Typed before")
    await db.execute("DELETE FROM sessions WHERE id = %s", [desk.ann.session_id])
    page = await desk.send(form, description="Typed before")
    assert page.status == 401 and "You are logged out" in page.text
    [[session_id]] = await (
        await db.execute(
            "INSERT INTO sessions (user_id, expires_at) VALUES (%s, now() + interval '1 day') RETURNING id",
            [desk.ann.user_id],
        )
    ).fetchall()
    back = await visitor(api, msgspec.structs.replace(desk.ann, session_id=session_id))
    assert "Typed before" in (await back.get(desk.edit)).text


async def test_services_that_were_deleted_stay_named(db: Db, desk: Desk) -> None:
    await db.execute("DELETE FROM services WHERE id = 'shop'")
    form = await desk.form()
    assert ("affectedServices", "shop") in form.fields
    sent_to(await desk.send(form, title="Without the shop"))
    assert (await desk.stored())["affectedServices"] == ["shop"]


INCIDENT: dict[str, Any] = {
    "id": "INC-2026-0001", "title": "T", "description": "D", "status": "identified", "severity": "low", "public": True,
    "priority": "P1", "reporter": None, "detectionCriteria": None, "postmortem": None, "affectedServices": ["b", "a"],
    "author": None, "createdAt": "", "updatedAt": "", "resolvedAt": None, "version": 3, "updateCount": 0, "updates": [],
}  # fmt: skip


def test_two_versions_are_compared_with_what_both_began_with() -> None:
    base = of_incident(msgspec.convert(INCIDENT, Incident))
    mine = {**base, "title": "Mine", "description": "Both", "severity": "high"}
    theirs = {**base, "description": "Theirs", "severity": "high", "affectedServices": ["a"]}
    found = differences(mine, theirs, marks(base))
    assert [(one.name, one.changed_by, one.proposed) for one in found] == [
        ("title", "me", "mine"),
        ("description", "both", None),
        ("affectedServices", "them", "theirs"),
    ]
    assert clash(found) and not clash(found[:1])
    choices = {"title": "theirs", "description": "both", "affectedServices": "both", "severity": "both"}
    assert merged(mine, theirs, choices) == {**mine, "title": "T", "description": "Theirs\n\nBoth"}
    assert merged({**mine, "description": "Theirs and more"}, theirs, choices)["description"] == "Theirs and more"


def test_a_draft_is_read_as_it_was_kept() -> None:
    incident = msgspec.convert(INCIDENT, Incident)
    written = of_draft({**EMPTY, "title": " Kept\r\n", "base": {"title": "x"}}, 2, incident)
    assert (written.values["title"], written.base, written.version) == ("Kept", {"title": "x"}, 2)
    assert of_draft(draft_of(written)["data"], 2, incident) == written


def test_words_that_are_in_one_text_only_are_marked() -> None:
    left, right = side_by_side("The shop is down.", "The shop is slow today.")
    assert [piece.text for piece in left if piece.only_here] == ["down"]
    assert "".join(piece.text for piece in right) == "The shop is slow today."
    assert side_by_side("결제가 실패합니다", "결제가 지연됩니다")[0][-1] == ("실패합니다", True)
    assert side_by_side("", "x") == ([], [("x", True)])
    many = "word " * MAX_WORDS
    assert side_by_side(f"{many}\nsame\n", "other\nsame\n") == (
        [(f"{many}\n", True), ("same\n", False)],
        [("other\n", True), ("same\n", False)],
    )
    assert side_by_side("x\n" * 3000, "y\n")[0] == [("x\n" * 3000, True)]
