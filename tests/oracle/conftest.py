"""A database of each engine on which histories are replayed, shared by the tests of a file."""

from collections.abc import AsyncIterator

import pytest

from tests.oracle.driver import Database
from tests.servers import Server


@pytest.fixture(scope="module")
async def installation(engine: Server) -> AsyncIterator[Database]:
    url = engine.migrated_database()
    async with Database.opened(url) as database:
        yield database
    engine.drop(url)


@pytest.fixture(autouse=True)
def _counted(request: pytest.FixtureRequest) -> None:
    """Counts the test for the summary of its engine."""
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").tests.add(request.node.nodeid)
