"""Two users edit one incident in forms, without scripts: the user who saves later sees both versions and loses no
text."""

from typing import Any

import msgspec
import pytest

from api.console.incident_form import EMPTY, FIELDS, draft_of, marks, of_draft, of_incident
from api.console.incident_merge import clash, differences, merged
from api.console.word_diff import MAX_WORDS, side_by_side
from api.incidents.fields import Incident
from tests.api.conftest import Api, User, add_service, create_user
from tests.api.incidents import Db, add_update, change, create
from tests.api.visitors import Form, Page, Visitor, invalid_fields, redirect_target, visitor

pytestmark = pytest.mark.one_engine


@pytest.fixture
async def ann(db: Db) -> User:
    return await create_user(db, "reporter", "ann")


@pytest.fixture
async def bob(db: Db) -> User:
    return await create_user(db, "reporter", "bob")


class Editor:
    """The browser of Ann, without scripts, with the form of an incident. Other users save over REST."""

    def __init__(self, api: Api, ann: User, incident: Any, browser: Visitor) -> None:
        self.api, self.ann, self.browser = api, ann, browser
        self.id: str = incident["id"]
        self.view = f"/console/incidents/{self.id}"
        self.edit = f"{self.view}/edit"

    async def form(self) -> Form:
        return (await self.browser.get(self.edit)).form(self.edit)

    async def send(self, form: Form, **fields: Any) -> Page:
        return await self.browser.submit(form, **fields)

    def draft_form(self, form: Form) -> Form:
        """Returns the form that saves a draft, as the script sends it while the user types."""
        draft = Form(f"{self.view}/draft", "post")
        draft.fields = form.fields
        return draft

    async def stored(self) -> Any:
        return (await self.api.get(f"/api/incidents/{self.id}", headers=self.ann.headers))["incident"]

    async def draft(self) -> Any:
        """Returns the stored draft, or None."""
        response = await self.api.http.get(f"/api/incidents/{self.id}/draft", headers=self.ann.headers)
        return response.json()["draft"] if response.status_code == 200 else None


@pytest.fixture
async def editor(api: Api, db: Db, ann: User) -> Editor:
    await add_service(db, "shop")
    await add_service(db, "search")
    incident = await create(api, ann, title="Down", description="One line", affectedServices=["shop"])
    return Editor(api, ann, incident, await visitor(api, ann))


def chosen(page: Page) -> dict[str, str]:
    """Returns the preselected version of each field of the comparison, "" if none is."""
    fields = dict.fromkeys((name for name in FIELDS if f'name="choice-{name}"' in page.text), "")
    [form] = [form for form in page.forms if form.action.endswith("/edit")]
    return fields | {name.removeprefix("choice-"): value for name, value in form.fields if name.startswith("choice-")}


async def test_only_changed_fields_are_saved(editor: Editor) -> None:
    filled = {
        "title": "Up & down",
        "affectedServices": ["search"],
        "public": "no",
        "postmortem": "Why\r\nnot",
        "reporter": "",
    }
    assert redirect_target(await editor.send(await editor.form(), **filled)) == f"{editor.view}?done=saved"
    stored = await editor.stored()
    assert (stored["title"], stored["affectedServices"], stored["public"]) == ("Up & down", ["search"], False)
    assert (stored["postmortem"], stored["reporter"], stored["version"]) == ("Why\nnot", None, 2)
    assert redirect_target(await editor.send(await editor.form())) == f"{editor.view}?done=saved"
    assert (await editor.stored())["version"] == 2
    assert "Saved." in (await editor.browser.get(f"{editor.view}?done=saved")).text


async def test_invalid_fields_are_marked_and_the_form_is_saved_as_a_draft(editor: Editor) -> None:
    page = await editor.send(await editor.form(), title="", description="Typed for long")
    assert page.status == 400 and "title" in invalid_fields(page) and "Typed for long</textarea>" in page.text
    assert (await editor.draft())["data"]["description"] == "Typed for long"
    assert redirect_target(await editor.send(page.form(editor.edit), title="Down")) == f"{editor.view}?done=saved"
    assert await editor.draft() is None


async def test_the_user_who_saves_later_sees_both_versions_and_chooses(editor: Editor, bob: User) -> None:
    form = await editor.form()
    await change(editor.api, bob, editor.id, title="Bob's title", description="One line, by Bob", severity="critical")
    page = await editor.send(form, title="Ann's title", description="One line, by Ann", priority="P3")
    assert page.status == 412 and "Another user saved first" in page.text
    assert "<mark>Ann</mark>" in page.text and "<mark>Bob</mark>" in page.text
    assert chosen(page) == {"title": "", "description": "", "severity": "theirs", "priority": "mine"}
    assert (await editor.stored())["title"] == "Bob's title"
    assert (await editor.draft())["data"]["description"] == "One line, by Ann"
    undecided = await editor.send(page.form(editor.edit), fields={"choice-title": "mine"}, go="save")
    assert undecided.status == 400 and "Choose one version" in undecided.text
    assert chosen(undecided) == {"title": "mine", "description": "", "severity": "theirs", "priority": "mine"}
    done = await editor.send(undecided.form(editor.edit), fields={"choice-description": "both"}, go="save")
    assert redirect_target(done) == f"{editor.view}?done=saved"
    stored = await editor.stored()
    assert (stored["title"], stored["severity"], stored["priority"]) == ("Ann's title", "critical", "P3")
    assert stored["description"] == "One line, by Bob\n\nOne line, by Ann"
    assert await editor.draft() is None


async def test_the_chosen_version_can_be_edited_before_saving(editor: Editor, bob: User) -> None:
    form = await editor.form()
    await change(editor.api, bob, editor.id, title="Bob's title")
    page = await editor.send(form, title="Ann's title")
    again = await editor.send(page.form(editor.edit), fields={"choice-title": "mine"}, go="edit")
    assert again.status == 200 and 'value="Ann&#39;s title"' in again.text
    assert (await editor.draft())["baseVersion"] == 2
    redirect_target(await editor.send(again.form(editor.edit), title="The title of both"))
    assert (await editor.stored())["title"] == "The title of both"


async def test_a_change_saved_during_the_choice_is_shown_too(editor: Editor, bob: User) -> None:
    form = await editor.form()
    await change(editor.api, bob, editor.id, title="Second")
    page = await editor.send(form, title="Mine")
    await change(editor.api, bob, editor.id, title="Third")
    page = await editor.send(page.form(editor.edit), fields={"choice-title": "mine"}, go="save")
    assert page.status == 400 and "<mark>Third</mark>" in page.text and chosen(page) == {"title": ""}
    redirect_target(await editor.send(page.form(editor.edit), fields={"choice-title": "mine"}, go="save"))
    assert (await editor.stored())["title"] == "Mine"


async def test_a_new_update_in_the_timeline_is_no_conflict(editor: Editor, bob: User) -> None:
    form = await editor.form()
    await add_update(editor.api, bob, editor.id, "identified")
    assert redirect_target(await editor.send(form, title="Mine")) == f"{editor.view}?done=saved"
    stored = await editor.stored()
    assert (stored["title"], stored["status"]) == ("Mine", "identified")


async def test_the_same_change_by_both_is_no_conflict(editor: Editor) -> None:
    form = await editor.form()
    for _ in range(2):
        assert redirect_target(await editor.send(form, title="Mine")) == f"{editor.view}?done=saved"
    assert (await editor.stored())["version"] == 2


async def test_both_versions_are_shown_on_request_before_saving(editor: Editor, bob: User) -> None:
    form = await editor.form()
    await change(editor.api, bob, editor.id, title="Bob's title")
    page = await editor.send(form, description="Mine", compare="1")
    assert page.status == 200 and chosen(page) == {"title": "theirs", "description": "mine"}
    again = await editor.send(page.form(editor.edit), go="edit")
    assert 'value="Bob&#39;s title"' in again.text and "Mine</textarea>" in again.text
    assert (await editor.stored())["version"] == 2


async def test_a_form_without_its_initial_values_compares_every_field(editor: Editor, bob: User) -> None:
    form = await editor.form()
    await change(editor.api, bob, editor.id, title="Bob's title")
    for base in ("", "no JSON", '{"title": 1}', '["title"]'):
        page = await editor.send(form, base=base, version="nonsense", severity="low")
        assert page.status == 412 and chosen(page) == {"title": "", "severity": ""}
    assert (await editor.stored())["version"] == 2


async def test_edits_of_a_deleted_incident_can_become_a_new_one(api: Api, db: Db, editor: Editor) -> None:
    admin = await create_user(db, "admin")
    form = await editor.form()
    await api.http.delete(f"/api/incidents/{editor.id}", headers=admin.headers)
    page = await editor.send(form, description="Much typed")
    assert page.status == 404 and "was deleted" in page.text and "Much typed</textarea>" in page.text
    assert redirect_target(await editor.send(page.form("/console/incidents/new"))).endswith("?done=created")


async def test_a_draft_is_offered_before_it_is_overwritten(editor: Editor) -> None:
    form = await editor.form()
    saved = await editor.browser.submit(editor.draft_form(form), description="Half a sen")
    assert (saved.status, (await editor.draft())["data"]["description"]) == (200, "Half a sen")
    for path, notice in (
        ("/console/incidents", f"unsaved changes in {editor.id}"),
        (editor.view, "unsaved changes in this incident"),
    ):
        assert notice in (await editor.browser.get(path)).text
    offer = await editor.browser.get(editor.edit)
    assert "<textarea" not in offer.text and "sen</mark>" in offer.text and f"{editor.edit}?draft=restore" in offer.text
    restored = await editor.browser.get(f"{editor.edit}?draft=restore")
    assert "Half a sen</textarea>" in restored.text and "data-unsaved" in restored.text
    redirect_target(await editor.send(restored.form(editor.edit)))
    assert ((await editor.stored())["description"], await editor.draft()) == ("Half a sen", None)


async def test_a_draft_can_be_discarded(editor: Editor) -> None:
    form = await editor.form()
    await editor.browser.submit(editor.draft_form(form), title="Nonsense")
    offer = await editor.browser.get(editor.edit)
    assert redirect_target(await editor.browser.submit(offer.form(f"{editor.view}/draft/discard"))) == editor.edit
    assert 'value="Down"' in (await editor.browser.get(editor.edit)).text
    assert await editor.draft() is None


async def test_a_draft_of_an_old_version_is_compared_with_the_new_one(editor: Editor, bob: User) -> None:
    form = await editor.form()
    await editor.browser.submit(editor.draft_form(form), title="Mine")
    await change(editor.api, bob, editor.id, title="Bob's")
    restored = await editor.browser.get(f"{editor.edit}?draft=restore")
    assert chosen(restored) == {"title": ""} and "<mark>Mine</mark>" in restored.text


@pytest.mark.parametrize("data", [{}, {"title": 7, "affectedServices": "shop", "base": []}, {"note": {"deep": [1]}}])
async def test_known_fields_of_drafts_of_other_front_ends_are_used(editor: Editor, data: Any) -> None:
    path = f"/api/incidents/{editor.id}/draft"
    for valid, title in (({}, "Down"), ({"title": "From the draft"}, "From the draft")):
        await editor.api.http.put(path, json={"data": data | valid}, headers=editor.ann.headers)
        assert f'value="{title}"' in (await editor.browser.get(f"{editor.edit}?draft=restore")).text


async def test_a_form_sent_after_the_end_of_the_session_is_not_lost(api: Api, db: Db, editor: Editor) -> None:
    form = await editor.form()
    await editor.browser.submit(editor.draft_form(form), description="Typed before")
    await db.execute("DELETE FROM sessions WHERE id = %s", [editor.ann.session_id])
    page = await editor.send(form, description="Typed before")
    assert page.status == 401 and "You are logged out" in page.text
    [[session_id]] = await (
        await db.execute(
            "INSERT INTO sessions (user_id, expires_at) VALUES (%s, now() + interval '1 day') RETURNING id",
            [editor.ann.user_id],
        )
    ).fetchall()
    back = await visitor(api, msgspec.structs.replace(editor.ann, session_id=session_id))
    assert "Typed before" in (await back.get(editor.edit)).text


async def test_deleted_services_remain_in_the_incident(db: Db, editor: Editor) -> None:
    await db.execute("DELETE FROM services WHERE id = 'shop'")
    form = await editor.form()
    assert ("affectedServices", "shop") in form.fields
    redirect_target(await editor.send(form, title="Without the shop"))
    assert (await editor.stored())["affectedServices"] == ["shop"]


INCIDENT: dict[str, Any] = {
    "id": "INC-2026-0001", "title": "T", "description": "D", "status": "identified", "severity": "low", "public": True,
    "priority": "P1", "reporter": None, "detectionCriteria": None, "postmortem": None, "affectedServices": ["b", "a"],
    "author": None, "createdAt": "", "updatedAt": "", "resolvedAt": None, "version": 3, "updateCount": 0, "updates": [],
}  # fmt: skip


def test_two_versions_are_compared_with_their_common_base() -> None:
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


def test_a_draft_is_read_as_it_was_stored() -> None:
    incident = msgspec.convert(INCIDENT, Incident)
    written = of_draft({**EMPTY, "title": " Kept\r\n", "base": {"title": "x"}}, 2, incident)
    assert (written.values["title"], written.base, written.version) == ("Kept", {"title": "x"}, 2)
    assert of_draft(draft_of(written)["data"], 2, incident) == written


def test_words_in_only_one_text_are_marked() -> None:
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
