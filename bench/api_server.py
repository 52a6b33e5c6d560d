"""Runs the API as a process, and sends it requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import httpx
from anyio.abc import ByteStream

from bench.databases import Database
from bench.metrics import accepts_connections
from bench.processes import SLA_MONITOR, Child, running
from bench.run import Run, wait_until
from tests.ports import free_port

STATUS = "/api/system-status"


@asynccontextmanager
async def running_api(run: Run, database: Database, **settings: str) -> AsyncIterator[tuple[Child, int]]:
    """Runs `sla-monitor api`. Yields the process and its port when it is ready. `settings`: environment variables."""
    port = free_port()
    environment = {
        "DATABASE_URL": database.url,
        "SLA_MONITOR_HOME": str(run.folder / f"home-{port}"),
        "PORT": str(port),
        "LOG_LEVEL": "warning",
        "RATE_LIMIT_API": "off",
        "RATE_LIMIT_PAGES": "off",
        "RATE_LIMIT_SOCKETS": "off",
        "SOCKETS_PER_ADDRESS": "100000",
        **settings,
    }
    async with running([*SLA_MONITOR, "api"], run.folder, environment) as child:
        await wait_until(partial(accepts_connections, port), "the port of the API")
        await wait_until(partial(_ready, port), "/ready of the API")
        yield child, port


async def _ready(port: int) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return (await client.get(f"http://127.0.0.1:{port}/ready")).status_code == 200


class PersistentConnection:
    """A persistent connection for many GET requests. It has less overhead than a client library."""

    def __init__(self, stream: ByteStream, port: int) -> None:
        self._stream = stream
        self._host = f"127.0.0.1:{port}"

    async def get_status(self) -> bytes:
        """Requests the system status and returns the body. Raises AssertionError for a status other than 200."""
        status, body = await self.get(STATUS)
        assert status == 200, status
        return body

    async def get(self, path: str) -> tuple[int, bytes]:
        """Requests a path. Returns the status code and the body."""
        await self._stream.send(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        response = b""
        while True:
            response += await self._stream.receive(1 << 20)
            head, complete, body = response.partition(b"\r\n\r\n")
            if complete and len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
                return int(head.split(b" ", 2)[1]), body


@asynccontextmanager
async def persistent_connection(port: int) -> AsyncIterator[PersistentConnection]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield PersistentConnection(stream, port)
