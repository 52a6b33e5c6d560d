"""Runs TCP checks."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import anyio

from prober.judge import Judgement
from prober.outcome import Outcome
from prober.probes import Engine, run_check
from prober.services import Service
from sla_monitor.checks.tcp import Tcp
from tests.prober import targets
from tests.prober.targets import Behaviour, serving

SLACK_S = 10.0
"""More time for a loaded machine. A check that never ends takes longer."""


async def check(
    probe_engine: Engine, port: int, host: str = "127.0.0.1", timeout_ms: int = 5000, **fields: Any
) -> tuple[Outcome, Judgement]:
    """`fields` are those of the service and of its configuration. Raises TimeoutError if the check takes too long."""
    times = {name: fields.pop(name) for name in ("retries", "degraded_after_ms") if name in fields}
    config = Tcp(host=host, port=port, **fields)
    service = Service(id="target", check_config=config, timeout_ms=timeout_ms, **times)
    with anyio.fail_after((1 + service.retries) * timeout_ms / 1000 + service.retries + SLACK_S):
        outcome, judgement, _ = await run_check(service, probe_engine)
    return outcome, judgement


async def check_behaviour(
    probe_engine: Engine, behaviour: Behaviour, tls: ssl.SSLContext | None = None, **fields: Any
) -> tuple[Outcome, Judgement]:
    async with serving(behaviour, tls) as port:
        return await check(probe_engine, port, tls=tls is not None, **fields)


def responding_to_a_line(received: list[bytes], response: bytes) -> Behaviour:
    """Reads a line, appends it to `received`, sends the response, and waits until the client closes the connection."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readline())
        writer.write(response)
        await writer.drain()
        await targets.hang(reader, writer)

    return behave


def greeting(*pieces: bytes, pause_s: float = 0.0, then: Callable[..., Any] = targets.hang) -> Behaviour:
    """Sends the pieces with a pause between them, and then behaves like `then`."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, piece in enumerate(pieces):
            await asyncio.sleep(pause_s if number else 0)
            writer.write(piece)
            await writer.drain()
        await then(reader, writer)

    return behave


async def close(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Closes the connection."""
