"""`/history` and `/incidents/{id}`: public content only, escaped, in both languages."""

from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from api.pages.incidents import folded
from api.pages.shown_incidents import ShownDay
from tests.api.conftest import Api, add_service, create_user, until
from tests.api.incidents import add_update, change, create
from tests.api.page_parts import timeless
from tests.api.visitors import BROWSER, html

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def status(api: Api, path: str) -> int:
    return (await api.http.get(path, headers=BROWSER)).status_code


async def set_age(db: Db, incident_id: str, ago: timedelta) -> None:
    await db.execute("ALTER TABLE incidents DISABLE TRIGGER USER")
    await db.execute("UPDATE incidents SET created_at = now() - %s WHERE id = %s", [ago, incident_id])
    await db.execute("ALTER TABLE incidents ENABLE TRIGGER USER")


class TestIncident:
    async def test_the_timeline_is_shown_newest_first(self, api: Api, db: Db) -> None:
        await add_service(db, "shop", name="Shop")
        await add_service(db, "vault", name="Vault", public=False)
        reporter = await create_user(db, "reporter")
        fields = {"title": "Checkout fails", "description": "Nobody can *pay*.", "affectedServices": ["shop", "vault"]}
        incident = await create(api, reporter, **fields)
        for number in range(25):
            await add_update(api, reporter, incident["id"], "identified", f"Update {number}.")
        await add_update(api, reporter, incident["id"], "resolved", "It works again.")
        await change(api, reporter, incident["id"], postmortem="We **learned**.")
        for text, public in (("A public comment", True), ("An internal comment", False)):
            body = {"text": text, "public": public}
            await api.http.post(f"/api/incidents/{incident['id']}/comments", json=body, headers=reporter.headers)

        page = await html(api, path=f"/incidents/{incident['id']}")
        assert "<h1>Checkout fails</h1>" in page
        positions = [
            page.index(text) for text in ("It works again.", "Update 24.", "Update 0.", "Nobody can <em>pay</em>.")
        ]
        assert positions == sorted(positions)
        assert '<a href="/services/shop">Shop</a>' in page
        assert "We <strong>learned</strong>." in page and "A public comment" in page
        for hidden in ("vault", "Vault", "An internal comment", reporter.username):
            assert hidden not in page, hidden

    async def test_an_internal_incident_looks_like_a_missing_one(self, api: Api, db: Db) -> None:
        reporter = await create_user(db, "reporter")
        incident = await create(api, reporter, public=False)
        internal = await api.http.get(f"/incidents/{incident['id']}", headers=BROWSER)
        unknown = await api.http.get("/incidents/INC-2020-0001", headers=BROWSER)
        strange = await api.http.get("/incidents/%00", headers=BROWSER)
        assert internal.status_code == unknown.status_code == strange.status_code == 404
        assert timeless(internal.text).replace(incident["id"], "INC-2020-0001") == timeless(unknown.text)

    async def test_an_incident_that_becomes_internal_is_hidden_at_once(self, api: Api, db: Db) -> None:
        reporter = await create_user(db, "reporter")
        incident = await create(api, reporter)
        path = f"/incidents/{incident['id']}"
        assert await status(api, path) == 200
        await change(api, reporter, incident["id"], public=False)
        await until(lambda: _has_status(api, path, 404))

    async def test_texts_are_escaped(self, api: Api, db: Db) -> None:
        evil = "<script>alert(1)</script>"
        reporter = await create_user(db, "reporter")
        incident = await create(api, reporter, title=evil, description=f"{evil} [x](javascript:alert(2))")
        await add_update(api, reporter, incident["id"], "monitoring", f"{evil} <img src=x onerror=alert(3)>")
        for path in (f"/incidents/{incident['id']}", "/history"):
            page = await html(api, path=path)
            assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
            assert 'href="javascript' not in page and "<img" not in page.split("<main")[1]

    async def test_the_page_is_available_in_korean(self, api: Api, db: Db) -> None:
        reporter = await create_user(db, "reporter")
        incident = await create(api, reporter)
        page = await html(api, "ko", f"/incidents/{incident['id']}")
        assert "진행 경과" in page and "조사 중" in page and "현재까지" in page


def test_a_day_whose_incidents_are_cut_off_is_not_folded() -> None:
    today = date(2026, 11, 24)
    days = [ShownDay(today - timedelta(days=n), [], more) for n, more in enumerate((0, 0, 3, 0))]
    assert [(found.first.day, found.last.day, found.more) for found in folded(days)] == [
        (23, 24, 0),
        (22, 22, 3),
        (21, 21, 0),
    ]


class TestHistory:
    async def test_incidents_beyond_the_limits_are_counted(self, api: Api, db: Db, monkeypatch: Any) -> None:
        monkeypatch.setattr("api.pages.incidents.MAX_PAST", 2)
        monkeypatch.setattr("api.pages.status.MAX_PAST", 2)
        monkeypatch.setattr("api.pages.status.MAX_INCIDENTS", 3)
        reporter = await create_user(db, "reporter")
        created = [await create(api, reporter, title=f"No. {number} of them") for number in range(4)]
        await create(api, reporter, title="Internal", public=False)
        for days, incident in enumerate(reversed(created)):
            await set_age(db, incident["id"], timedelta(days=2 * days))
        await until(lambda: _has_text(api, "/history", "Only the newest incidents"))
        history = await html(api, path="/history")
        assert [f"No. {number} of them" in history for number in range(4)] == [False, False, True, True]
        assert history.count("One more incident began on this day.") == 2
        assert history.count("No incidents") == 3
        await until(lambda: _has_text(api, "/", '<a href="/history">2 more incidents</a>'))
        above, past = (await html(api)).split('<section id="past"')
        assert above.count("</article>") == 3 and '<a href="/history">One more incident</a>' in above
        assert past.count("</article>") == 2 and '<a href="/history">2 more incidents</a>' in past
        assert "No incidents on the other days." in past

    async def test_incidents_are_grouped_by_day_and_days_without_any_are_folded(self, api: Api, db: Db) -> None:
        reporter = await create_user(db, "reporter")
        newer = await create(api, reporter, title="Newer")
        older = await create(api, reporter, title="Older")
        await create(api, reporter, title="Internal", public=False)
        await set_age(db, older["id"], timedelta(days=10))
        await add_update(api, reporter, newer["id"], "resolved", "All done.")
        page = await html(api, path="/history")
        assert page.index("Newer") < page.index("No incidents") < page.index("Older")
        assert page.count("No incidents") == 1
        assert "<details>" in page and "All done." in page
        assert "Internal" not in page and 'class="pager"' not in page

    async def test_pages_reach_back_to_the_first_incident(self, api: Api, db: Db) -> None:
        reporter = await create_user(db, "reporter")
        await create(api, reporter, title="Fresh")
        older = await create(api, reporter, title="Ancient")
        await set_age(db, older["id"], timedelta(days=70))
        first, last = await html(api, path="/history"), await html(api, path="/history?page=3")
        assert "Fresh" in first and "Ancient" not in first and 'href="/history?page=2"' in first
        assert "Ancient" in last and "Fresh" not in last and "Page 3 of 3" in last
        assert await status(api, "/history?page=4") == 404

    @pytest.mark.parametrize("page", ["0", "-1", "x", "99999"])
    async def test_an_invalid_page_is_a_400(self, api: Api, page: str) -> None:
        assert await status(api, f"/history?page={page}") == 400

    async def test_an_empty_history_has_a_text(self, api: Api) -> None:
        assert "No incidents have been reported." in await html(api, path="/history")
        assert "지금까지 보고된 인시던트가 없습니다." in await html(api, "ko", "/history")

    async def test_the_page_is_cached_until_an_incident_changes(self, api: Api, db: Db) -> None:
        reporter = await create_user(db, "reporter")
        await html(api, path="/history")
        assert (await api.http.get("/history", headers=BROWSER)).headers["x-cache"] == "HIT"
        await create(api, reporter, title="Brand new")
        await until(lambda: _has_text(api, "/history", "Brand new"))


async def _has_status(api: Api, path: str, expected: int) -> bool:
    return await status(api, path) == expected


async def _has_text(api: Api, path: str, text: str) -> bool:
    return text in await html(api, path=path)
