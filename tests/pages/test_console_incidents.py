"""The incident console in browsers: two people at one incident, drafts that outlive tabs and servers, keys, phones."""

import re
from typing import Any

import psycopg
import pytest
from playwright.async_api import Dialog, expect

from tests.api.conftest import Api, User, create_user, running_api
from tests.api.incidents import add_update, change
from tests.pages.incident_forms import again, draft_state, field, leave, people, stored
from tests.pages.looks import assert_accessible, screenshot
from tests.pages.sites import OPEN_INCIDENT, RESOLVED_INCIDENT
from tests.pages.visits import Device, Language, OpenPage, Theme, log_in, serving

Db = psycopg.AsyncConnection[Any]
LIST = "/console/incidents"
VIEW = f"{LIST}/{OPEN_INCIDENT}"
EDIT = f"{VIEW}/edit"
LOOKS: tuple[tuple[Language, Theme, Device], ...] = (("en", "light", "desktop"), ("ko", "dark", "phone"))


@pytest.fixture
async def ann(site_db: Db) -> User:
    return await create_user(site_db, "reporter", "ann")


@pytest.fixture
async def bora(site_db: Db) -> User:
    return await create_user(site_db, "reporter", "bora")


async def test_what_is_sent_to_a_server_that_is_away_stays_in_the_form(
    open_page: OpenPage, site: Api, ann: User
) -> None:
    page = await open_page(EDIT, user=ann, expected=["ERR_INTERNET_DISCONNECTED", "WebSocket"])
    await page.context.set_offline(True)
    await field(page, "title").fill("Written while nobody answered")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".unsent")).to_contain_text("nothing was sent")
    await expect(field(page, "title")).to_have_value("Written while nobody answered")
    await page.context.set_offline(False)
    await page.get_by_role("button", name="Save", exact=True).click()
    await page.wait_for_url(f"**{VIEW}?done=saved")
    assert (await stored(site, ann))["title"] == "Written while nobody answered"


@pytest.mark.parametrize("path", [LIST, f"{LIST}/new", VIEW, EDIT])
async def test_the_console_is_for_everybody(open_page: OpenPage, admin: User, path: str) -> None:
    name = {LIST: "list", f"{LIST}/new": "new", VIEW: "view", EDIT: "edit"}[path]
    for language, theme, device in LOOKS:
        page = await open_page(path, user=admin, language=language, theme=theme, device=device)
        wide = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], f"{path} is wider than a {device}"
        await assert_accessible(page)
        await screenshot(page, f"console-{name}-{language}-{theme}-{device}")
        await page.context.close()


async def test_two_people_at_one_incident_lose_no_word(open_page: OpenPage, site: Api, ann: User, bora: User) -> None:
    at_ann, at_bora = await open_page(EDIT, user=ann), await open_page(EDIT, user=bora)
    await expect(people(at_ann)).to_contain_text("bora is editing")
    await expect(people(at_bora)).to_contain_text("ann is editing")
    await field(at_bora, "description").focus()
    beside = at_ann.locator("[data-field=description] .beside")
    await expect(beside).to_have_text(re.compile("bora is editing this"))
    await screenshot(at_ann, "console-presence")
    await field(at_bora, "title").focus()
    await expect(beside).to_have_count(0)
    await expect(at_ann.locator("[data-field=title] .beside")).to_be_visible()

    await field(at_ann, "description").fill("Nobody can pay by card. Invoices still work.")
    await field(at_bora, "description").fill("Nobody can pay. A rollback is on its way.")
    await field(at_bora, "severity").select_option("critical")
    await at_bora.get_by_role("button", name="Save").click()
    await expect(at_bora.get_by_text("Saved.")).to_be_visible()
    await expect(people(at_bora)).to_contain_text("ann is editing")

    await expect(at_ann.locator("#news")).to_contain_text("Another user has saved this incident")
    await expect(people(at_ann)).to_be_empty()
    await assert_accessible(at_ann)
    await screenshot(at_ann, "console-saved-elsewhere")
    await at_ann.get_by_role("button", name="Compare the changes").click()
    await expect(at_ann.get_by_role("heading", level=1)).to_have_text("Both versions")
    for theme in ("light", "dark"):
        await at_ann.emulate_media(color_scheme=theme)
        await assert_accessible(at_ann)
        await screenshot(at_ann, f"console-compare-{theme}")
    await at_ann.get_by_label("Both, one below the other").check()
    await at_ann.get_by_role("button", name="Continue editing").click()
    await expect(field(at_ann, "severity")).to_have_value("critical")
    text = "Nobody can pay. A rollback is on its way.\n\nNobody can pay by card. Invoices still work."
    await expect(field(at_ann, "description")).to_have_value(text)
    await at_ann.get_by_role("button", name="Save").click()
    await expect(at_ann.get_by_text("Saved.")).to_be_visible()
    incident = await stored(site, ann)
    assert (incident["description"], incident["severity"]) == (text, "critical")


async def test_without_javascript_the_conflict_is_shown_when_saving(
    open_page: OpenPage, site: Api, ann: User, bora: User
) -> None:
    page = await open_page(EDIT, user=ann, javascript=False, device="phone")
    await change(site, bora, OPEN_INCIDENT, title="Payments fail for everybody")
    await field(page, "title").fill("Payments fail by card")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Another user saved first")
    await screenshot(page, "console-conflict-phone")
    await page.get_by_label("Yours").check()
    await page.get_by_role("button", name="Save the selection").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Payments fail by card")


async def test_menu_and_filters_fold_on_a_phone_only(open_page: OpenPage, reporter: User) -> None:
    """They are summaries that keys open; filters that are set are seen. On a desktop all of it is there."""
    for javascript in (True, False):
        page = await open_page(LIST, user=reporter, device="phone", javascript=javascript)
        menu, severity = page.get_by_role("link", name="Templates"), page.get_by_label("Severity")
        await expect(menu).to_be_hidden()
        await expect(severity).to_be_hidden()
        await page.get_by_text("Console menu").press("Enter")
        await expect(menu).to_be_visible()
        await expect(page.get_by_role("button", name="Log out")).to_be_visible()
        await page.locator("main summary").press("Space")
        await severity.select_option("high")
        await page.get_by_role("button", name="Apply").click()
        await expect(severity).to_be_visible()
        await expect(menu).to_be_hidden()
    page = await open_page(LIST, user=reporter)
    await expect(page.get_by_text("Console menu")).to_be_hidden()
    await expect(page.get_by_label("Severity")).to_be_visible()
    await page.get_by_role("link", name="Templates").press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Templates")


async def test_a_draft_outlives_its_tab(open_page: OpenPage, ann: User) -> None:
    page = await open_page(EDIT, user=ann)
    await field(page, "description").fill("Half a sentence")
    await expect(draft_state(page)).to_have_text(re.compile(r"Draft saved \d\d:\d\d"))
    await field(page, "postmortem").fill("and the last word")
    other = await page.context.new_page()
    await leave(page)
    await other.goto(LIST)
    await other.get_by_role("link", name="View").click()
    await expect(other.get_by_role("heading", level=1)).to_have_text("You have unsaved changes")
    await assert_accessible(other)
    await screenshot(other, "console-draft")
    await other.get_by_role("link", name="Continue editing").click()
    await expect(field(other, "description")).to_have_value("Half a sentence")
    await expect(field(other, "postmortem")).to_have_value("and the last word")
    await other.get_by_role("button", name="Save").click()
    await expect(other.get_by_text("Saved.")).to_be_visible()
    await other.goto(EDIT)
    await expect(field(other, "description")).to_have_value("Half a sentence")


async def test_a_long_draft_is_saved_and_a_too_long_one_is_reported(open_page: OpenPage, site: Api, ann: User) -> None:
    page = await open_page(EDIT, user=ann, expected=["status of 400"])
    await field(page, "description").fill("긴" * 20000)  # more than a message of the feed may hold
    await expect(draft_state(page)).to_contain_text("Draft saved")
    draft = await site.get(f"/api/incidents/{OPEN_INCIDENT}/draft", headers=ann.headers)
    assert draft["draft"]["data"]["description"] == "긴" * 20000
    await field(page, "postmortem").fill("긴" * 5000)
    await expect(draft_state(page)).to_contain_text("The draft could not be saved")


async def test_words_outlive_a_server_that_is_killed(
    open_page: OpenPage, site_database: str, site: Api, ann: User, bora: User
) -> None:
    """Bora's process goes on while Ann's ends and another one begins in its place."""
    at_bora = await open_page(EDIT, user=bora)
    async with running_api(site_database) as killed:
        page = await open_page(EDIT, at=killed, user=ann, expected=["WebSocket", "ERR_CONNECTION_REFUSED"])
        await expect(people(page)).to_contain_text("bora")
        await field(page, "title").focus()
        await expect(at_bora.locator("[data-field=title] .beside")).to_be_visible()
    await expect(people(at_bora)).to_be_empty()
    await field(page, "title").fill("Typed while nobody listened")
    await expect(draft_state(page)).to_contain_text("Not connected")
    async with serving(killed.settings, site_database):
        await expect(draft_state(page)).to_contain_text("Draft saved")
        await expect(at_bora.locator("[data-field=title] .beside")).to_be_visible()
        await page.context.close()
    draft = await site.get(f"/api/incidents/{OPEN_INCIDENT}/draft", headers=ann.headers)
    assert draft["draft"]["data"]["title"] == "Typed while nobody listened"


async def test_a_session_that_ends_while_typing(open_page: OpenPage, site: Api, site_db: Db, ann: User) -> None:
    page = await open_page(EDIT, user=ann, expected=["status of 401", "WebSocket"])
    await field(page, "title").fill("Typed before the session ended")
    await expect(draft_state(page)).to_contain_text("Draft saved")
    await site.http.post("/api/auth/logout", headers=ann.headers)
    await expect(page.locator("#ended")).to_contain_text("Your session has ended")
    await screenshot(page, "console-ended")
    await expect(page.locator("#ended").get_by_role("link")).to_have_attribute("href", "/login")
    await expect(field(page, "title")).to_have_value("Typed before the session ended")
    await log_in(page.context, str(site.http.base_url), await again(site_db, ann))
    await expect(page.locator("#ended")).to_have_text("You are logged in again. You can save.")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Typed before the session ended")


async def test_what_others_say_appears_and_what_is_typed_stays(
    open_page: OpenPage, site: Api, ann: User, bora: User
) -> None:
    page, listed = await open_page(VIEW, user=ann), await open_page(LIST, user=ann)
    await expect(listed.get_by_text("Checkout answers with errors")).to_be_visible()
    await field(page, "description").fill("I am typing")
    await add_update(site, bora, OPEN_INCIDENT, "monitoring", "The rollback is through")
    await change(site, bora, OPEN_INCIDENT, title="Checkout answered with errors")
    await site.http.post(f"/api/incidents/{OPEN_INCIDENT}/comments", json={"text": "Well done"}, headers=bora.headers)
    await expect(page.locator("#timeline")).to_contain_text("The rollback is through")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Checkout answered with errors")
    await expect(page.locator("#comments")).to_contain_text("Well done")
    await expect(field(page, "description")).to_have_value("I am typing")
    await expect(field(page, "description")).to_be_focused()
    await expect(listed.get_by_text("Checkout answered with errors")).to_be_visible()


async def test_an_incident_is_run_by_keyboard(open_page: OpenPage, site: Api, ann: User) -> None:
    page = await open_page(LIST, user=ann)
    await page.get_by_role("link", name="New incident").focus()
    await page.keyboard.press("Enter")
    await field(page, "title").focus()
    await page.keyboard.type("Search is slow")
    await page.keyboard.press("Enter")  # sends the form, as everywhere
    await expect(page.get_by_role("heading", level=1)).to_have_text("Search is slow")
    incident_id = page.url.rpartition("/")[2].partition("?")[0]
    await field(page, "description").focus()
    await page.keyboard.type("We look into it")
    for _ in range(2):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("#timeline")).to_contain_text("We look into it")
    await page.get_by_role("link", name="Edit").focus()
    await page.keyboard.press("Enter")
    await field(page, "description").focus()
    await page.keyboard.type("Since noon")
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowUp")
    await page.get_by_role("button", name="Save").focus()
    await page.keyboard.press("Space")
    await expect(page.get_by_text("Saved.")).to_be_visible()
    incident = await stored(site, ann, incident_id)
    assert (incident["description"], incident["severity"]) == ("Since noon", "high")


async def test_who_leaves_with_unsaved_words_is_warned(open_page: OpenPage, ann: User) -> None:
    page = await open_page(f"{LIST}/new", user=ann)
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", stay)
    await field(page, "title").press_sequentially("x")
    await page.get_by_role("link", name="Cancel").click()
    await expect(field(page, "title")).to_have_value("x")
    assert asked == ["beforeunload"]


async def test_the_past_can_be_read_and_an_empty_console_is_friendly(open_page: OpenPage, viewer: User) -> None:
    page = await open_page(f"{LIST}/{RESOLVED_INCIDENT}", user=viewer)
    await expect(page.locator("#facts")).to_contain_text("A certificate of the load balancer")
    await expect(page.get_by_role("button", name="Add update")).to_have_count(0)
    await screenshot(page, "console-view-viewer")
    page = await open_page(f"{LIST}?q=nothing-like-it", user=viewer)
    await expect(page.get_by_text("No incidents match these filters.")).to_be_visible()
    await screenshot(page, "console-list-nothing")
