"""Sends HTTP requests with any request line and headers. A client library would normalise or refuse them."""

from collections.abc import Mapping
from typing import NamedTuple

import anyio
from anyio.abc import ByteStream

PATIENCE_S = 120.0


class RawResponse(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


async def send_request(
    port: int, method: str, target: str | bytes, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> RawResponse:
    """Sends one request on a connection of its own and returns the response."""
    target = target.encode() if isinstance(target, str) else target
    fields = {"Host": "127.0.0.1", "Connection": "close", **(headers or {})}
    if body:
        fields = {"Content-Type": "application/json", **fields, "Content-Length": str(len(body))}
    lines = [method.encode() + b" " + target + b" HTTP/1.1"]
    lines += [f"{name}: {value}".encode() for name, value in fields.items()]
    with anyio.fail_after(PATIENCE_S):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            return parse(await receive_all(stream))


async def receive_all(stream: ByteStream) -> bytes:
    received = b""
    try:
        while True:
            received += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return received


def parse(received: bytes) -> RawResponse:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return RawResponse(int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}, body)
