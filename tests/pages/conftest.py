"""Fixtures: a browser, a site with data of 90 days, and a function that opens its pages."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from anyio.from_thread import start_blocking_portal
from playwright.async_api import Browser, expect

import sql
from tests.api.conftest import Api, User, create_user, running_api
from tests.browsers import NO_BROWSER, find_browser
from tests.pages.chromium import running_browser
from tests.pages.sites import furnish
from tests.pages.visits import PATIENCE_MS, OpenPage, visiting
from tests.servers import Server

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser_program() -> Path:
    program = find_browser()
    if program is None:
        pytest.skip(NO_BROWSER)
    return program


@pytest.fixture(scope="package")
async def browser(browser_program: Path) -> AsyncIterator[Browser]:
    """One for all tests of this folder. While it is there they share an event loop: anyio keeps its test runner as long
    as an async fixture needs it."""
    async with running_browser(browser_program) as running:
        yield running


@pytest.fixture(scope="session")
def furnished(any_engine: Server) -> Iterator[str]:
    """The template database of each site. It must have no connections while it is copied."""
    url = any_engine.migrated_database()
    with start_blocking_portal() as portal:
        portal.call(furnish, url)
    yield url
    any_engine.drop(url)


@pytest.fixture
def site_database(request: pytest.FixtureRequest, any_engine: Server, furnished: str) -> Iterator[str]:
    any_engine.tests.add(request.node.nodeid)
    yield (url := any_engine.copy(furnished))
    any_engine.drop(url)


@pytest.fixture
async def site(browser_program: Path, site_database: str) -> AsyncIterator[Api]:
    """An API of this test alone, with the data of sites.py."""
    async with running_api(site_database) as api:
        yield api


@pytest.fixture
async def empty_site(browser_program: Path, any_database: str) -> AsyncIterator[Api]:
    """An API that has just been installed: no service, no check, no incident. To be named before `open_page`: what is
    set up first ends last, and a page that is open when its API ends complains."""
    async with running_api(any_database) as api:
        yield api


@pytest.fixture
async def site_db(site_database: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection to the site's database, in autocommit mode."""
    async with await sql.connect(site_database, application="analyst") as connection:
        yield connection


@pytest.fixture
async def viewer(site_db: psycopg.AsyncConnection[Any]) -> User:
    return await create_user(site_db, "viewer")


@pytest.fixture
async def reporter(site_db: psycopg.AsyncConnection[Any]) -> User:
    return await create_user(site_db, "reporter")


@pytest.fixture
async def admin(site_db: psycopg.AsyncConnection[Any]) -> User:
    return await create_user(site_db, "admin")


@pytest.fixture
async def open_page(browser: Browser, site: Api) -> AsyncIterator[OpenPage]:
    """Opens pages of `site`; fails in the end where something went wrong in one of them."""
    async with visiting(browser, site) as opened:
        yield opened
