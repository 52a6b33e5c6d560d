"""The state of a run that every group of measurements gets, alternating rounds, and waiting for a condition."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import LiteralString

import anyio

from bench.databases import Databases
from bench.scale import Scale


@dataclass(frozen=True)
class RollupCosts:
    """The results of bench.rollup_costs on one engine. Costs are microseconds of the server's CPU time per raw row."""

    services: int
    refresh_us: list[float]
    """The cost of a refresh after each quarter of an hour: one figure per hour, so that each includes the end of an
    hour."""
    history_us: float
    """The cost of one refresh of the whole history."""
    late_ms: list[float]
    """The time from BEGIN to COMMIT of each late row."""
    compress_us: float | None
    """The cost of compression; None on an engine that does not compress."""


@dataclass(frozen=True)
class Run:
    """One run of the benchmark: its sizes, its databases, and a folder for the files of the processes it starts."""

    scale: Scale
    databases: Databases
    folder: Path
    rollup_costs: dict[str, RollupCosts | None] = field(default_factory=dict)
    """The costs by engine; None if the CPU time of its server is unknown. Two groups use the same measurement."""


@cache
def query(name: str) -> LiteralString:
    """The text of `bench/queries/<name>.sql`."""
    return files(__package__).joinpath("queries", f"{name}.sql").read_text("utf-8")


async def alternate(rounds: int, *measurements: Callable[[], Awaitable[float]]) -> list[list[float]]:
    """Takes every measurement once in each round. Returns one list of figures per measurement."""
    figures: list[list[float]] = [[] for _ in measurements]
    for _ in range(rounds):
        for measurement, taken in zip(measurements, figures, strict=True):
            taken.append(await measurement())
    return figures


async def duration_s(work: Awaitable[object]) -> float:
    """Awaits `work` and returns its duration in seconds."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def wait_until(condition: Callable[[], Awaitable[bool]], description: str, timeout_s: float = 30.0) -> None:
    """Evaluates the condition ten times a second until it is true. Raises TimeoutError with the description."""
    with anyio.move_on_after(timeout_s):
        while not await condition():  # noqa: ASYNC110  # the state of another process: there is no event
            await anyio.sleep(0.1)
        return
    raise TimeoutError(f"{description}: not within {timeout_s:g} s")
