"""The API as a process of its own, and a client of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import httpx
from anyio.abc import ByteStream

from bench.children import PROGRAM, Child, free_port, running
from bench.databases import Database
from bench.exposition import answers
from bench.run import Run, until

STATUS = "/api/system-status"


@asynccontextmanager
async def api(run: Run, database: Database, **settings: str) -> AsyncIterator[tuple[Child, int]]:
    """`sla-monitor api` and its port, once it is ready; `settings` are environment variables."""
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
    async with running([*PROGRAM, "api"], run.folder, environment) as child:
        await until(partial(answers, port), "the API's port")
        await until(partial(_ready, port), "/ready")
        yield child, port


async def _ready(port: int) -> bool:
    return (await get(port, "/ready")).status_code == 200


async def get(port: int, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}", headers={"accept-encoding": "identity"})


class Asker:
    """One persistent connection that repeats one request, with less overhead than a client library."""

    def __init__(self, stream: ByteStream, port: int) -> None:
        self._stream = stream
        self._host = f"127.0.0.1:{port}"

    async def ask(self) -> bytes:
        """The whole status answer."""
        status, body = await self.get(STATUS)
        assert status == 200, status
        return body

    async def get(self, path: str) -> tuple[int, bytes]:
        """The status code and the whole answer."""
        await self._stream.send(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        answer = b""
        while True:
            answer += await self._stream.receive(1 << 20)
            head, found, body = answer.partition(b"\r\n\r\n")
            if found and len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
                return int(head.split(b" ", 2)[1]), body


@asynccontextmanager
async def asker(port: int) -> AsyncIterator[Asker]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield Asker(stream, port)
