"""The lag of the event loop."""

from collections.abc import Callable

import anyio

INTERVAL_S = 0.5


async def watch_loop(observe: Callable[[float], object]) -> None:
    """Calls `observe` every `INTERVAL_S` with the seconds by which the loop resumed this task too late. All timers of
    the process are late by as much. Never returns."""
    while True:
        due = anyio.current_time() + INTERVAL_S
        await anyio.sleep(INTERVAL_S)
        observe(max(0.0, anyio.current_time() - due))
