"""The roles and the database of the programs in the local server."""

import anyio
from psycopg import AsyncConnection, OperationalError
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier, Literal

from sla_monitor.local_postgresql.account import LocalPostgresError
from sla_monitor.local_postgresql.running import ADMIN, DATABASE, ROLE, LocalPostgres, Passwords
from sla_monitor.local_postgresql.waiting import ending
from sql import query

READY_TIMEOUT_S = 30
RECOVERY_TIMEOUT_S = 600
"""The timeout while the server reports recovery. A stop would make the recovery start again."""

ROLES_OF_PROGRAMS = (query("roles/create"), query("local/roles"))
"""Statements that create the roles with less rights. Read when this module is imported, since a process that has given
up the rights of root may not be able to read them."""


async def make_ready(server: LocalPostgres, passwords: Passwords) -> None:
    """Waits until the server accepts connections; creates the role and the database of the programs if they are
    missing. This role has all rights; it can become one of those with less, such as sla_analyst."""
    admin = await connect(server, server.admin_url)
    if admin is None:
        if await _is_complete(server):  # the superuser's password is lost, but not needed
            return
        await _separate_superuser(server, passwords)
        admin = await connect(server, server.admin_url)
        assert admin is not None
    async with admin:
        found = await admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE])
        if await found.fetchone() is None:
            create = SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            verifier = _verifier(admin, ROLE, passwords.role)
            await admin.execute(create.format(Identifier(ROLE), Literal(verifier)))
        found = await admin.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if await found.fetchone() is None:
            create = SQL("CREATE DATABASE {} OWNER {}")
            await admin.execute(create.format(Identifier(DATABASE), Identifier(ROLE)))
        for statement in ROLES_OF_PROGRAMS:
            await admin.execute(statement)


async def _is_complete(server: LocalPostgres) -> bool:
    """Whether the role of the programs is not a superuser and owns its database. Raises if its password is wrong."""
    connection = await connect(server, server.database_url)
    if connection is None:
        raise LocalPostgresError(
            f"the password in {server.log.with_name('password')} is not that of the database role {ROLE}"
        )
    async with connection:
        found = await connection.execute(query("local/is_set_up"), {"database": DATABASE})
        row = await found.fetchone()
    return row is not None and bool(row[0])


async def _separate_superuser(server: LocalPostgres, passwords: Passwords) -> None:
    """Separates the superuser from the role of the programs, which were the same role in an earlier release. In one
    transaction, so that a start that is killed here can be repeated."""
    connection = await connect(server, server.database_url)
    assert connection is not None
    async with connection:
        found = await connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if await found.fetchone() is None:
            await connection.execute(SQL("CREATE DATABASE {}").format(Identifier(DATABASE)))
    async with await AsyncConnection.connect(server.database_url, connect_timeout=5) as connection:
        verifier = _verifier(connection, ADMIN, passwords.admin)
        await connection.execute("SELECT set_config('sla_monitor.admin_verifier', %s, true)", [verifier])
        await connection.execute(query("local/separate_superuser"))


def _verifier(connection: AsyncConnection[TupleRow], role: str, password: str) -> str:
    """The SCRAM verifier of a password, so that the password itself is in no statement that could be logged."""
    return connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()


async def connect(server: LocalPostgres, url: str) -> AsyncConnection[TupleRow] | None:
    """A connection to the database `postgres`, once the server accepts connections; None if the password is wrong."""
    url = url.replace(f"@/{DATABASE}?", "@/postgres?")
    since = anyio.current_time()
    while True:
        try:
            return await AsyncConnection.connect(url, autocommit=True, connect_timeout=5)
        except OperationalError as error:
            message = str(error)
        if server.ended():
            raise await server.failure(f"PostgreSQL did not start ({ending(server.process)})")
        if "password authentication failed" in message:
            return None
        limit_s = RECOVERY_TIMEOUT_S if "the database system is" in message else READY_TIMEOUT_S
        if anyio.current_time() - since > limit_s:
            raise await server.failure(f"PostgreSQL was not ready after {limit_s} s")
        await anyio.sleep(0.02)
