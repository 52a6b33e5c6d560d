"""The messages between the benchmark and a program that it starts.

Each message is one JSON value on one line. The first line to the program is its arguments, and its first response means
that it is ready. Each further line is a request with one response. The program ends when its stdin is closed.

Times in messages are those of time.monotonic(), which is one clock for all processes of a machine (Linux).
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

MAX_LINE_BYTES = 16 * 1024 * 1024


async def requests() -> AsyncIterator[Any]:
    """The requests, until stdin is closed."""
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def arguments() -> dict[str, Any]:
    """The arguments of the program. They are read without a buffer, which could take the first request as well."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as raw:
        read: dict[str, Any] = json.loads(raw.readline())
    return read


def respond(value: object) -> None:
    print(json.dumps(value), flush=True)
