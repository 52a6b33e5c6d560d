"""How late the event loop is."""

from collections.abc import Callable

import anyio

INTERVAL_S = 0.5


async def watch_loop(observe: Callable[[float], object]) -> None:
    """Reports how many seconds late the loop gets to what is due: everything timed in this process is off by as much.
    Never returns."""
    while True:
        due = anyio.current_time() + INTERVAL_S
        await anyio.sleep(INTERVAL_S)
        observe(max(0.0, anyio.current_time() - due))
