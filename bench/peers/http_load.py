"""A client that asks as fast as it is answered: kept connections, one request at a time on each."""

import asyncio
import itertools
import re
import time

import uvloop

from bench.peers.talk import answer, arguments, questions

_CHUNK = re.compile(rb"\r\n[0-9a-f]+\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class _Client(asyncio.Protocol):
    def __init__(self, load: "Load") -> None:
        self._load = load
        self._answer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop's are that in deed
        self.transport = transport
        self._load.clients.append(self)

    def ask(self) -> None:
        self.transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return
        length = _LENGTH.search(head)
        whole = len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")
        if whole:
            self._load.count(self._answer)
            self._answer = b""
            if self._load.going():
                self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost += 1


class Load:
    """What all connections share. Answers that lack `expect` count as failed."""

    def __init__(self, host: str, paths: list[str], expect: str, head: str = "") -> None:
        asked = [f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n" for path in paths]
        self._requests = itertools.cycle([request.encode() for request in asked])
        self._expect = expect.encode()
        self.clients: list[_Client] = []
        self.deadline = 0.0
        self.done = self.failed = self.lost = 0
        self._running = 0
        self.idle = asyncio.Event()

    def next_request(self) -> bytes:
        return next(self._requests)

    def count(self, whole: bytes) -> None:
        good = self._expect in _CHUNK.sub(b"", whole)
        self.done += good
        self.failed += not good

    def going(self) -> bool:
        if time.monotonic() < self.deadline:
            return True
        self._running -= 1
        if self._running == 0:
            self.idle.set()
        return False

    async def run(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self._running = len(self.clients)
        self.idle.clear()
        for client in self.clients:
            client.ask()
        async with asyncio.timeout(seconds + 30):
            await self.idle.wait()


async def main(host: str, port: int, paths: list[str], concurrency: int, expect: str, head: str = "") -> None:
    """Each question is a number of seconds; the answer is how many good answers came in what time. `head` is what each
    request says besides, in whole lines."""
    load = Load(host, paths, expect, head)
    for _ in range(concurrency):
        await asyncio.get_running_loop().create_connection(lambda: _Client(load), host, port)
    answer({})
    async for question in questions():
        done, failed, began = load.done, load.failed, time.perf_counter()
        await load.run(question["seconds"])
        took = time.perf_counter() - began
        answer({"done": load.done - done, "failed": load.failed - failed, "seconds": took, "lost": load.lost})


if __name__ == "__main__":
    uvloop.run(main(**arguments()))
