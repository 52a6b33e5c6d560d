"""The end of a program: nothing that a library still has in the background holds it up."""

import asyncio
from collections.abc import Coroutine
from typing import Any

PATIENCE_S = 1.0
STEP_S = 0.05


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Awaits `work`, then ends the tasks that are left, those of connection pools for example. One that takes a
    cancellation for a reason to wait (psycopg asks a database that may be silent to cancel the statement, for up to
    10 s) is cancelled again."""
    try:
        await work
    finally:
        until = asyncio.get_running_loop().time() + PATIENCE_S
        left = asyncio.all_tasks() - {asyncio.current_task()}
        while left and asyncio.get_running_loop().time() < until:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=STEP_S)
