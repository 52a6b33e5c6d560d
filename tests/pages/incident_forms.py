"""Fields, drafts and people of the incident form in a browser."""

from typing import Any

import msgspec
import psycopg
from playwright.async_api import Locator, Page

from tests.api.conftest import Api, User
from tests.pages.sites import OPEN_INCIDENT

Db = psycopg.AsyncConnection[Any]


def people(page: Page) -> Locator:
    return page.locator("#editors")


def field(page: Page, name: str) -> Locator:
    return page.locator(f"#field-{name}")


def draft_state(page: Page) -> Locator:
    return page.locator("#draft-state")


async def stored(site: Api, who: User, incident_id: str = OPEN_INCIDENT) -> Any:
    return (await site.get(f"/api/incidents/{incident_id}", headers=who.headers))["incident"]


async def again(db: Db, who: User) -> User:
    """The same person in a new session."""
    cursor = await db.execute(
        "INSERT INTO sessions (user_id, expires_at) VALUES (%s, now() + interval '1 day') RETURNING id", [who.user_id]
    )
    [(session_id,)] = await cursor.fetchall()
    return msgspec.structs.replace(who, session_id=session_id)


async def leave(page: Page) -> None:
    """Goes away whatever the page says to it."""
    page.on("dialog", lambda dialog: dialog.accept())
    await page.close(run_before_unload=False)
