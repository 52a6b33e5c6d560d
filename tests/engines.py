"""Finds the database engines of this machine and starts their servers. servers.py creates databases on them.

The order of the search: the server of TEST_DATABASE_URL, a local PostgreSQL with TimescaleDB Community, TimescaleDB in
Docker. The first TimescaleDB is used and the search ends. The embedded PostgreSQL is always used as well. A
TEST_DATABASE_URL that cannot be reached is an error. SLA_MONITOR_TEST_ENGINES=embedded (or timescaledb) restricts the
engines during development.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from anyio.from_thread import start_blocking_portal
from psycopg.sql import SQL, Literal

from sla_monitor.local_postgresql.server import local_postgresql

TIMESCALEDB_IMAGE = "timescale/timescaledb:2.32.1-pg18"
NEEDED_BYTES = 4 * 1024**3
# The data of a test server is discarded, so nothing is synced to disk. wal_level and max_wal_senders allow tests to
# delay a commit by requiring a synchronous standby that does not exist. A client that is killed during login blocks
# DROP DATABASE until authentication_timeout. CREATE and DROP DATABASE make two or three checkpoints, and each
# checkpoint scans all shared buffers, so these are small.
EPHEMERAL = {
    "authentication_timeout": "5s",
    "fsync": "off",
    "full_page_writes": "off",
    "log_checkpoints": "off",
    "max_connections": "100",
    "wal_level": "replica",
    "max_wal_senders": "1",
    "shared_buffers": "32MB",
}
# Without background workers no policy runs on its own and none keeps a template database open. Tests call run_job.
TIMESCALEDB = {
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "0",
}


class EngineError(Exception):
    """A requested engine is not available. The message names it."""


class Engine(NamedTuple):
    """A database engine that tests can run on. `name` is part of the ids of the tests. `source` is where it was found,
    for messages. `run` starts a server and yields the URL of its superuser."""

    name: str
    source: str
    run: Callable[[], AbstractContextManager[str]]


def find_engines(environ: Mapping[str, str] = os.environ) -> list[Engine]:
    """Returns the engines to test, TimescaleDB first. Raises EngineError if a requested engine is not available."""
    given = _given_engine(environ)
    engines = [given] if given else []
    if not (given and given.name == "timescaledb"):
        timescaledb = _local_timescaledb() or _docker_timescaledb(environ)
        engines += [timescaledb] if timescaledb else []
    engines.append(Engine("postgresql", "embedded", partial(_local_server, None, {})))
    requested = environ.get("SLA_MONITOR_TEST_ENGINES", "").replace("embedded", "postgresql")
    names = [name.strip() for name in requested.split(",") if name.strip()]
    if missing := set(names) - {engine.name for engine in engines}:
        raise EngineError(f"SLA_MONITOR_TEST_ENGINES={requested}: not found here: {', '.join(sorted(missing))}")
    return [engine for engine in engines if not names or engine.name in names]


def _given_engine(environ: Mapping[str, str]) -> Engine | None:
    """Returns the engine of TEST_DATABASE_URL, or None if that is not set. Raises EngineError if the server cannot be
    reached."""
    url = environ.get("TEST_DATABASE_URL")
    if not url:
        return None
    try:
        with psycopg.connect(url, connect_timeout=30) as connection:
            extension = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'")
            name = "timescaledb" if extension.fetchone() is not None else "given-postgresql"
    except psycopg.OperationalError as error:
        raise EngineError(f"TEST_DATABASE_URL cannot be reached: {error}") from None

    @contextmanager
    def run() -> Iterator[str]:
        yield url

    return Engine(name, "TEST_DATABASE_URL", run)


def _local_timescaledb() -> Engine | None:
    """Returns the newest local PostgreSQL with TimescaleDB Community. The Apache edition has no tsl library."""
    installed = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    installed.sort(key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("pg_config")
    candidates = [Path(on_path)] if on_path else []
    candidates += [path / "pg_config" for path in installed]
    for pg_config in candidates:
        command = [str(pg_config), "--bindir", "--sharedir", "--pkglibdir"]
        try:
            output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        programs, share, libraries = map(Path, output.splitlines())
        community = (share / "extension" / "timescaledb.control").exists() and any(
            libraries.glob("timescaledb-tsl-*.so")
        )
        if community and (programs / "postgres").exists():
            return Engine("timescaledb", str(programs), partial(_local_server, programs, TIMESCALEDB))
    return None


def _docker_timescaledb(environ: Mapping[str, str]) -> Engine | None:
    """Returns TimescaleDB in a container, or None if Docker does not respond."""
    if "DOCKER_HOST" not in environ and not Path("/var/run/docker.sock").exists():
        return None
    docker = import_module("docker")
    try:
        docker.from_env(timeout=2).ping()
    except (docker.errors.DockerException, OSError):
        return None
    return Engine("timescaledb", f"Docker, {TIMESCALEDB_IMAGE}", _docker_server)


@contextmanager
def _docker_server() -> Iterator[str]:
    from testcontainers.community.postgres import PostgresContainer

    settings = " ".join(f"-c {name}={value}" for name, value in {**EPHEMERAL, **TIMESCALEDB}.items())
    container = PostgresContainer(TIMESCALEDB_IMAGE, driver=None)
    # The tuning script of the image divides by the memory limit, which cgroup v2 may not set.
    with container.with_env("NO_TS_TUNE", "true").with_command(f"postgres {settings}") as running:
        yield running.get_connection_url()


@contextmanager
def _local_server(programs: Path | None, settings: Mapping[str, str]) -> Iterator[str]:
    """Runs a private server. If the tests run as root, PostgreSQL runs as another user, who must be able to enter the
    folder. pytest's folders have mode 0700, so they are not used."""
    folder = Path(tempfile.mkdtemp(prefix="sla-tests-", dir=roomy_memory() or "/tmp"))
    folder.chmod(0o711)
    server = local_postgresql(folder, bin_folder=programs, extra_settings={**EPHEMERAL, **settings})
    try:
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(server) as running:
            _speed_up_logins(running.admin_url)
            yield running.admin_url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _speed_up_logins(url: str) -> None:
    """Sets one SCRAM iteration for the password. The default of 4,096 takes 2 ms of CPU time for each connection, and a
    test opens about seven."""
    with psycopg.connect(url, autocommit=True, connect_timeout=30) as connection:
        connection.execute("SET scram_iterations = 1")
        password = Literal(urlsplit(url).password)
        connection.execute(SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(password))


def roomy_memory() -> str | None:
    """Returns the path of a file system in memory that has NEEDED_BYTES free, or None. The databases of tests are
    copied as files and soon deleted. In memory no write waits for a disk, even with fsync on."""
    memory = Path("/dev/shm")
    try:
        free = shutil.disk_usage(memory).free
    except OSError:
        return None
    return str(memory) if free > NEEDED_BYTES and os.access(memory, os.W_OK) else None
