"""`sla-monitor report`: the SLA report of a period as a table on the terminal, or as a file."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from anyio import to_thread
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from api.rest.errors import ApiError
from api.rest.moments import read_moment
from sla_monitor.command.installation import installation
from sla_monitor.command.report_table import table
from sla_monitor.reports import gathering
from sla_monitor.reports.formats import FORMATS, Format, render
from sla_monitor.reports.request import ReportProblem, read_request
from sla_monitor.reports.structure import Report, ReportScope
from sla_monitor.settings import Settings, StartError
from sql import Pool, open_pool

APPLICATION = "sla-monitor report"
SILENT_S = 1.0
"""The progress bar appears after this time."""
BINARY = frozenset({"xlsx", "pdf"})


class ReportError(StartError):
    """The arguments are invalid, or the file cannot be written. The text is one line."""

    exit_code = 2


async def report(settings: Settings, args: argparse.Namespace) -> None:
    """Prints the report, or writes it to a file. Raises ReportError."""
    form = _form(args)
    with _progress(gathering.STEPS + 1) as progress:
        async with (
            installation(settings, APPLICATION) as (url, _),
            open_pool(url, application=APPLICATION, max_size=1) as pool,
        ):
            found = await _gather(pool, args, settings.site_title, progress)
        if form == "table":
            content = table(found, args.lang, sys.stdout.isatty() and args.output is None).encode()
        else:
            content = await to_thread.run_sync(render, found, cast(Format, form), args.lang)
        progress()
    if args.output is not None:
        await to_thread.run_sync(_write, Path(args.output), content)
        print(f"report written to {args.output}")
    elif form in BINARY:
        sys.stdout.buffer.write(content)
    else:
        print(content.decode(), end="")


def _form(args: argparse.Namespace) -> str:
    """The format: the chosen one, that of the file's name, or a table."""
    form: str = args.format or (Path(args.output).suffix.removeprefix(".") if args.output else "table")
    if form not in ("table", *FORMATS):
        raise ReportError(f"the format of {args.output} is unknown: choose one with --format")
    if form in BINARY and args.output is None and sys.stdout.isatty():
        raise ReportError(f"{form} is not for a terminal: name a file with --output")
    return form


async def _gather(pool: Pool, args: argparse.Namespace, site: str, progress: gathering.Progress) -> Report:
    scope = ReportScope(args.service, args.group, args.tag, public=args.public)
    try:
        as_of = read_moment("as-of", args.as_of)
        wanted = read_request(args.period, args.from_, args.to, scope, as_of, (await gathering.clock(pool)).today)
        return await gathering.gather(pool, wanted, site, progress)
    except ApiError as error:
        raise ReportError(str(error)) from None
    except ReportProblem as problem:
        raise ReportError(str(problem)) from None


@contextmanager
def _progress(steps: int) -> Iterator[gathering.Progress]:
    """A function that counts a step, and a bar on the terminal if it takes longer than SILENT_S."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("report"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn(),
        console=console, transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip
    task = bar.add_task("report", total=steps)

    appearance = asyncio.get_running_loop().call_later(SILENT_S, bar.start)
    try:
        yield lambda: bar.advance(task)
    finally:
        appearance.cancel()
        bar.stop()


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from None
