"""Connection poolers: PgBouncer works in session mode, and its other modes are refused with an error of one line."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from sla_monitor.settings import Settings
from sql import connect
from sql.migrate import POOLED, migrate
from sql.migration_errors import MigrationError
from sql.poolers import shares_sessions
from tests.ports import free_port

PROGRAM = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
PATIENCE_S = 120


@contextmanager
def pgbouncer(database_url: str, mode: str) -> Iterator[str]:
    """The URL of the same database behind PgBouncer."""
    server = conninfo_to_dict(database_url)
    port = free_port()
    names = ("host", "port", "user", "password", "dbname")
    target = " ".join(f"{name}='{server[name]}'" for name in names if server.get(name))
    with tempfile.TemporaryDirectory(prefix="sla-tests-") as folder:
        Path(folder).chmod(0o755)
        configuration = Path(folder) / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\nwatched = {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
            f"unix_socket_dir =\nauth_type = any\npool_mode = {mode}\n",
            "utf-8",
        )
        assert PROGRAM is not None
        process = subprocess.Popen([PROGRAM, "-q", str(configuration)], user=_user(str(server["host"])))
        try:
            yield _reachable(f"postgresql://user@127.0.0.1:{port}/watched", process)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _user(host: str) -> int | None:
    """Returns the user of the process: PgBouncer refuses to run as root, and needs access to the socket of the
    server."""
    if os.getuid() != 0:
        return None
    return Path(host).stat().st_uid if host.startswith("/") else 65534


def _reachable(url: str, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return url
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_that_shares_sessions_is_refused(any_database: str, mode: str) -> None:
    with pgbouncer(any_database, mode) as url, pytest.raises(MigrationError) as refused:
        await migrate(url, Settings())
    assert str(refused.value) == POOLED
    assert "\n" not in POOLED


@needs_pgbouncer
async def test_session_mode_is_accepted(any_database: str) -> None:
    with pgbouncer(any_database, "session") as url:
        assert (await migrate(url, Settings())).applied == ()


async def test_a_direct_connection_is_not_taken_for_a_pooler(any_database: str) -> None:
    async with await connect(any_database, application="test") as connection:
        assert not await shares_sessions(connection, any_database)
