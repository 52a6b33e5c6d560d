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

from bench import aggregates, api, feed, ingest, pages, pipeline, prober, reads, start, storage
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
}


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
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            lines.append(failed(f"{name}: the rest", reason))
            print(f"{name}: {reason}", file=sys.stderr, flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return lines


async def _main(names: Sequence[str], scale: Scale) -> int:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    began = time.monotonic()
    with temporary_folder() as folder:
        async with Databases() as databases:
            lines = await measure(names, scale, databases, folder)
            engines = ", ".join(databases.engines)
    print(table(lines))
    print(
        f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Linux {platform.release()}, Python {platform.python_version()}; engines: {engines}; fsync on."
        "\nRatios are medians of alternating rounds, in brackets the least and the greatest."
    )
    return 1 if any(line.verdict == FAILED for line in lines) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the targets, prints one table.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="some of: " + " ".join(GROUPS))
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--full", action="store_true", help="larger sizes: half an hour")
    sizes.add_argument("--tiny", action="store_true", help="sizes that only show that everything works")
    args = parser.parse_args()
    if unknown := [name for name in args.groups if name not in GROUPS]:
        parser.error(f"there is no group {unknown[0]}; there are {' '.join(GROUPS)}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_main(args.groups or list(GROUPS), FULL if args.full else TINY if args.tiny else Scale()))


if __name__ == "__main__":
    sys.exit(main())
