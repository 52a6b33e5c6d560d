"""HTTP as an attacker speaks it: the request line goes out as it is, no client tidies it up."""

from collections.abc import Mapping
from typing import NamedTuple

import anyio
from anyio.abc import ByteStream

PATIENCE_S = 120.0


class RawAnswer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    port: int, method: str, target: str | bytes, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> RawAnswer:
    """One request on a connection of its own."""
    target = target.encode() if isinstance(target, str) else target
    sent = {"Host": "127.0.0.1", "Connection": "close", **(headers or {})}
    if body:
        sent = {"Content-Type": "application/json", **sent, "Content-Length": str(len(body))}
    lines = [method.encode() + b" " + target + b" HTTP/1.1"]
    lines += [f"{name}: {value}".encode() for name, value in sent.items()]
    with anyio.fail_after(PATIENCE_S):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            return parse(await everything(stream))


async def everything(stream: ByteStream) -> bytes:
    received = b""
    try:
        while True:
            received += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return received


def parse(received: bytes) -> RawAnswer:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return RawAnswer(int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}, body)
