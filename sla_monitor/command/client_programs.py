"""PostgreSQL's client programs (psql, pg_dump, pg_restore): from PATH, or those of the embedded server."""

import os
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sla_monitor.local_postgresql.programs import packaged_programs
from sla_monitor.settings import StartError
from sql import CONNECT_TIMEOUT_S

VERSION_TIMEOUT_S = 10
_MAJOR = re.compile(r"\(PostgreSQL\) (\d+)")


class ProgramError(StartError):
    """No program of a suitable version is installed; the text is one line."""


class Program(NamedTuple):
    """A client program of PostgreSQL, and its major version."""

    path: Path
    major: int


def connection_of(url: str) -> tuple[str, dict[str, str]]:
    """The value of `--dbname` without the password, and the environment with the password: all users of a machine can
    see the arguments of a process."""
    parameters: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S} | conninfo_to_dict(url)
    password = parameters.pop("password", None)
    return make_conninfo(**parameters), {} if password is None else {"PGPASSWORD": str(password)}


async def client_program(name: str, server_major: int) -> Program:
    """The program of the server's version, or the next newer one, from PATH or from the package of the embedded server.
    Raises ProgramError."""
    folders = [*map(Path, os.get_exec_path()), packaged_programs()]
    found = [program async for program in _installed(name, filter(None, folders))]
    return suitable(name, found, server_major)


async def _installed(name: str, folders: Iterable[Path]) -> AsyncIterator[Program]:
    for folder in folders:
        path = shutil.which(name, path=str(folder))
        if path is None:
            continue
        try:
            with anyio.fail_after(VERSION_TIMEOUT_S):
                shown = await anyio.run_process([path, "--version"], check=False)
        except (OSError, TimeoutError):
            continue
        version = _MAJOR.search(shown.stdout.decode(errors="replace"))
        if version is not None:
            yield Program(Path(path), int(version[1]))


def suitable(name: str, found: Sequence[Program], server_major: int) -> Program:
    """The oldest program of `found` that is not older than the server. Raises ProgramError if there is none."""
    if not found:
        raise ProgramError(
            f"{name} is not installed: install PostgreSQL {server_major} or newer and put {name} on PATH"
        )
    fitting = [program for program in found if program.major >= server_major]
    if not fitting:
        newest = max(found, key=lambda program: program.major)
        raise ProgramError(
            f"{newest.path} is version {newest.major}, older than the server ({server_major}): "
            f"put {name} {server_major} or newer on PATH"
        )
    return min(fitting, key=lambda program: program.major)
