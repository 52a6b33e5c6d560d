"""`sla-monitor backup` and `sla-monitor restore`: pg_dump and pg_restore, with the steps that TimescaleDB requires.

A backup is one file in pg_dump's custom format, a consistent snapshot taken while all programs run. It contains
password hashes and keys, so only its owner may read it. A restore is one transaction, into an empty database: it
succeeds completely or changes nothing.

Owners and grants are not restored: all objects belong to the user that restores.
"""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psycopg
from anyio import to_thread
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from sla_monitor.command.client_programs import Program, client_program, connection_of
from sla_monitor.command.installation import NoDatabaseError
from sla_monitor.local_postgresql.server import local_postgresql, running_url
from sla_monitor.settings import Settings, StartError
from sql import connect, query
from sql.migration_errors import MigrationError, UnreachableError

LIST_TIMEOUT_S = 300
"""For listing the contents of a file on a slow disk. Dump and restore have no timeout."""
LOCK_WAIT = "60s"
"""How long pg_dump waits for the lock of a table, for example during a migration."""
POST_RESTORE_TIMEOUT_S = 60
_TIMESCALEDB = re.compile(r"^\d+; \d+ \d+ EXTENSION - timescaledb\b", re.MULTILINE)
_SCHEMA = re.compile(r"^\d+; \d+ \d+ TABLE \S+ schema_versions\b", re.MULTILINE)
_TIMESCALEDB_VERSION = re.compile(r"^timescaledb_version\t(\S+)", re.MULTILINE)


class BackupError(StartError):
    """The backup or the restore failed. The text is one line."""


async def backup(settings: Settings, file: Path) -> None:
    """Writes the whole database into `file`. An existing file is replaced when the new one is complete."""
    async with _database(settings) as url:
        major = await _server_version(url)
        program = await client_program("pg_dump", major)
        unfinished = file.with_name(f"{file.name}.unfinished")
        try:
            await to_thread.run_sync(_make_private, unfinished)
            dump = ("--format=custom", f"--lock-wait-timeout={LOCK_WAIT}", f"--file={unfinished}")
            await _run(program, *dump, url=url)
            size = await to_thread.run_sync(_keep, unfinished, file)
        except OSError as error:
            raise BackupError(f"{file} cannot be written: {error.strerror}") from error
        finally:
            unfinished.unlink(missing_ok=True)
    print(f"backup written to {file}, {size} bytes")


async def restore(settings: Settings, file: Path) -> None:
    """Restores a file of `backup` into an empty database. Migrations are locked out meanwhile."""
    if not await to_thread.run_sync(file.is_file):
        raise BackupError(f"{file} is not a file")
    async with _database(settings, make=True) as url:
        try:
            async with await connect(url, application="sla-monitor restore") as connection:
                program = await client_program("pg_restore", _major(connection))
                contents = await _run(program, "--list", str(file), timeout_s=LIST_TIMEOUT_S)
                if _SCHEMA.search(contents) is None:
                    raise BackupError(f"{file} is not a backup of sla-monitor")
                await _require_empty(connection)
                restored = _restore_timescaledb if _TIMESCALEDB.search(contents) else _restore
                await restored(connection, program, file, url)
                await connection.execute("ANALYZE")
        except psycopg.OperationalError as error:
            raise UnreachableError.of(error) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise BackupError(f"the database user lacks a privilege: {error.diag.message_primary}") from error
    print(f"restored from {file}")


@asynccontextmanager
async def _database(settings: Settings, *, make: bool = False) -> AsyncIterator[str]:
    """The URL of DATABASE_URL, of a running `sla-monitor up`, or of its server, which is started for the block."""
    folder = settings.home / "postgresql"
    url = settings.database_url or running_url(folder)
    if url is not None and (settings.database_url is not None or await _responds(url)):
        yield url
    elif make or (folder / "data").exists():
        async with local_postgresql(folder) as server:
            yield server.database_url
    else:
        raise NoDatabaseError(f"DATABASE_URL is not set, and there is no database in {settings.home}")


async def _responds(url: str) -> bool:
    """Whether a server responds at `url`. False if a killed server left the URL behind."""
    try:
        await (await connect(url, application="sla-monitor")).close()
    except psycopg.OperationalError:
        return False
    return True


def _major(connection: AsyncConnection[TupleRow]) -> int:
    return connection.info.server_version // 10000


async def _server_version(url: str) -> int:
    """The major version of the server. Raises MigrationError if the database has no schema."""
    try:
        async with await connect(url, application="sla-monitor backup") as connection:
            await connection.execute("SELECT FROM schema_versions LIMIT 1")
            return _major(connection)
    except psycopg.OperationalError as error:
        raise UnreachableError.of(error) from error
    except psycopg.errors.UndefinedTable as error:
        raise MigrationError("this database has no schema yet: there is nothing to back up") from error


async def _require_empty(connection: AsyncConnection[TupleRow]) -> None:
    """Raises BackupError if the database is not empty or is being migrated. Takes the lock of migrations, which is held
    until the connection is closed."""
    statement = "SELECT pg_try_advisory_lock(hashtextextended('sla-monitor migrate', 0))"
    if await (await connection.execute(statement)).fetchone() != (True,):
        raise BackupError(f"the database {connection.info.dbname} is being migrated: restore into a new one")
    if await (await connection.execute(query("backup/empty"))).fetchone() != (True,):
        raise BackupError(f"the database {connection.info.dbname} is not empty: restore into a new one")


async def _restore(connection: AsyncConnection[TupleRow], program: Program, file: Path, url: str) -> None:
    how = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    await _run(program, *how, str(file), url=url)


async def _restore_timescaledb(connection: AsyncConnection[TupleRow], program: Program, file: Path, url: str) -> None:
    """Restores with the version of TimescaleDB of the backup, because rows of its catalog are restored."""
    metadata = ("--data-only", "--schema=_timescaledb_catalog", "--table=metadata", "--file=-")
    found = _TIMESCALEDB_VERSION.search(await _run(program, *metadata, str(file), timeout_s=LIST_TIMEOUT_S))
    version = found[1] if found else None
    name = f"TimescaleDB {version}" if version else "TimescaleDB"
    row = await (await connection.execute(query("backup/timescaledb"), {"version": version})).fetchone()
    assert row is not None
    installed, available = row
    if not available:
        raise BackupError(f"the backup needs {name}, which this server does not have")
    if version and installed not in (None, version):
        raise BackupError(f"the backup needs {name}, this database has {installed}: restore into a new one")
    if not installed:
        wanted = sql.SQL(" VERSION {}").format(sql.Literal(version)) if version else sql.SQL("")
        await connection.execute(sql.SQL("CREATE EXTENSION timescaledb") + wanted)
    await connection.execute("SELECT timescaledb_pre_restore()")
    try:
        await _restore(connection, program, file, url)
    finally:
        with anyio.move_on_after(POST_RESTORE_TIMEOUT_S, shield=True):
            await connection.execute("SELECT timescaledb_post_restore()")


async def _run(program: Program, *arguments: str, url: str | None = None, timeout_s: float | None = None) -> str:
    """Runs the program and returns its output. Raises BackupError with its first error. The password is passed in the
    environment, because arguments are visible to all users of the machine."""
    environment = dict(os.environ) | {"LC_ALL": "C"}
    command = [str(program.path), *arguments]
    if url is not None:
        target, password = connection_of(url)
        environment |= password
        command += ["--no-password", f"--dbname={target}"]
    try:
        with anyio.fail_after(timeout_s):
            ended = await anyio.run_process(command, check=False, env=environment)
    except TimeoutError:
        raise BackupError(f"{program.path.name} took longer than {timeout_s:g} s") from None
    except OSError as error:
        raise BackupError(f"{program.path} cannot be run: {error.strerror}") from None
    if ended.returncode != 0:
        raise BackupError(f"{program.path.name} failed: {_first_error(ended.stderr.decode(errors='replace'))}")
    return ended.stdout.decode(errors="replace")


def _first_error(output: str) -> str:
    """The first error in the output of a program. Warnings may precede it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line]
    return (errors or lines or ["no reason was printed"])[0]


def _make_private(file: Path) -> None:
    file.unlink(missing_ok=True)
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _keep(unfinished: Path, file: Path) -> int:
    """Renames a complete backup to its final name after fsync. Returns its size in bytes."""
    _sync(unfinished)
    size = unfinished.stat().st_size
    unfinished.replace(file)
    _sync(file.parent)
    return size


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
