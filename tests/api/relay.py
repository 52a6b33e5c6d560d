"""A TCP relay between the API and the database: a test can cut or stall the connections and restore them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Relay:
    """Forwards bytes in both directions until cut() or silence()."""

    def __init__(self, host: str, port: int) -> None:
        self.url = ""
        self._host = host
        self._port = port
        self._passing = asyncio.Event()
        self._passing.set()
        self._away = False
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Closes open connections, and new ones at once, as if the database had stopped."""
        self._away = True
        self._passing.set()
        for writer in self._writers:
            writer.transport.abort()

    def silence(self) -> None:
        """Stops forwarding without an error, as a network that drops all packets."""
        self._passing.clear()

    def restore(self) -> None:
        self._away = False
        self._passing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection until it ends."""
        if self._away:
            writer.transport.abort()
            return
        with suppress(OSError):
            server_reader, server_writer = await self._connect()
            both = {writer, server_writer}
            self._writers |= both
            await asyncio.gather(self._pump(reader, server_writer), self._pump(server_reader, writer))
            self._writers -= both

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        return await asyncio.open_connection(self._host, self._port)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._passing.wait()
                target.write(data)
                await target.drain()
        target.transport.abort()


@asynccontextmanager
async def relay_before(database_url: str) -> AsyncIterator[Relay]:
    """A relay whose `url` leads to the same database."""
    parameters = conninfo_to_dict(database_url)
    relay = Relay(str(parameters.get("host") or "127.0.0.1"), int(parameters.get("port") or 5432))
    server = await asyncio.start_server(relay.serve, "127.0.0.1")
    relay.url = make_conninfo(database_url, host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    try:
        yield relay
    finally:
        server.close()
        relay.cut()
