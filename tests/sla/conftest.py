"""A database of each engine, shared by the tests of a file. What a test stores in it is rolled back."""

from collections.abc import AsyncIterator

import pytest

from tests.servers import Server
from tests.sql.batches import Connection, connected


@pytest.fixture(scope="module")
async def shared(engine: Server) -> AsyncIterator[Connection]:
    url = engine.migrated_database()
    async with connected(url) as connection:
        yield connection
    engine.drop(url)


@pytest.fixture(autouse=True)
def _counted(request: pytest.FixtureRequest) -> None:
    """Counts the test for the summary of its engine."""
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").tests.add(request.node.nodeid)
