"""The end of a program: tasks that libraries leave in the background are cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any

PATIENCE_S = 1.0
STEP_S = 0.05


async def run_and_cancel_rest(work: Coroutine[Any, Any, None]) -> None:
    """Awaits `work`, then cancels the remaining tasks, for example those of connection pools, for at most `PATIENCE_S`.
    A task is cancelled again each `STEP_S`, because psycopg catches a cancellation to send a cancel request, and waits
    up to 10 s for the response."""
    try:
        await work
    finally:
        until = asyncio.get_running_loop().time() + PATIENCE_S
        left = asyncio.all_tasks() - {asyncio.current_task()}
        while left and asyncio.get_running_loop().time() < until:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=STEP_S)
