"""A proxy in front of PostgreSQL that makes connections fail as a network does: aborted, refused, silent, or without
the response to a COMMIT."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit


class DatabaseProxy:
    """Clients connect to `url` within the block of `serve`. A change applies to open and to new connections at once."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        query = parse_qs(parts.query)
        self._target_host = query.get("host", [parts.hostname or ""])[0]
        self._target_port = int(query.get("port", [str(parts.port or 5432)])[0])
        self._parts = parts
        self._writers: set[asyncio.StreamWriter] = set()
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        self.refusing = False
        self.lose_next_commit = False
        """If True, the next COMMIT is forwarded to the server, and all connections are aborted instead of forwarding
        its response."""
        self.commits_lost = 0
        self.connections = 0
        self._losing_commit = False
        self.url = ""

    def disconnect(self) -> None:
        """Aborts all open connections and refuses new ones."""
        self.refusing = True
        self.break_connections()

    def restore(self) -> None:
        """Ends `disconnect` and `blackhole`."""
        self.refusing = False
        self._forwarding.set()

    def blackhole(self) -> None:
        """Keeps connections open and forwards nothing."""
        self._forwarding.clear()

    def break_connections(self) -> None:
        """Aborts all open connections. New ones are accepted."""
        for writer in self._writers:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["DatabaseProxy"]:
        with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
            server = await asyncio.start_unix_server(self._connected, Path(folder) / ".s.PGSQL.5432")
            user_info = self._parts.netloc.rpartition("@")[0]
            query = urlencode({"host": folder, "port": 5432})
            self.url = f"postgresql://{user_info}@{self._parts.path}?{query}"
            try:
                yield self
            finally:
                server.close()
                self._forwarding.set()
                self.break_connections()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        self.connections += 1
        socket = Path(self._target_host) / f".s.PGSQL.{self._target_port}"
        if self._target_host.startswith("/"):
            up_reader, up_writer = await asyncio.open_unix_connection(socket)
        else:
            up_reader, up_writer = await asyncio.open_connection(self._target_host, self._target_port)
        self._writers |= {writer, up_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, up_writer, towards_server=True))
                group.create_task(self._pump(up_reader, writer, towards_server=False))
        except* OSError:
            pass
        finally:
            self._writers -= {writer, up_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, towards_server: bool) -> None:
        while data := await reader.read(65536):
            await self._forwarding.wait()
            if towards_server and b"COMMIT\0" in data and self.lose_next_commit:
                self.lose_next_commit = False
                self.commits_lost += 1
                self._losing_commit = True
            elif not towards_server and self._losing_commit:
                self._losing_commit = False
                self.break_connections()
                return
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
