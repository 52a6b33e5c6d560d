"""Finds the rows and cards of the status page, and waits for its socket."""

from playwright.async_api import Locator, Page, expect


def row(page: Page, service: str) -> Locator:
    return page.locator(f'[data-service="{service}"]')


def card(page: Page) -> Locator:
    return page.locator(".day-card")


async def connected(page: Page) -> None:
    """Waits until the sliders are made: then the page receives events."""
    await expect(page.locator(".days[role=slider]").first).to_be_attached()
