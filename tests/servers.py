"""Running database servers of the tests: they create, copy and drop databases, and report which tests used them."""

import secrets
import time
from contextlib import ExitStack, suppress
from typing import TypedDict
from urllib.parse import urlsplit

import psycopg
from anyio.from_thread import start_blocking_portal
from psycopg import errors
from psycopg.sql import SQL, Identifier

from sla_monitor.settings import Settings
from tests.engines import Engine

CLONE_PATIENCE_S = 120
"""How long a copy of a database may wait for the end of the sessions of the original."""


class Server:
    """A running engine. The names of its databases are unique, so that several test runs can share a server."""

    def __init__(self, engine: Engine, url: str) -> None:
        self.name = engine.name
        self.source = engine.source
        self.tests: set[str] = set()
        self._url = url
        self._template: str | None = None
        self._prefix = f"sla_test_{secrets.token_hex(4)}"
        self._created = 0
        self._connection: psycopg.Connection | None = None
        connection = self._admin()
        self.version = _text(connection, "SELECT current_setting('server_version')")
        self.timescaledb_version = _text(
            connection, "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
        )
        workers = _text(connection, "SELECT current_setting('timescaledb.max_background_workers', true)")
        self._has_workers = workers not in ("", "0")

    def migrated_database(self) -> str:
        """Returns the URL of a new database with the whole schema: a copy of a template that is migrated once."""
        if self._template is None:
            self._template = self._make_template()
        return self._create(self._template)

    def empty_database(self) -> str:
        """Returns the URL of a new empty database, without the extension TimescaleDB."""
        return self._create("template0")

    def copy(self, url: str) -> str:
        """Returns the URL of a new copy of this database. No session may be connected to the original."""
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
        except BaseException:  # an interrupted run must not leave the template on a shared server
            self.drop(url)
            raise
        return urlsplit(url).path.removeprefix("/")

    def _create(self, template: str) -> str:
        self._created += 1
        name = f"{self._prefix}_{self._created}"
        # FILE_COPY: many small relations are copied faster as files than through the WAL.
        command = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        statement = command.format(Identifier(name), Identifier(template))
        deadline = time.monotonic() + CLONE_PATIENCE_S
        while True:
            try:
                self._admin().execute(statement)
                break
            except errors.ObjectInUse:  # a TimescaleDB worker or a closing session is still connected to the template
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        url = urlsplit(self._url)._replace(path=f"/{name}").geturl()
        if template != "template0":
            self._stop_workers(url)
        return url

    def _stop_workers(self, url: str) -> None:
        """Stops TimescaleDB's scheduler on a server that has background workers. Tests run the policies themselves."""
        if not self._has_workers:
            return
        with psycopg.connect(url, autocommit=True) as connection:
            if _text(connection, "SELECT extname FROM pg_extension WHERE extname = 'timescaledb'"):
                connection.execute("SELECT _timescaledb_functions.stop_background_workers()")

    def _admin(self) -> psycopg.Connection:
        """Returns the open connection, or a new one if a test has terminated it."""
        if self._connection is not None:
            with suppress(psycopg.OperationalError):
                self._connection.execute("SELECT")
                return self._connection
        self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=30)
        return self._connection


class Servers:
    """The engines of one test run. Each is started for the first test that uses it."""

    def __init__(self, engines: list[Engine]) -> None:
        self.engines = {engine.name: engine for engine in engines}
        self.running: dict[str, Server] = {}
        self._received: list[Report] = []
        self._stack = ExitStack()

    def start(self, name: str) -> Server:
        """Returns the server of an engine. Starts it at the first call."""
        if name not in self.running:
            engine = self.engines[name]
            server = Server(engine, self._stack.enter_context(engine.run()))
            self._stack.callback(server.close)
            self.running[name] = server
        return self.running[name]

    def close(self) -> None:
        self._stack.close()

    def found(self) -> str:
        """Returns the names of the engines and where they were found, for the header of the test run."""
        return ", ".join(f"{engine.name} ({engine.source})" for engine in self.engines.values())

    def reports(self) -> list["Report"]:
        """Returns the tests that ran in this process, in a form that pytest-xdist can send to its controller, which
        prints the summary."""
        return [
            {"name": name, "version": _version(server), "tests": sorted(server.tests)}
            for name, server in self.running.items()
        ]

    def add_reports(self, reports: list["Report"]) -> None:
        """Adds the reports of another process to the summary."""
        self._received += reports

    def summary(self) -> list[str]:
        """Returns one line for each engine: its version and the number of tests that ran on it."""
        reports = self.reports() + self._received
        lines = []
        for name, engine in self.engines.items():
            tests = {test for report in reports if report["name"] == name for test in report["tests"]}
            versions = [report["version"] for report in reports if report["name"] == name]
            use = f"{versions[0]}: {len(tests)} tests" if versions else "not used by the selected tests"
            lines.append(f"{name} ({engine.source}): {use}")
        if "timescaledb" not in self.engines:
            lines.append("timescaledb: NOT TESTED (none found, or excluded by SLA_MONITOR_TEST_ENGINES)")
        return lines


class Report(TypedDict):
    """The tests that one process ran on one engine."""

    name: str
    version: str
    tests: list[str]


def _version(server: Server) -> str:
    extension = f", TimescaleDB {server.timescaledb_version}" if server.timescaledb_version else ""
    return f"PostgreSQL {server.version}{extension}"


def _text(connection: psycopg.Connection, statement: str) -> str:
    row = connection.execute(statement.encode()).fetchone()
    return str(row[0] or "") if row is not None else ""
