"""Runs the Chromium that tests.browsers finds. A module of its own: importing Playwright is slow, and few need it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

# Beside what Playwright itself says. Names other than this machine's lead nowhere, and no proxy is asked.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-proxy-server",
    "--disable-features=LocalNetworkAccessChecks",  # a page that a test has touched counts as one from the internet
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@asynccontextmanager
async def running_browser(program: Path) -> AsyncIterator[Browser]:
    """Headless, without its sandbox, which root could not have."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=program, args=ARGUMENTS, chromium_sandbox=False)
        async with launched as running:
            yield running
