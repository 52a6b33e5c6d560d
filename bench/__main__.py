"""`python -m bench [GROUP ...]`: measures all groups or the given ones and prints one table."""

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

from bench import document
from bench.databases import Databases, temporary_folder
from bench.groups import aggregates, api, feed, ingest, pages, pipeline, prober, reads, sla, start, storage, sustained
from bench.report import FAILED, Result, failed, table
from bench.run import Run
from bench.scale import FULL, TINY, Scale

GROUPS: dict[str, Callable[[Run], AsyncIterator[Result]]] = {
    "prober": prober.measure,
    "punctuality": prober.measure_punctuality,
    "pipeline": pipeline.measure,
    "ingest": ingest.measure,
    "aggregates": aggregates.measure,
    "storage": storage.measure,
    "reads": reads.measure,
    "sla": sla.measure,
    "api": api.measure,
    "pages": pages.measure,
    "feed": feed.measure,
    "start": start.measure,
    "sustained": sustained.measure,
}
NOT_BY_DEFAULT = ("sustained",)
"""Measured only if it is named on the command line, or with --full."""
CLOSING = "Ratios are medians over alternating rounds, with the lowest and the highest in parentheses."


async def measure(names: Sequence[str], scale: Scale, databases: Databases, folder: Path) -> list[Result]:
    """The results of the groups, in the given order. An error ends its group only and becomes a failed result."""
    results: list[Result] = []
    run = Run(scale, databases, folder)
    for name in names:
        began = time.monotonic()
        try:
            async for result in GROUPS[name](run):
                results.append(result)
                _log(f"{name}: {result.title}: {result.measured} {result.ratio} {result.verdict}")
        except Exception as error:  # the other groups are still measured
            reason = "; ".join(" ".join(f"{type(each).__name__}: {each}".split()) for each in _causes(error))[:300]
            results.append(failed(f"{name}: the other results", reason))
            _log(f"{name}: {reason}")
        _log(f"{name}: {time.monotonic() - began:.0f} s")
    return results


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _causes(error: Exception) -> list[Exception]:
    """The errors in an exception group, or the error itself."""
    if isinstance(error, ExceptionGroup):
        return [cause for each in error.exceptions for cause in _causes(each)]
    return [error]


async def _main(names: Sequence[str], scale: Scale, output: Path | None) -> int:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    began = time.monotonic()
    with temporary_folder() as folder:
        async with Databases(fsync=scale != TINY) as databases:
            results = await measure(names, scale, databases, folder)
            engines, versions = ", ".join(databases.engines), databases.versions
    print(table(results))
    print(
        f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Linux {platform.release()}, Python {platform.python_version()}; engines: {engines}; "
        f"fsync {'on' if databases.fsync else 'off'}.\n{CLOSING}"
    )
    if output is not None:
        for title in document.write(output, results, document.facts(versions), CLOSING):
            _log(f"{output} does not explain what limits: {title}")
    return 1 if any(result.verdict == FAILED for result in results) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures and prints one table.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="one of: " + " ".join(GROUPS))
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--full", action="store_true", help="longer measurements and the group sustained: over an hour")
    sizes.add_argument("--tiny", action="store_true", help="sizes that only test that the benchmark works")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also writes the results to a Markdown file")
    args = parser.parse_args()
    if unknown := [name for name in args.groups if name not in GROUPS]:
        parser.error(f"there is no group {unknown[0]}; the groups are {' '.join(GROUPS)}")
    names = args.groups or [name for name in GROUPS if args.full or name not in NOT_BY_DEFAULT]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        scale = FULL if args.full else TINY if args.tiny else Scale()
        return runner.run(_main(names, scale, args.output))


if __name__ == "__main__":
    sys.exit(main())
