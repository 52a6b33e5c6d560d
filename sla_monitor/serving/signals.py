"""SIGTERM and SIGINT: handled in the same way by every program."""

import os
import signal
from collections.abc import Callable

import anyio
from anyio.abc import TaskStatus


async def stop_on_signal(
    stop: Callable[[], object], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Calls `stop` at the first SIGTERM or SIGINT. The program must then end within 10 s. A second signal ends the
    process at once, by its default action. Never returns."""
    stopping = False
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if stopping:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            stopping = True
            stop()
