"""`sla-monitor psql`: psql on the database of the installation."""

import os
import signal
from collections.abc import Sequence

from sla_monitor.command.client_programs import ProgramError, client_program, connection_of
from sla_monitor.command.installation import installation
from sla_monitor.settings import Settings


async def psql(settings: Settings, options: Sequence[str]) -> None:
    """Replaces this process with psql, so that terminal, signals and exit code are those of psql."""
    async with installation(settings, "sla-monitor psql") as (url, connection):
        program = await client_program("psql", connection.info.server_version // 10000)
    target, password = connection_of(url)
    command = [str(program.path), f"--dbname={target}", *options]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and psql would inherit that
    try:
        os.execve(program.path, command, dict(os.environ) | password)  # noqa: S606  # no shell is wanted
    except OSError as error:
        raise ProgramError(f"{program.path} cannot be run: {error.strerror}") from None
