"""The values of a submitted form are kept during an outage of the database and after the end of the session."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from api.pages.kept_form import LABELS, Entered, KeptForm, kept_form
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, User, create_user, running_api, until
from tests.api.incidents import create
from tests.api.people import Db
from tests.api.relay import relay_before
from tests.api.visitors import Form, Page, Visitor, redirect_target, session_cookie_value, visitor

pytestmark = pytest.mark.one_engine

SERVICE = {"id": "shop", "name": "Shöp & <b>Co</b>", "endpointUrl": "http://shop.example/", "headers": "A: b\nC: d"}
INCIDENT = {"title": "Checkout <fails>", "description": "Nobody\ncan pay", "affectedServices": None}
FORMS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "incident": ("/console/incidents/new", "/console/incidents/new", INCIDENT),
    "service": ("/console/services/new", "/console/services", SERVICE),
    "template": (
        "/console/templates/new",
        "/console/templates",
        {"name": "Outage", "fields": {"data.title": "Down", "data.update": "We look\ninto it"}},
    ),
    "maintenance": (
        "/console/maintenance/new",
        "/console/maintenance",
        {"title": "Update", "fields": {"affectedServices": ["vault"]}},
    ),
    "user": ("/console/users/new", "/console/users", {"username": "kim", "email": "kim@example.com", "role": "viewer"}),
    "token": ("/console/tokens/new", "/console/tokens", {"name": "ci", "role": "viewer", "lastDay": ""}),
}


def entered(filled: dict[str, Any]) -> dict[str, Any]:
    return {**filled, **filled.get("fields", {})}


def values(form: Form) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in form.fields:
        found.setdefault(name, []).append(value)
    return found


def assert_kept(page: Page, action: str, status: int, filled: dict[str, Any]) -> Form:
    """Checks that the page has a form with the same action and all entered values, and returns that form."""
    assert page.status == status, page.text[:1000]
    form = page.form(action)
    kept = values(form)
    for name, value in entered(filled).items():
        if name != "fields" and value is not None:
            assert kept[name] == (value if isinstance(value, list) else [value]), name
    return form


async def add_vault(db: Db) -> None:
    await db.execute(
        "INSERT INTO services (id, name, endpoint_url, interval_seconds, timeout_ms, degraded_after_ms) "
        "VALUES ('vault', 'Vault', 'http://vault.example/', 60, 5000, 3000)"
    )


@pytest.mark.parametrize("kind", FORMS)
async def test_a_form_is_shown_again_during_an_outage_and_can_be_submitted_later(
    database: str, db: Db, kind: str
) -> None:
    path, action, filled = FORMS[kind]
    await add_vault(db)
    async with relay_before(database) as relay, running_api(relay.url) as api:
        admin = await visitor(api, await create_user(db, "admin"))
        form = (await admin.get(path)).form(action)
        relay.cut()
        page = await admin.submit(form, **filled)
        kept = assert_kept(page, action, 503, filled)
        assert "Nothing was saved" in page.text and "<b>Co" not in page.text and "<fails>" not in page.text
        assert int(page.response.headers["retry-after"]) > 0
        kept = assert_kept(await admin.submit(kept), action, 503, filled)
        relay.restore()

        async def is_sent() -> bool:
            nonlocal page
            page = await admin.submit(kept)
            return page.status != 503

        await until(is_sent)
        assert page.status in (200, 303) and 'role="alert"' not in page.text, page.text[:1000]


async def test_a_form_is_shown_again_after_the_end_of_the_session(api: Api, db: Db) -> None:
    ann = await create_user(db, "reporter", "ann")
    browser = await visitor(api, ann)
    form = (await browser.get("/console/incidents/new")).form("/console/incidents/new")
    await db.execute("UPDATE sessions SET revoked_at = now()")
    page = await browser.submit(form, **INCIDENT)
    kept = assert_kept(page, "/console/incidents/new", 401, INCIDENT)
    assert "nothing was saved" in page.text and 'target="_blank"' in page.text
    again = await log_in_again(db, api, ann)
    page = await again.submit(kept)  # with the CSRF token of the ended session
    kept = assert_kept(page, "/console/incidents/new", 403, INCIDENT)
    is_created = redirect_target(await again.submit(kept))
    shown = await again.get(is_created.partition("?")[0])
    assert "Checkout &lt;fails&gt;" in shown.text


async def log_in_again(db: Db, api: Api, user: User) -> Visitor:
    cursor = await db.execute(
        "INSERT INTO sessions (user_id, expires_at) VALUES (%s, now() + interval '1 day') RETURNING id", [user.user_id]
    )
    [session_id] = await cursor.fetchone() or [None]
    browser = Visitor(api, await session_cookie_value(msgspec.structs.replace(user, session_id=session_id)))
    assert (await browser.get("/console/incidents")).status == 200
    return browser


async def test_a_form_of_a_deleted_incident_is_shown_again(api: Api, db: Db) -> None:
    ann = await create_user(db, "admin", "ann")
    incident = await create(api, ann)
    browser = await visitor(api, ann)
    path = f"/console/incidents/{incident['id']}"
    form = (await browser.get(path)).form(f"{path}/updates")
    await db.execute("DELETE FROM incidents")
    page = await browser.submit(form, description="We know\nthe cause")
    assert_kept(page, f"{path}/updates", 404, {"description": "We know\nthe cause"})


async def test_passwords_are_not_in_the_page(database: str, db: Db) -> None:
    async with relay_before(database) as relay, running_api(relay.url) as api:
        admin = await visitor(api, await create_user(db, "admin"))
        form = (await admin.get("/console/users/new")).form("/console/users")
        relay.cut()
        page = await admin.submit(form, username="kim", email="kim@example.com", password="correct horse battery")
        kept = values(assert_kept(page, "/console/users", 503, {"username": "kim", "email": "kim@example.com"}))
        assert "correct horse" not in page.text and kept["password"] == [""]
        assert 'type="password"' in page.text and "required" in page.text


async def test_a_form_of_another_origin_is_not_shown(api: Api, db: Db) -> None:
    browser = await visitor(api, await create_user(db, "admin"))
    page = await browser.request(
        "POST", "/console/incidents/new", data={"title": "Planted"}, headers={"Origin": "http://evil.example"}
    )
    assert page.status == 403 and "Planted" not in page.text


async def test_a_form_is_shown_again_when_the_database_does_not_respond(
    database: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No query fails in this case: the deadline of the request cancels the route."""
    async with relay_before(database) as relay, running_api(relay.url) as api:
        admin = await visitor(api, await create_user(db, "admin"))
        form = (await admin.get("/console/incidents/new")).form("/console/incidents/new")
        monkeypatch.setattr("api.edge.middleware.REQUEST_DEADLINE_S", 0.5)
        relay.silence()
        page = await admin.submit(form, **INCIDENT)
        kept = assert_kept(page, "/console/incidents/new", 503, INCIDENT)
        relay.restore()
        monkeypatch.undo()

        async def is_created() -> bool:
            return (await admin.submit(kept)).status == 303

        await until(is_created)


async def test_a_form_is_shown_again_over_the_rate_limit(database: str, db: Db) -> None:
    async with running_api(database, rate_limit_pages=Limit(2, timedelta(minutes=5))) as api:
        admin = await visitor(api, await create_user(db, "admin"))
        form = (await admin.get("/console/incidents/new")).form("/console/incidents/new")
        await admin.get("/console/incidents/new")
        page = await admin.submit(form, **INCIDENT)
        assert_kept(page, "/console/incidents/new", 429, INCIDENT)


async def test_the_form_is_submitted_to_the_same_site_only() -> None:
    scope = {"headers": [(b"content-type", b"application/x-www-form-urlencoded")], "query_string": b"a=1"}
    kept = kept_form(scope | {"path": "//evil.example/a b"}, b"title=x&csrf=t")
    assert kept == KeptForm("/evil.example/a%20b?a=1", [Entered("title", "x", "line", LABELS["title"])], "t")
    assert kept_form(scope | {"path": "/"}, b"csrf=t") is None
    assert kept_form(scope | {"path": "/"}, b"\xff") is None
