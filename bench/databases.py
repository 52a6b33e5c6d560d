"""The databases that are measured: every engine found (tests/engines.py), on servers of our own with fsync on; off at
the sizes that only show that everything works."""

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
    """Removed at the end, with all that is in it. Others may pass through it: root's server runs as another user."""
    folder = Path(tempfile.mkdtemp(prefix="sla-bench-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Database(NamedTuple):
    """A migrated database; `server_pid` is None on a server that is not ours, whose CPU cannot be told."""

    url: str
    engine: str
    server_pid: int | None

    async def connect(self) -> Connection:
        return await connect(self.url, application="sla-monitor bench")


class _Server(NamedTuple):
    url: str
    pid: int | None


class Databases:
    """Starts each engine's server when it is first asked for; to be entered with `async with`."""

    def __init__(self, *, fsync: bool = True) -> None:
        self.fsync = fsync
        self._engines = {engine.name: engine for engine in find_engines()}
        self._servers: dict[str, _Server] = {}
        self.versions: dict[str, str] = {}
        """In words, of the engines that were started."""
        self._stack = AsyncExitStack()

    @property
    def engines(self) -> tuple[str, ...]:
        """Their names, TimescaleDB first where it is there."""
        return tuple(self._engines)

    async def __aenter__(self) -> "Databases":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def migrated(self, engine: str | None = None) -> AsyncIterator[Database]:
        """A fresh database with the whole schema, dropped at the end of the block; by default on the first engine."""
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
        """Without TimescaleDB's background workers: policies that begin in mid-measurement would be noise, so what they
        do is measured where a line is about it."""
        embedded = engine.source == "embedded"
        if not embedded and not engine.source.startswith("/"):  # a URL that was given, or Docker
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
