"""An HTTP client that keeps connections open and sends the next request on each as soon as it has a response."""

import asyncio
import itertools
import re
import time

import uvloop

from bench.programs.messages import arguments, requests, respond

_CHUNK_SIZE = re.compile(rb"\r\n[0-9a-f]+\r\n")
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    def __init__(self, load: "Load") -> None:
        self._load = load
        self._response = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop passes this class
        self.transport = transport
        self._load.connections.append(self)

    def send_request(self) -> None:
        self.transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        self._response += data
        head, has_head, body = self._response.partition(b"\r\n\r\n")
        if not has_head:
            return
        length = _CONTENT_LENGTH.search(head)
        complete = len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")
        if complete:
            self._load.count(self._response)
            self._response = b""
            if self._load.continues():
                self.send_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost += 1


class Load:
    """The state that all connections share. A response without the text `expect` counts as failed."""

    def __init__(self, host: str, paths: list[str], expect: str, headers: str = "") -> None:
        texts = [f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n" for path in paths]
        self._requests = itertools.cycle([text.encode() for text in texts])
        self._expect = expect.encode()
        self._deadline = 0.0
        self._active = 0
        self._finished = asyncio.Event()
        self.connections: list[_Connection] = []
        self.done = self.failed = self.lost = 0

    def next_request(self) -> bytes:
        return next(self._requests)

    def count(self, response: bytes) -> None:
        good = self._expect in _CHUNK_SIZE.sub(b"", response)
        self.done += good
        self.failed += not good

    def continues(self) -> bool:
        """Whether a connection sends another request. If not, it is counted as finished."""
        if time.monotonic() < self._deadline:
            return True
        self._active -= 1
        if self._active == 0:
            self._finished.set()
        return False

    async def run(self, seconds: float) -> None:
        """Sends requests for this time and returns when the last responses have arrived."""
        self._deadline = time.monotonic() + seconds
        self._active = len(self.connections)
        self._finished.clear()
        for connection in self.connections:
            connection.send_request()
        async with asyncio.timeout(seconds + 30):
            await self._finished.wait()


async def main(host: str, port: int, paths: list[str], concurrency: int, expect: str, headers: str = "") -> None:
    """`headers` are additional header lines, each with its line break. A request is a number of seconds. The response
    is the number of good and failed responses, the number of lost connections, and the duration in seconds."""
    load = Load(host, paths, expect, headers)
    for _ in range(concurrency):
        await asyncio.get_running_loop().create_connection(lambda: _Connection(load), host, port)
    respond({})
    async for request in requests():
        done, failed, began = load.done, load.failed, time.perf_counter()
        await load.run(request["seconds"])
        took = time.perf_counter() - began
        respond({"done": load.done - done, "failed": load.failed - failed, "seconds": took, "lost": load.lost})


if __name__ == "__main__":
    uvloop.run(main(**arguments()))
