"""A running local server, and its configuration."""

import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, NoReturn
from urllib.parse import quote

from anyio import to_thread

from sla_monitor.local_postgresql.account import LocalPostgresError
from sla_monitor.local_postgresql.folder import PORT
from sla_monitor.local_postgresql.log import last_lines
from sla_monitor.local_postgresql.waiting import ending, until

ROLE = DATABASE = "sla_monitor"
"""The role of the programs. It owns the database and its objects, and has no other privileges."""
ADMIN = "sla_monitor_admin"
"""The superuser of the cluster."""

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
        # Not /dev/shm: it has 64 MB in containers, and logind empties it when an ordinary user logs out.
        "dynamic_shared_memory_type": "mmap",
        "synchronous_commit": "on",
        # There is no replica and no archive, so WAL is only needed for crash recovery. Backups use pg_dump.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "min_wal_size": "64MB",
        "max_wal_size": "512MB",
        # Queries are many and short; compiling one takes longer than executing it.
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        # stderr is a pipe to this process, which bounds the log file (log.py); the logging collector cannot.
        "logging_collector": "off",
        "log_destination": "stderr",
    }
)


class Passwords(NamedTuple):
    """The passwords of the role of the programs, and of the superuser."""

    role: str
    admin: str


@dataclass(frozen=True)
class LocalPostgres:
    """A running server. `database_url` is that of the programs, `admin_url` that of the superuser. Both contain a
    password and must not be logged."""

    database_url: str = field(repr=False)
    admin_url: str = field(repr=False)
    log: Path
    process: "subprocess.Popen[bytes]"
    log_keeper: threading.Thread

    @property
    def pid(self) -> int:
        return self.process.pid

    async def watch(self) -> NoReturn:
        """Raises LocalPostgresError within a second after the server has ended; never returns. For a task group."""
        while not await until(self.ended, timeout_s=60, period_s=0.5):
            pass
        raise await self.failure(f"PostgreSQL ended unexpectedly ({ending(self.process)})")

    async def failure(self, reason: str) -> LocalPostgresError:
        """An error with the reason and the last lines of the log."""
        if self.ended():
            await self.log_written()
        tail = await to_thread.run_sync(last_lines, self.log)
        return LocalPostgresError(f"{reason}; the last lines of {self.log}:{tail}")

    def ended(self) -> bool:
        return self.process.poll() is not None

    async def log_written(self) -> None:
        """Waits until all processes of an ended server have closed the log, at most 2 s."""
        await until(lambda: not self.log_keeper.is_alive(), timeout_s=2)


def url_of(role: str, password: str, sockets: Path | str) -> str:
    """The URL of the database for a role."""
    return f"postgresql://{role}:{password}@/{DATABASE}?host={quote(str(sockets), safe='')}&port={PORT}"
