"""Users of the database that have one of the roles of the programs and no other rights."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from psycopg.sql import SQL, Identifier, Literal

from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.sql.batches import connected


@asynccontextmanager
async def login(database: str, role: str) -> AsyncIterator[str]:
    """The URL of the database for a new user with this role, who is dropped afterwards. A copied database lacks the
    grants on the database itself, so it is migrated first."""
    await migrate(database, Settings())
    name, password = f"user_{secrets.token_hex(4)}", secrets.token_hex(16)
    async with connected(database) as db:
        create = SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
        await db.execute(create.format(Identifier(name), Literal(password), Identifier(role)))
        parts = urlsplit(database)
        try:
            yield parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()
        finally:
            await db.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", [name])
            await db.execute(SQL("DROP ROLE {}").format(Identifier(name)))
