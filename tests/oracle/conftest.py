"""A database of each engine that histories are played on, kept for all of a file's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.oracle.driver import Database
from tests.servers import Server


@pytest.fixture(scope="module")
async def played(engine: Server) -> AsyncIterator[Database]:
    url = engine.migrated_database()
    async with Database.opened(url) as database:
        yield database
    engine.drop(url)


@pytest.fixture(autouse=True)
def _counted(request: pytest.FixtureRequest) -> None:
    """The summary of a test run says how many tests ran on each engine."""
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").tests.add(request.node.nodeid)
