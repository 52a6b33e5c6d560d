"""The data directory of the local server: it is created by initdb, and freed if the owner of a server was killed."""

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import anyio

from sla_monitor.local_postgresql.account import LocalPostgresError
from sla_monitor.local_postgresql.folder import SHORT_SOCKET_PARENT, SHORT_SOCKET_PREFIX, Site, server_processes
from sla_monitor.local_postgresql.waiting import ending, until

INITDB_TIMEOUT_S = 120
ORPHAN_STOPS = ((signal.SIGINT, 15), (signal.SIGQUIT, 10))
"""Signals for an orphaned server, each with the seconds to wait for its end."""


async def stop_orphan(site: Site) -> None:
    """Stops the server of an owner that was killed, and removes its postmaster.pid and its socket folder.

    This process holds the lock of the folder, so processes that use the data directory have no owner. postmaster.pid is
    removed only when there are none: otherwise two servers could write the same files.
    """
    pid_file = site.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines() if pid_file.exists() else []
    for stop, timeout_s in ORPHAN_STOPS:
        processes = server_processes(site.data)
        postmaster = [pid for pid in processes if lines and str(pid) == lines[0].strip()]
        for pid in postmaster if stop == signal.SIGINT else processes:
            with suppress(ProcessLookupError):
                os.kill(pid, stop)
        if await until(lambda: not server_processes(site.data), timeout_s=timeout_s, period_s=0.05):
            break
    else:
        raise LocalPostgresError(f"{site.data} is in use by processes {processes}, which do not stop: kill them")
    pid_file.unlink(missing_ok=True)
    sockets = Path(lines[4]) if len(lines) > 4 else site.folder
    if sockets.parent == SHORT_SOCKET_PARENT and sockets.name.startswith(SHORT_SOCKET_PREFIX):
        shutil.rmtree(sockets, ignore_errors=True)


async def initialise(site: Site, superuser: str, password: str, *, sync: bool) -> None:
    """Runs initdb in a sibling folder, which is renamed when complete: a first start that is killed leaves no
    incomplete data directory."""
    staging = Path(tempfile.mkdtemp(prefix="data.new-", dir=site.folder))
    try:
        password_file = staging / "password"
        password_file.write_text(password)
        site.make_private(password_file)
        site.make_private(staging)  # last: root must not write into a folder of another user
        with tempfile.TemporaryFile() as output:
            await _run_initdb(site, superuser, staging, output, sync=sync)
        (staging / "data").rename(site.data)
    finally:
        await remove_staging(staging)
    handle = os.open(site.folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def remove_staging(staging: Path) -> None:
    """Removes the folder of an initdb, after killing the processes that write there."""

    def writers() -> list[int]:
        return [*server_processes(staging), *server_processes(staging / "data")]

    with anyio.CancelScope(shield=True):
        for pid in writers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await until(lambda: not writers(), timeout_s=2)
        shutil.rmtree(staging, ignore_errors=True)


async def _run_initdb(site: Site, superuser: str, staging: Path, output: IO[bytes], *, sync: bool) -> None:
    # The same collation on every machine, whatever its locales. PostgreSQL has its own C.UTF-8 since 17.
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
        ended = await until(lambda: process.poll() is not None, timeout_s=INITDB_TIMEOUT_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if not ended or process.returncode != 0:
        output.seek(0)
        printed = output.read().decode(errors="replace").strip().splitlines() or ["nothing"]
        reason = ending(process) if ended else f"not done after {INITDB_TIMEOUT_S} s"
        raise LocalPostgresError(f"initdb failed in {site.folder} ({reason}); its output: {printed[-1]}")
