"""Opens HTTP connections and keeps them open, and waits for their metrics."""

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import LiteralString

import anyio
import anyio.to_thread
import psycopg

from tests.api import raw
from tests.api.conftest import Api, until

LARGE = "/docs/swagger-ui-bundle.js"
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
INCIDENTS = b"GET /api/incidents HTTP/1.1\r\nHost: x\r\n\r\n"


async def metric(api: Api, series: str) -> float:
    """Returns the value of a series of /metrics, 0 if it is missing."""
    text = (await api.http.get("/metrics")).text
    return float(next((line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(series + " ")), "0"))


async def until_counted(api: Api, fault: str, least: int = 1) -> None:
    """Returns when at least `least` faults of this kind have been counted."""

    async def enough() -> bool:
        return await metric(api, f'sla_monitor_client_faults_total{{fault="{fault}"}}') >= least

    await until(enough)


class OpenConnections:
    """Opens connections from `address` whose client does not read. They are closed at the end of the block."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._port = port
        self._address = address
        self._stack = ExitStack()

    def __enter__(self) -> "OpenConnections":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, data: bytes) -> socket.socket:
        """Opens a connection and sends `data`."""
        one = self._stack.enter_context(socket.socket())
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(raw.PATIENCE_S)
        one.bind((self._address, 0))
        one.connect(("127.0.0.1", self._port))
        one.sendall(data)
        return one


def reset(one: socket.socket) -> None:
    """Closes the connection with a TCP reset."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


async def next_response(one: socket.socket) -> raw.RawResponse:
    """Returns the next response on this connection, with its body."""

    def read() -> raw.RawResponse:
        received = b""
        while b"\r\n\r\n" not in received:
            received += _receive(one)
        response = raw.parse(received)
        while len(response.body) < int(response.headers.get("content-length", "0")):
            response = response._replace(body=response.body + _receive(one))
        return response

    return await anyio.to_thread.run_sync(read)


def _receive(one: socket.socket) -> bytes:
    received = one.recv(65536)
    assert received, "the connection was closed"
    return received


async def status(one: socket.socket) -> int:
    """Returns the status of the next response on this connection."""
    return (await next_response(one)).status


@asynccontextmanager
async def locked(database: str, table: LiteralString = "incidents") -> AsyncIterator[None]:
    """Locks a table: requests that read it wait until the end of the block."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("LOCK TABLE " + table + " IN ACCESS EXCLUSIVE MODE")
        yield
        await connection.rollback()


async def until_requests_arrived(api: Api) -> None:
    """Returns when the API has read all requests that were sent before this call. It reads its connections in turn."""
    for _ in range(3):
        assert (await api.http.get("/health")).status_code == 200
