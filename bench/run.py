"""What every group of lines is given, and how rounds alternate."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

import anyio

from bench.databases import Databases
from bench.scale import Scale

if TYPE_CHECKING:
    from bench.steady import Steady


@dataclass(frozen=True)
class Run:
    """One run of the benchmark: its sizes, its databases, and a folder for what its processes write."""

    scale: Scale
    databases: Databases
    folder: Path
    steady: "dict[str, Steady | None]" = field(default_factory=dict)
    """By engine, what bench.steady has measured for the groups that need it."""


@cache
def query(name: str) -> LiteralString:
    """The text of `bench/queries/<name>.sql`."""
    return files(__package__).joinpath("queries", f"{name}.sql").read_text("utf-8")


async def alternate(rounds: int, *contenders: Callable[[], Awaitable[float]]) -> list[list[float]]:
    """Each contender's figures, taken in turns: ours, peer, ours, peer ..."""
    figures: list[list[float]] = [[] for _ in contenders]
    for _ in range(rounds):
        for contender, taken in zip(contenders, figures, strict=True):
            taken.append(await contender())
    return figures


async def seconds(work: Awaitable[object]) -> float:
    """How long something took."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def until(condition: Callable[[], Awaitable[bool]], what: str, patience_s: float = 30.0) -> None:
    """Asks ten times a second. Raises TimeoutError that says what never came."""
    with anyio.move_on_after(patience_s):
        while not await condition():  # noqa: ASYNC110  # another process's state: no event exists
            await anyio.sleep(0.1)
        return
    raise TimeoutError(f"{what}: not within {patience_s:g} s")
