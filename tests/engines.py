"""Finds the database engines of this machine, runs them, and makes databases on them for the tests.

In this order: what TEST_DATABASE_URL names; a local PostgreSQL with TimescaleDB Community; TimescaleDB in
Docker; and always the embedded PostgreSQL. The first TimescaleDB wins, the others are not started. A
TEST_DATABASE_URL that does not answer is an error. SLA_MONITOR_TEST_ENGINES=embedded (or timescaledb) narrows
the choice while developing.
"""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, TypedDict
from urllib.parse import urlsplit

import psycopg
from anyio.from_thread import start_blocking_portal
from psycopg import errors
from psycopg.sql import SQL, Identifier, Literal

from sla_monitor.local_postgresql.server import local_postgresql
from sla_monitor.settings import Settings

TIMESCALEDB_IMAGE = "timescale/timescaledb:2.32.1-pg18"
CLONE_PATIENCE_S = 120
NEEDED_BYTES = 4 * 1024**3
# A test server is thrown away: nothing needs to reach the disk. A standby that is waited for, and never comes, is how a
# test holds up a commit. A client that was killed while it logged in keeps its database from being dropped for as long
# as a login may take. Each new or dropped database is two or three checkpoints: each looks at all shared buffers.
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
# Without workers no policy runs by itself, and none holds a template open: tests call run_job for one.
TIMESCALEDB = {
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "0",
}


class EngineError(Exception):
    """An engine that was asked for and is not there."""


class Engine(NamedTuple):
    """A kind of database that tests can run on; `name` is the id in the tests' names."""

    name: str
    source: str
    run: Callable[[], AbstractContextManager[str]]


def find_engines(environ: Mapping[str, str] = os.environ) -> list[Engine]:
    """The engines to test, TimescaleDB first. Raises EngineError for one that was asked for in vain."""
    given = _given_engine(environ)
    engines = [given] if given else []
    if not (given and given.name == "timescaledb"):
        timescaledb = _local_timescaledb() or _docker_timescaledb(environ)
        engines += [timescaledb] if timescaledb else []
    engines.append(Engine("postgresql", "embedded", partial(_local_server, None, {})))
    asked = environ.get("SLA_MONITOR_TEST_ENGINES", "").replace("embedded", "postgresql")
    names = [name.strip() for name in asked.split(",") if name.strip()]
    if missing := set(names) - {engine.name for engine in engines}:
        raise EngineError(f"SLA_MONITOR_TEST_ENGINES={asked}: not found here: {', '.join(sorted(missing))}")
    return [engine for engine in engines if not names or engine.name in names]


def _given_engine(environ: Mapping[str, str]) -> Engine | None:
    url = environ.get("TEST_DATABASE_URL")
    if not url:
        return None
    try:
        with psycopg.connect(url, connect_timeout=30) as connection:
            answer = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'")
            name = "timescaledb" if answer.fetchone() is not None else "given-postgresql"
    except psycopg.OperationalError as error:
        raise EngineError(f"TEST_DATABASE_URL does not answer: {error}") from None

    @contextmanager
    def run() -> Iterator[str]:
        yield url

    return Engine(name, "TEST_DATABASE_URL", run)


def _local_timescaledb() -> Engine | None:
    """The newest local PostgreSQL with TimescaleDB Community: the Apache edition lacks the tsl library."""
    installed = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    installed.sort(key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("pg_config")
    candidates = [Path(on_path)] if on_path else []
    candidates += [path / "pg_config" for path in installed]
    for pg_config in candidates:
        command = [str(pg_config), "--bindir", "--sharedir", "--pkglibdir"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        programs, share, libraries = map(Path, answer.splitlines())
        community = (share / "extension" / "timescaledb.control").exists() and any(
            libraries.glob("timescaledb-tsl-*.so")
        )
        if community and (programs / "postgres").exists():
            return Engine("timescaledb", str(programs), partial(_local_server, programs, TIMESCALEDB))
    return None


def _docker_timescaledb(environ: Mapping[str, str]) -> Engine | None:
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
    # The image's tuning script divides by a memory limit that cgroup v2 need not have.
    with container.with_env("NO_TS_TUNE", "true").with_command(f"postgres {settings}") as running:
        yield running.get_connection_url()


@contextmanager
def _local_server(programs: Path | None, settings: Mapping[str, str]) -> Iterator[str]:
    """A private server in a folder that its user can reach when the tests run as root (pytest's are 0700)."""
    folder = Path(tempfile.mkdtemp(prefix="sla-tests-", dir=roomy_memory() or "/tmp"))
    folder.chmod(0o711)
    server = local_postgresql(folder, bin_folder=programs, extra_settings={**EPHEMERAL, **settings})
    try:
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(server) as running:
            _make_logins_cheap(running.admin_url)
            yield running.admin_url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_logins_cheap(url: str) -> None:
    """The default of 4,096 rounds costs a client 2 ms of CPU; a test has about seven connections."""
    with psycopg.connect(url, autocommit=True, connect_timeout=30) as connection:
        connection.execute("SET scram_iterations = 1")
        password = Literal(urlsplit(url).password)
        connection.execute(SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(password))


def roomy_memory() -> str | None:
    """A disk in memory, where there is one: a test's database is copied file by file and thrown away again. Nothing on
    it waits for a disk, not even a server that syncs its files."""
    memory = Path("/dev/shm")
    try:
        free = shutil.disk_usage(memory).free
    except OSError:
        return None
    return str(memory) if free > NEEDED_BYTES and os.access(memory, os.W_OK) else None


class Server:
    """A running engine. Makes databases with names of their own, so that test runs can share a server."""

    def __init__(self, engine: Engine, url: str) -> None:
        self.name = engine.name
        self.source = engine.source
        self.tests: set[str] = set()
        self._url = url
        self._template: str | None = None
        self._prefix = f"sla_test_{secrets.token_hex(4)}"
        self._made = 0
        self._connection: psycopg.Connection | None = None
        connection = self._admin()
        self.version = _text(connection, "SELECT current_setting('server_version')")
        self.timescaledb_version = _text(
            connection, "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
        )
        workers = _text(connection, "SELECT current_setting('timescaledb.max_background_workers', true)")
        self._has_workers = workers not in ("", "0")

    def migrated_database(self) -> str:
        """The URL of a fresh database with the whole schema: a copy of a template that is migrated once."""
        if self._template is None:
            self._template = self._make_template()
        return self._create(self._template)

    def empty_database(self) -> str:
        """The URL of a fresh database with nothing in it, the extension TimescaleDB included."""
        return self._create("template0")

    def copy(self, url: str) -> str:
        """The URL of a fresh copy of this database, which nobody may be connected to."""
        return self._create(urlsplit(url).path.removeprefix("/"))

    def drop(self, url: str) -> None:
        name = Identifier(urlsplit(url).path.removeprefix("/"))
        self._admin().execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def close(self) -> None:
        if self._template is not None:
            self.drop(f"/{self._template}")
        if self._connection is not None:
            self._connection.close()

    def _make_template(self) -> str:
        from sql.migrate import migrate

        url = self.empty_database()
        try:
            with start_blocking_portal() as portal:
                portal.call(migrate, url, Settings())
            self._stop_workers(url)
        except BaseException:  # also an interruption must not leave it on a shared server
            self.drop(url)
            raise
        return urlsplit(url).path.removeprefix("/")

    def _create(self, template: str) -> str:
        self._made += 1
        name = f"{self._prefix}_{self._made}"
        # FILE_COPY: many small relations are copied faster as files than as log records.
        command = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        statement = command.format(Identifier(name), Identifier(template))
        deadline = time.monotonic() + CLONE_PATIENCE_S
        while True:
            try:
                self._admin().execute(statement)
                break
            except errors.ObjectInUse:  # a TimescaleDB worker or a closing session is in the template
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        url = urlsplit(self._url)._replace(path=f"/{name}").geturl()
        if template != "template0":
            self._stop_workers(url)
        return url

    def _stop_workers(self, url: str) -> None:
        """On a server that is not ours: keeps TimescaleDB's scheduler out; policies run when called."""
        if not self._has_workers:
            return
        with psycopg.connect(url, autocommit=True) as connection:
            if _text(connection, "SELECT extname FROM pg_extension WHERE extname = 'timescaledb'"):
                connection.execute("SELECT _timescaledb_functions.stop_background_workers()")

    def _admin(self) -> psycopg.Connection:
        """A connection that is kept for the next database; a new one where a test has ended it."""
        if self._connection is not None:
            with suppress(psycopg.OperationalError):
                self._connection.execute("SELECT")
                return self._connection
        self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=30)
        return self._connection


class Servers:
    """The engines of one test run, each started when the first test asks for it."""

    def __init__(self, engines: list[Engine]) -> None:
        self.engines = {engine.name: engine for engine in engines}
        self.running: dict[str, Server] = {}
        self._elsewhere: list[Report] = []
        self._stack = ExitStack()

    def start(self, name: str) -> Server:
        if name not in self.running:
            engine = self.engines[name]
            server = Server(engine, self._stack.enter_context(engine.run()))
            self._stack.callback(server.close)
            self.running[name] = server
        return self.running[name]

    def close(self) -> None:
        self._stack.close()

    def found(self) -> str:
        return ", ".join(f"{engine.name} ({engine.source})" for engine in self.engines.values())

    def reports(self) -> list["Report"]:
        """What ran in this process, in a form that passes from a worker to the process that sums up."""
        return [
            {"name": name, "version": _version(server), "tests": sorted(server.tests)}
            for name, server in self.running.items()
        ]

    def add_reports(self, reports: list["Report"]) -> None:
        self._elsewhere += reports

    def summary(self) -> list[str]:
        """A line for each engine: what it is and how many tests ran on it."""
        reports = self.reports() + self._elsewhere
        lines = []
        for name, engine in self.engines.items():
            tests = {test for report in reports if report["name"] == name for test in report["tests"]}
            versions = [report["version"] for report in reports if report["name"] == name]
            what = f"{versions[0]}: {len(tests)} tests" if versions else "not needed by the tests chosen"
            lines.append(f"{name} ({engine.source}): {what}")
        if "timescaledb" not in self.engines:
            lines.append("timescaledb: NOT TESTED (none found, or left out by SLA_MONITOR_TEST_ENGINES)")
        return lines


class Report(TypedDict):
    """What one process ran on one engine."""

    name: str
    version: str
    tests: list[str]


def _version(server: Server) -> str:
    extension = f", TimescaleDB {server.timescaledb_version}" if server.timescaledb_version else ""
    return f"PostgreSQL {server.version}{extension}"


def _text(connection: psycopg.Connection, statement: str) -> str:
    row = connection.execute(statement.encode()).fetchone()
    return str(row[0] or "") if row is not None else ""
