"""The roles of the programs in the database: what each of them may do is in queries/roles/grants.sql.

Each migration creates the roles if it may, and grants what they lack, since it creates tables and views, and since a
restored database has no grants. docs/roles.md has the steps by hand.
"""

import logging

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from sql import query

log = logging.getLogger(__name__)

ROLES = ("sla_prober", "sla_worker", "sla_api", "sla_analyst")
ANALYST_SETTINGS = {"search_path": "analytics", "statement_timeout": "60s", "default_transaction_read_only": "on"}
"""Settings of the sessions of analysts. They protect from mistakes: a session can change them. The rights of the role
protect the data."""


async def grant_privileges(connection: AsyncConnection[TupleRow]) -> None:
    """Creates the roles that are missing, and grants and revokes privileges. Logs one line if the current user may not
    create roles."""
    await connection.execute(query("roles/create"))
    for name in ("roles/revokes", "roles/grants"):
        for (statement,) in await (await connection.execute(query(name))).fetchall():
            await connection.execute(statement)
    missing = [role for (role,) in await (await connection.execute(query("roles/missing"))).fetchall()]
    if missing:
        log.info(
            "the database user may not create the roles %s: the programs run without them; docs/roles.md has the steps "
            "by hand",
            ", ".join(missing),
        )
