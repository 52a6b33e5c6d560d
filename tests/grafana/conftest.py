"""A connection to a new database."""

from collections.abc import AsyncIterator

import pytest

from tests.sql.batches import Connection, connected


@pytest.fixture
async def db(database: str) -> AsyncIterator[Connection]:
    async with connected(database) as connection:
        yield connection
