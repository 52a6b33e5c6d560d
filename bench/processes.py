"""Starts and stops the processes of the benchmark, and exchanges messages with them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from bench.programs.messages import MAX_LINE_BYTES
from sla_monitor.settings import ENVIRONMENT

ROOT = Path(__file__).parents[1]
RESPONSE_TIMEOUT_S = 120
STOP_TIMEOUT_S = 12
SLA_MONITOR = (sys.executable, "-m", "sla_monitor.command.cli")


class ChildError(Exception):
    """A process ended, or did not respond in time. The message contains the last lines of the log of the process."""


class Child:
    """A running process. Its stdout is read line by line."""

    def __init__(self, process: Process, name: str, log: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.pid = process.pid
        self._name = name
        self._log = log
        self._lines = BufferedByteReceiveStream(process.stdout)

    async def line(self, timeout_s: float = RESPONSE_TIMEOUT_S) -> str:
        """The next line of stdout. Raises ChildError at the timeout and if the process has ended."""
        try:
            with anyio.fail_after(timeout_s):
                return (await self._lines.receive_until(b"\n", MAX_LINE_BYTES)).decode()
        except (TimeoutError, anyio.EndOfStream, anyio.IncompleteRead) as error:
            log = self._log.read_text(errors="replace").strip().splitlines()[-3:]
            message = f"{self._name}: {type(error).__name__}; its log: {' | '.join(log) or 'empty'}"
            raise ChildError(message) from error

    async def request(self, timeout_s: float = RESPONSE_TIMEOUT_S, **request: object) -> Any:
        """Sends a request to a program of bench.programs and returns its response."""
        assert self.process.stdin is not None
        await self.process.stdin.send(json.dumps(request).encode() + b"\n")
        return json.loads(await self.line(timeout_s))


@asynccontextmanager
async def running(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Child]:
    """Runs a command until the end of the block. Its log is a file in `folder`.

    At the end it gets SIGTERM, and SIGKILL if it is still running after STOP_TIMEOUT_S.
    """
    name = str(command[-1]).removeprefix("bench.programs.").strip("-").partition("=")[0]
    log = folder / f"{name}.log"
    with log.open("ab") as errors:
        process = await anyio.open_process(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stderr=errors,
            env={**_environment_without_settings(), **(environment or {})},
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
async def running_program(name: str, folder: Path, **arguments: object) -> AsyncIterator[tuple[Child, Any]]:
    """Runs `bench.programs.<name>`. Yields the process and its first response, which it sends when it is ready."""
    async with running((sys.executable, "-m", f"bench.programs.{name}"), folder) as child:
        yield child, await child.request(RESPONSE_TIMEOUT_S, **arguments)


def _environment_without_settings() -> dict[str, str]:
    """The environment of this process without the settings of an installation, which would change the results."""
    settings = {variable.name for variable in ENVIRONMENT.values()}
    return {name: value for name, value in os.environ.items() if name not in settings}


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(STOP_TIMEOUT_S):
        await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
