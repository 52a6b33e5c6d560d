"""Processes that the benchmark starts: their environment, their first words, their end."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from bench.peers.talk import MAX_LINE_BYTES
from sla_monitor.settings import ENVIRONMENT

ROOT = Path(__file__).parents[1]
ANSWER_PATIENCE_S = 120
STOP_PATIENCE_S = 12
PROGRAM = (sys.executable, "-m", "sla_monitor.command.cli")


class ChildError(Exception):
    """A process did not do what it was started for; its last words are in the text."""


class Child:
    """A running process; its stdout is read line by line."""

    def __init__(self, process: Process, name: str, log: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.pid = process.pid
        self._name = name
        self._log = log
        self._lines = BufferedByteReceiveStream(process.stdout)

    async def line(self, patience_s: float = ANSWER_PATIENCE_S) -> str:
        """The next line of its stdout. Raises ChildError when it is late or the process has ended."""
        try:
            with anyio.fail_after(patience_s):
                return (await self._lines.receive_until(b"\n", MAX_LINE_BYTES)).decode()
        except (TimeoutError, anyio.EndOfStream, anyio.IncompleteRead) as error:
            raise self.error(type(error).__name__) from error

    async def answer(self, patience_s: float = ANSWER_PATIENCE_S) -> Any:
        return json.loads(await self.line(patience_s))

    async def ask(self, patience_s: float = ANSWER_PATIENCE_S, **question: object) -> Any:
        """One question to a process of bench.peers, and its answer."""
        assert self.process.stdin is not None
        await self.process.stdin.send(json.dumps(question).encode() + b"\n")
        return await self.answer(patience_s)

    def error(self, what: str) -> ChildError:
        said = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        return ChildError(f"{self._name}: {what}; it said: {' | '.join(said) or 'nothing'}")


@asynccontextmanager
async def running(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Child]:
    """Runs a command until the end of the block; SIGTERM ends it, SIGKILL if that does not."""
    name = str(command[-1]).removeprefix("bench.peers.").strip("-").partition("=")[0]
    log = folder / f"{name}.log"
    with log.open("ab") as errors:
        process = await anyio.open_process(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stderr=errors,
            env={**_environment(), **(environment or {})},
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        yield Child(process, name, log)
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)
            await process.aclose()


@asynccontextmanager
async def peer(name: str, folder: Path, **arguments: object) -> AsyncIterator[tuple[Child, Any]]:
    """One of bench.peers, and what it says when it is ready."""
    async with running((sys.executable, "-m", f"bench.peers.{name}"), folder) as child:
        yield child, await child.ask(ANSWER_PATIENCE_S, **arguments)


def _environment() -> dict[str, str]:
    """Ours without the settings of an installation: what is measured is what the benchmark sets."""
    settings = {variable.name for variable in ENVIRONMENT.values()}
    return {name: value for name, value in os.environ.items() if name not in settings}


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(STOP_PATIENCE_S):
        await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
