"""The folder of the local server: its lock, passwords, data and socket.

    <folder>/lock             flock of the process that runs the server; contains its process id
    <folder>/password         of the role sla_monitor; created before the data, readable by the owner only
    <folder>/admin-password   of the role sla_monitor_admin, the superuser, which the programs do not use
    <folder>/data             the data directory; created elsewhere and renamed when it is complete
    <folder>/socket           the server's Unix socket, unless this path is too long for one
    <folder>/postgresql.log   and postgresql.log.1: at most 5 MiB each
    <folder>/programs-18.6.3  if the server's user cannot run the installed programs: a copy of them

If this program runs as root, `data` and `socket` belong to an unprivileged user, and the folder itself to root.
"""

import fcntl
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sla_monitor.local_postgresql.account import Account, LocalPostgresError, require_access, server_account
from sla_monitor.local_postgresql.programs import find_programs

MAX_SOCKET_PATH_BYTES = 107  # sockaddr_un.sun_path has 108 bytes, with the final NUL
SHORT_SOCKET_PREFIX = "sla-monitor-"
SHORT_SOCKET_PARENT = Path("/tmp")  # noqa: S108  # not TMPDIR, which can be long or closed to the server's user
PORT = 5432  # part of the socket's name; the server does not listen on TCP


@dataclass(frozen=True)
class Site:
    """The folder, the programs, and the user that they run as (None: the user of this process)."""

    folder: Path
    account: Account | None
    programs: Path
    major: int

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "postgresql.log"

    def start(self, command: Sequence[str | Path], output: int, folder: Path = Path("/")) -> "subprocess.Popen[bytes]":
        """Starts a program as the server's user, in a session of its own, so that Ctrl-C does not reach it.

        It does not inherit the environment: variables such as PGPORT would change its behaviour, and others are secret.
        """
        return subprocess.Popen(  # noqa: S603  # our own arguments, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            start_new_session=True,
            umask=0o077,
            user=None if self.account is None else self.account.uid,
            group=None if self.account is None else self.account.gid,
            extra_groups=None if self.account is None else [],  # without this it keeps the groups of root
        )

    def make_private(self, path: Path) -> None:
        """Gives a file or folder to the server's user, readable by no other user."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)


def open_site(folder: Path, bin_folder: Path | None) -> Site:
    """Finds the programs and the user for `folder`, whose lock the caller holds. Raises LocalPostgresError."""
    account = server_account(folder / "data")
    if account is not None:
        require_access(folder, account)
    programs, major = find_programs(folder, account, bin_folder)
    site = Site(folder, account, programs, major)
    version_file = site.data / "PG_VERSION"
    written_by = version_file.read_text().strip() if version_file.exists() else str(major)
    if written_by != str(major):
        raise LocalPostgresError(
            f"{site.data} was written by PostgreSQL {written_by}, this program contains {major}: move the data"
            " with pg_dump, or set SLA_MONITOR_HOME to another folder"
        )
    return site


@contextmanager
def lock(folder: Path) -> Iterator[Path]:
    """Holds the lock of the folder, which is created if missing; yields its real path. Raises LocalPostgresError if
    another process holds it.

    The lock is a flock of the kernel, which ends with the process, so an old file does not block a start. The server
    does not inherit it: if the lock is free and a server runs, its owner was killed.
    """
    _make_folder(folder)
    folder = folder.resolve()
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode().strip() or "unknown"
            raise LocalPostgresError(f"already running on {folder} (process {holder})") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield folder
    finally:
        os.close(handle)


def read_password(site: Site) -> str:
    """The password of the role of the programs, which is created before the data. Raises LocalPostgresError if there
    are data and no password."""
    file = site.folder / "password"
    if site.data.exists():
        try:
            return file.read_text()
        except FileNotFoundError:
            raise LocalPostgresError(
                f"{file} is missing: restore it from a backup, or move {site.data} away to start empty"
            ) from None
    return _make_password(file)


def read_admin_password(site: Site) -> str:
    """The password of the superuser. If the file is missing (data of an earlier release, or a lost file), a new
    password is created, which is not that of the superuser. The programs do not need it."""
    file = site.folder / "admin-password"
    if file.exists() and site.data.exists():
        return file.read_text()
    return _make_password(file)


def _make_password(file: Path) -> str:
    password = secrets.token_urlsafe(32)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(password)
        stream.flush()
        os.fsync(handle)
    return password


@contextmanager
def socket_folder(site: Site) -> Iterator[Path]:
    """Creates an empty folder of the server's user, and removes it at the end. Its path is short enough for a socket,
    and has no comma, which libpq takes as a separator."""
    sockets = site.folder / "socket"
    name_bytes = len(os.fsencode(sockets / f".s.PGSQL.{PORT}"))
    if name_bytes <= MAX_SOCKET_PATH_BYTES and "," not in str(sockets):
        shutil.rmtree(sockets, ignore_errors=True)  # an old .lock can contain the id of a new process
        sockets.mkdir()
    else:
        sockets = Path(tempfile.mkdtemp(prefix=SHORT_SOCKET_PREFIX, dir=SHORT_SOCKET_PARENT))
    site.make_private(sockets)
    try:
        yield sockets
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


def server_processes(data: Path) -> list[int]:
    """The ids of the PostgreSQL processes whose working directory is `data`: a server and its children.

    postmaster.pid is not sufficient: after a power loss its number can belong to another process, and the children of a
    killed server outlive it. Without /proc the list is empty; PostgreSQL's own checks remain.
    """
    found = []
    proc = Path("/proc")
    for entry in proc.iterdir() if proc.is_dir() else ():
        if not entry.name.isdigit():
            continue
        try:
            works_here = (entry / "cwd").readlink() == data
            if works_here and (entry / "exe").readlink().name.startswith(("postgres", "initdb")):
                found.append(int(entry.name))
        except OSError:  # it has ended, or it belongs to another user
            continue
    return found


def _make_folder(folder: Path) -> None:
    """Creates the folder and its missing parents, with explicit modes: root's umask may be 077."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
