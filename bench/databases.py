"""Databases to measure on: one server for each engine that tests/engines.py finds, started with fsync on."""

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from sla_monitor.local_postgresql.server import local_postgresql
from sla_monitor.settings import Settings
from sql import connect
from sql.migrate import migrate
from tests.engines import EPHEMERAL, TIMESCALEDB, Engine, find_engines

Connection = AsyncConnection[TupleRow]
_TIMESCALEDB_VERSION = "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is removed at the end. Other users may enter it: root's PostgreSQL runs as another user."""
    folder = Path(tempfile.mkdtemp(prefix="sla-bench-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Database(NamedTuple):
    """A migrated database. `server_pid` is None if the benchmark did not start the server: its CPU time is unknown."""

    url: str
    engine: str
    server_pid: int | None

    async def connect(self) -> Connection:
        return await connect(self.url, application="sla-monitor bench")


class _Server(NamedTuple):
    url: str
    pid: int | None


class Databases:
    """Starts the server of an engine when a database on it is first needed, and stops all servers on exit."""

    def __init__(self, *, fsync: bool = True) -> None:
        self.fsync = fsync
        self._engines = {engine.name: engine for engine in find_engines()}
        self._servers: dict[str, _Server] = {}
        self.versions: dict[str, str] = {}
        """The versions of PostgreSQL and TimescaleDB, by engine, of the servers that were started."""
        self._stack = AsyncExitStack()

    @property
    def engines(self) -> tuple[str, ...]:
        """The names of the engines; TimescaleDB is the first if it is installed."""
        return tuple(self._engines)

    async def __aenter__(self) -> "Databases":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def migrated(self, engine: str | None = None) -> AsyncIterator[Database]:
        """A new, migrated database, which is dropped at the end. The default is the first engine."""
        name = engine or self.engines[0]
        server = await self._server(name)
        database = f"sla_bench_{secrets.token_hex(4)}"
        await _execute(
            server.url, SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(database)).as_string()
        )
        url = urlsplit(server.url)._replace(path=f"/{database}").geturl()
        try:
            await migrate(url, Settings())
            yield Database(url, name, server.pid)
        finally:
            drop = SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(database)).as_string()
            await _execute(server.url, drop)

    async def _server(self, name: str) -> _Server:
        if name not in self._servers:
            self._servers[name] = await self._start(self._engines[name])
            self.versions[name] = await _version(self._servers[name].url)
        return self._servers[name]

    async def _start(self, engine: Engine) -> _Server:
        """Starts a server without TimescaleDB's background workers: their policies would run during measurements. The
        groups that measure the work of a policy do it themselves."""
        embedded = engine.source == "embedded"
        if not embedded and not engine.source.startswith("/"):  # TEST_DATABASE_URL, or Docker
            return _Server(self._stack.enter_context(engine.run()), None)
        folder = self._stack.enter_context(temporary_folder())
        settings = {**({} if self.fsync else EPHEMERAL), **({} if embedded else TIMESCALEDB)}
        programs = None if embedded else Path(engine.source)
        server = await self._stack.enter_async_context(
            local_postgresql(folder, bin_folder=programs, extra_settings=settings)
        )
        return _Server(server.admin_url, server.pid)


async def _version(url: str) -> str:
    async with await connect(url, application="sla-monitor bench") as connection:
        server = await (await connection.execute("SHOW server_version")).fetchone()
        timescaledb = await (await connection.execute(_TIMESCALEDB_VERSION)).fetchone()
    assert server is not None
    return f"PostgreSQL {server[0]}" + (f", TimescaleDB {timescaledb[0]}" if timescaledb else "")


async def _execute(url: str, statement: str) -> None:
    async with await connect(url, application="sla-monitor bench") as connection:
        await connection.execute(statement.encode())
