"""How a process of the benchmark is asked and answers: one JSON value a line. It ends when its stdin does."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

MAX_LINE_BYTES = 16 * 1024 * 1024


async def questions() -> AsyncIterator[Any]:
    """What the parent asks, until it closes the pipe."""
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def arguments() -> dict[str, Any]:
    """The first line from the parent, read without a buffer: what comes after it is for `questions`."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as raw:
        told: dict[str, Any] = json.loads(raw.readline())
    return told


def answer(value: object) -> None:
    """One line back."""
    print(json.dumps(value), flush=True)
