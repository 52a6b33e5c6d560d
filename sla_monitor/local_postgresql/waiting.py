"""Waiting for conditions of processes, and for the end of a process."""

import subprocess
from collections.abc import Callable

import anyio


async def until(condition: Callable[[], bool], *, timeout_s: float, period_s: float = 0.01) -> bool:
    """Polls `condition` every `period_s`; False if it does not hold within `timeout_s`.

    Processes are polled because that works for child and orphaned processes under both event loops: uvloop cannot start
    a child as another user, and only a parent can wait for a process.
    """
    with anyio.move_on_after(timeout_s):
        while not condition():  # noqa: ASYNC110  # no event exists, see above
            await anyio.sleep(period_s)
        return True
    return condition()


def ending(process: "subprocess.Popen[bytes]") -> str:
    """How a process ended, for an error message."""
    code = process.returncode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
