"""A connection to a new database with one service and three locations."""

from collections.abc import AsyncIterator

import pytest

from tests.sql.batches import Connection, add_locations, add_services, connected


@pytest.fixture
async def db(database: str) -> AsyncIterator[Connection]:
    async with connected(database) as connection:
        await add_locations(connection, "local", "seoul", "fra-1")
        await add_services(connection, "web")
        yield connection
