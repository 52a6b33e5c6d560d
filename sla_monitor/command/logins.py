"""The users of the database that the programs connect as. `sla-monitor migrate` creates each whose password is set."""

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier, Literal

from sla_monitor.settings import Settings
from sql import connect
from sql.migration_errors import MigrationError
from sql.roles import ANALYST_SETTINGS, ROLES


async def create_logins(database_url: str, settings: Settings) -> None:
    """Creates the users sla_monitor_api and so on, or changes their passwords. Each has the role of its program and no
    other rights. Raises MigrationError if the user of `database_url` may not do that."""
    passwords = {
        role: password
        for role in ROLES
        if (password := getattr(settings, f"{role.removeprefix('sla_')}_password")) is not None
    }
    if not passwords:
        return
    async with await connect(database_url, application="sla-monitor migrate") as connection:
        try:
            async with connection.transaction():
                for role, password in passwords.items():
                    await _create_login(connection, role, password)
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(
                f"the database user may not create the users of the programs ({error.diag.message_primary}): "
                "docs/roles.md has the steps by hand"
            ) from error


async def _create_login(connection: AsyncConnection[TupleRow], role: str, password: str) -> None:
    """Only what is missing is granted: a grant that another database of the cluster repeats at the same time fails."""
    name = f"sla_monitor_{role.removeprefix('sla_')}"
    user = Identifier(name)
    found = await connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name])
    if await found.fetchone() is None:
        await connection.execute(SQL("CREATE ROLE {} LOGIN").format(user))
    # The verifier, so that the password itself is in no statement that could be logged.
    verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    await connection.execute(SQL("ALTER ROLE {} PASSWORD {}").format(user, Literal(verifier)))
    found = await connection.execute("SELECT pg_has_role(%s::name, %s::name, 'MEMBER')", [name, role])
    if await found.fetchone() != (True,):
        await connection.execute(SQL("GRANT {} TO {}").format(Identifier(role), user))
    if role == "sla_analyst":
        for setting, value in ANALYST_SETTINGS.items():
            await connection.execute(SQL("ALTER ROLE {} SET {} = {}").format(user, Identifier(setting), Literal(value)))
