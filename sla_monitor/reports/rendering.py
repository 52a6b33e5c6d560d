"""Renders reports in processes of their own: `python -m sla_monitor.reports.rendering pdf en`, with the structure as
JSON on the standard input.

A process that takes too long is killed, which is not possible with a thread. Few
reports are made at once, and few wait.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec

from sla_monitor.reports.formats import FORMATS, Format, render
from sla_monitor.reports.structure import Report
from sla_monitor.texts.languages import LANGUAGES, Language

AT_ONCE = 2
MOST_WAITING = 8
TIMEOUT_S = 12.0
"""The longest time of a process in a request, which has 15 s."""
IN_THIS_PROCESS: frozenset[Format] = frozenset({"json", "csv"})
"""Formats that take milliseconds."""
NICE = 10


class RendererBusy(Exception):  # noqa: N818  # it becomes a 503
    """MOST_WAITING reports wait for their turn."""


class RenderingFailed(Exception):  # noqa: N818  # it becomes a 503
    """The process took too long, or failed. The text is one line."""


class Renderer:
    """Renders reports. At most AT_ONCE reports are gathered and rendered at the same time."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._turns = anyio.CapacityLimiter(AT_ONCE)
        self._timeout_s = timeout_s

    @property
    def waiting(self) -> int:
        """The number of reports that wait for their turn."""
        return self._turns.statistics().tasks_waiting

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The turn to gather and render a report: its queries take connections that other requests need, too. Raises
        RendererBusy."""
        if self.waiting >= MOST_WAITING:
            raise RendererBusy
        async with self._turns:
            yield

    async def render(self, report: Report, form: Format, language: Language) -> bytes:
        """The report in a format. Raises RenderingFailed."""
        if form in IN_THIS_PROCESS:
            return await anyio.to_thread.run_sync(render, report, form, language)
        return await self._in_process(report, form, language)

    async def _in_process(self, report: Report, form: Format, language: Language) -> bytes:
        command = [sys.executable, "-m", __name__, form, language]
        try:
            with anyio.fail_after(self._timeout_s):
                ended = await anyio.run_process(command, input=msgspec.json.encode(report), check=False)
        except TimeoutError:
            raise RenderingFailed(f"the {form} took longer than {self._timeout_s:g} s") from None
        if ended.returncode != 0:
            lines = ended.stderr.decode(errors="replace").strip().splitlines()
            raise RenderingFailed(f"the {form} failed with code {ended.returncode}: {lines[-1] if lines else ''}")
        return ended.stdout


def main() -> None:
    """Renders the report of the standard input to the standard output, with a lower priority than the API."""
    form, language = sys.argv[1:]
    assert form in FORMATS and language in LANGUAGES
    os.nice(NICE)
    report = msgspec.json.decode(sys.stdin.buffer.read(), type=Report)
    sys.stdout.buffer.write(render(report, form, language))


if __name__ == "__main__":
    main()
