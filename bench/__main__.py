"""`python -m bench [GROUP ...]`: measures all groups, or some, and prints one table."""

import argparse
import asyncio
import os
import platform
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import uvloop

from bench import aggregates, api, document, feed, ingest, pages, pipeline, prober, reads, start, storage, sustained
from bench.databases import Databases, temporary_folder
from bench.report import FAILED, Line, failed, table
from bench.run import Run
from bench.scale import FULL, TINY, Scale

GROUPS: dict[str, Callable[[Run], AsyncIterator[Line]]] = {
    "prober": prober.lines,
    "punctuality": prober.punctuality,
    "pipeline": pipeline.lines,
    "ingest": ingest.lines,
    "aggregates": aggregates.lines,
    "storage": storage.lines,
    "reads": reads.lines,
    "api": api.lines,
    "pages": pages.lines,
    "feed": feed.lines,
    "start": start.lines,
    "sustained": sustained.lines,
}
CLOSING = "Ratios are medians of alternating rounds, in brackets the least and the greatest."
LONG = ("sustained",)
"""Measured when they are asked for by name, and with --full."""


async def measure(names: Sequence[str], scale: Scale, databases: Databases, folder: Path) -> list[Line]:
    """The lines of the groups, in their order. A group that fails says why and does not take the others with it."""
    lines: list[Line] = []
    run = Run(scale, databases, folder)
    for name in names:
        began = time.monotonic()
        try:
            async for line in GROUPS[name](run):
                lines.append(line)
                print(f"{name}: {line.what}: {line.ours} {line.ratio} {line.verdict}", file=sys.stderr, flush=True)
        except Exception as error:  # what was measured before must not be lost
            reason = "; ".join(" ".join(f"{type(each).__name__}: {each}".split()) for each in _parts(error))[:300]
            lines.append(failed(f"{name}: the rest", reason))
            print(f"{name}: {reason}", file=sys.stderr, flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return lines


def _parts(error: Exception) -> list[Exception]:
    """What a task group has gathered, or the error itself."""
    if isinstance(error, ExceptionGroup):
        return [part for each in error.exceptions for part in _parts(each)]
    return [error]


async def _main(names: Sequence[str], scale: Scale, output: Path | None) -> int:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    began = time.monotonic()
    with temporary_folder() as folder:
        async with Databases(fsync=scale != TINY) as databases:
            lines = await measure(names, scale, databases, folder)
            engines, versions = ", ".join(databases.engines), databases.versions
    print(table(lines))
    print(
        f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Linux {platform.release()}, Python {platform.python_version()}; engines: {engines}; "
        f"fsync {'on' if databases.fsync else 'off'}.\n{CLOSING}"
    )
    if output is not None:
        for what in document.write(output, lines, document.facts(versions), CLOSING):
            print(f"{output} does not say what limits: {what}", file=sys.stderr)
    return 1 if any(line.verdict == FAILED for line in lines) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the targets, prints one table.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="some of: " + " ".join(GROUPS))
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--full", action="store_true", help="larger sizes, and the group sustained: more than an hour")
    sizes.add_argument("--tiny", action="store_true", help="sizes that only show that everything works")
    parser.add_argument("--output", type=Path, metavar="FILE", help="writes a document in Markdown too")
    args = parser.parse_args()
    if unknown := [name for name in args.groups if name not in GROUPS]:
        parser.error(f"there is no group {unknown[0]}; there are {' '.join(GROUPS)}")
    names = args.groups or [name for name in GROUPS if args.full or name not in LONG]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        scale = FULL if args.full else TINY if args.tiny else Scale()
        return runner.run(_main(names, scale, args.output))


if __name__ == "__main__":
    sys.exit(main())
