"""`sla-monitor migrate` creates the users of the database that the programs connect as."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from sla_monitor.command.logins import create_logins
from sla_monitor.settings import Settings
from sql.migration_errors import MigrationError
from sql.roles import ROLES
from tests.sql.batches import Connection, connected, fetch, value
from tests.sql.logins import login

USERS = [role.replace("sla_", "sla_monitor_") for role in ROLES]
PASSWORDS = {f"{role.removeprefix('sla_')}_password": f"password of {role}" for role in ROLES}


@pytest.fixture
async def db(database: str) -> AsyncIterator[Connection]:
    async with connected(database) as connection:
        yield connection
        for user in USERS:
            await connection.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(user)))


def url_of(database: str, user: str, password: str) -> str:
    parts = urlsplit(database)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:{password.replace(' ', '%20')}@{host}").geturl()


async def test_each_user_has_its_role_and_its_password(db: Connection, database: str) -> None:
    settings = msgspec.structs.replace(Settings(), **PASSWORDS)
    for _ in range(2):  # the second time changes nothing
        await create_logins(database, settings)
    found = await fetch(
        db,
        "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members "
        "WHERE member::regrole::text = ANY (%s)",
        (USERS,),
    )
    assert set(found) == set(zip(USERS, ROLES, strict=True))
    async with connected(url_of(database, "sla_monitor_api", "password of sla_api")) as api:
        assert await value(api, "SELECT count(*) FROM users") == 0
    analyst_url = url_of(database, "sla_monitor_analyst", "password of sla_analyst")
    async with await psycopg.AsyncConnection.connect(analyst_url) as analyst:
        rows = await (await analyst.execute("SELECT count(*) FROM worker_v1")).fetchall()
        assert rows == [(1,)]
        assert await (await analyst.execute("SHOW statement_timeout")).fetchall() == [("1min",)]
        assert await (await analyst.execute("SHOW transaction_read_only")).fetchall() == [("on",)]


async def test_a_new_password_replaces_the_old_one(db: Connection, database: str) -> None:
    await create_logins(database, Settings(api_password="the first password"))
    await create_logins(database, Settings(api_password="the second password"))
    async with connected(url_of(database, "sla_monitor_api", "the second password")) as api:
        assert await value(api, "SELECT current_user::text") == "sla_monitor_api"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        async with connected(url_of(database, "sla_monitor_api", "the first password")):
            pass


async def test_without_passwords_no_user_is_created(db: Connection, database: str) -> None:
    await create_logins(database, Settings())
    assert await value(db, "SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)", (USERS,)) == 0


async def test_a_user_that_may_not_create_users_gets_an_error_of_one_line(db: Connection, database: str) -> None:
    async with login(database, "sla_api") as url:
        with pytest.raises(MigrationError, match=r"may not create the users of the programs .*docs/roles\.md"):
            await create_logins(url, Settings(api_password="a password of the api"))
