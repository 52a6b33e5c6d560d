"""`sla-monitor psql`: psql on the database of the installation, as the role sla_analyst."""

import os
import signal
from collections.abc import Sequence

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from sla_monitor.command.client_programs import ProgramError, client_program, connection_of
from sla_monitor.command.installation import installation
from sla_monitor.settings import Settings, StartError
from sql import query
from sql.roles import ANALYST_SETTINGS


class NoAnalystError(StartError):
    """The user of the database cannot become sla_analyst. The message is one line."""


async def psql(settings: Settings, options: Sequence[str]) -> None:
    """Replaces this process with psql, so that terminal, signals and exit code are those of psql."""
    async with installation(settings, "sla-monitor psql") as (url, connection):
        await _require_analyst(connection)
        program = await client_program("psql", connection.info.server_version // 10000)
    target, password = connection_of(url)
    command = [str(program.path), f"--dbname={_as_analyst(target)}", *options]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and psql would inherit that
    try:
        os.execve(program.path, command, dict(os.environ) | password)  # noqa: S606  # no shell is wanted
    except OSError as error:
        raise ProgramError(f"{program.path} cannot be run: {error.strerror}") from None


async def _require_analyst(connection: AsyncConnection[TupleRow]) -> None:
    """Raises NoAnalystError if the user of the connection cannot become sla_analyst, or has no schema to read."""
    row = await (await connection.execute(query("roles/can_be_analyst"))).fetchone()
    can_be_analyst, has_schema = row or (False, False)
    if not can_be_analyst:
        raise NoAnalystError(
            f"the database user {connection.info.user} cannot become the role sla_analyst: docs/roles.md has the steps"
        )
    if not has_schema:
        raise NoAnalystError("this database has no schema analytics yet: run `sla-monitor migrate`")


def _as_analyst(target: str) -> str:
    """The connection string with the role and the settings of an analyst, after options that it has already."""
    parameters = conninfo_to_dict(target)
    settings = " ".join(f"-c {name}={value}" for name, value in {"role": "sla_analyst", **ANALYST_SETTINGS}.items())
    return make_conninfo(target, options=f"{parameters.get('options') or ''} {settings}".strip())
