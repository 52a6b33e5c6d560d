"""What a machine can say of how a page is to use, and pictures of it for people to look at."""

import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.async_api import Page

SCREENSHOTS = "SLA_MONITOR_TEST_SCREENSHOTS"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

MAX_TOLD = 20


@cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


async def assert_accessible(page: Page, *, within: str = "html", without: Sequence[str] = ()) -> None:
    """That `axe` finds nothing."""
    found = await axe(page, within=within, without=without)
    assert not found, f"{page.url}: {len(found)} times against its readers\n" + "\n".join(found[:MAX_TOLD])


async def axe(page: Page, *, within: str = "html", without: Sequence[str] = ()) -> list[str]:
    """What axe-core finds wrong by WCAG 2.2 AA and its own best practices, a line for each element.

    `within`: a CSS selector. `without`: rules left out, each with a comment that says why. The page needs JavaScript.
    """
    rules = {"target-size": {"enabled": True}} | {rule: {"enabled": False} for rule in without}
    options = {"runOnly": STANDARDS, "rules": rules, "resultTypes": ["violations"]}
    await page.evaluate(_axe())  # by the debugger, which no Content-Security-Policy holds up
    found = await page.evaluate("([within, options]) => axe.run(within, options)", [within, options])
    return [_told(violation, node) for violation in found["violations"] for node in violation["nodes"]]


def _told(violation: dict[str, Any], node: dict[str, Any]) -> str:
    why = "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
    return f"{violation['id']} ({violation['impact']}) {node['html'][:200]}: {why or violation['help']}"


async def screenshot(page: Page, name: str, *, full_page: bool = True) -> None:
    """Into the folder that SLA_MONITOR_TEST_SCREENSHOTS names, for people; otherwise nothing happens."""
    if folder := os.environ.get(SCREENSHOTS):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=full_page)
