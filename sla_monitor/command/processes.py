"""The API, the worker and the prober as child processes of `up` and `demo`: started, watched, restarted, stopped."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

import anyio
from anyio.abc import Process

from sla_monitor.settings import StartError

log = logging.getLogger(__name__)

STOP_PATIENCE_S = 11.0
"""A child ends within 10 s of SIGTERM; after this time it is killed."""
RESTART_PAUSES_S = (1.0, 30.0)
"""The pause before a crashed child is restarted: the first value, doubled after each early crash up to the second."""
PARENT = "SLA_MONITOR_PARENT"
"""The environment variable with the process id of `up`, set for its children."""
PR_SET_PDEATHSIG = 1
CANNOT_RUN = (1, 2)
"""Exit codes of a child that cannot run and has printed the reason. It is not restarted."""


class ChildError(StartError):
    """A part cannot run. It has printed the reason itself."""

    def __init__(self, part: str, code: int) -> None:
        super().__init__(f"the {part} cannot run: all programs are stopped")
        self.exit_code = code


def end_with_parent() -> None:
    """Makes a child of `up` receive SIGTERM when the parent ends, even by SIGKILL.

    It uses PR_SET_PDEATHSIG of prctl(2). On systems other than Linux the child must be stopped by hand.
    """
    parent = os.environ.get(PARENT)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # the parent ended before the call
        sys.exit(0)


async def keep_running(part: str, environment: Mapping[str, str]) -> None:
    """Runs `sla-monitor <part>` until cancelled, and restarts it after a crash. Raises ChildError if it cannot run.

    The child has a session of its own: Ctrl-C reaches this process only, which stops all parts in order.
    """
    command = [sys.executable, "-m", "sla_monitor.command.cli", part]
    pause_s, longest_s = RESTART_PAUSES_S
    while True:
        started = anyio.current_time()
        async with await anyio.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=None,
            stderr=None,
            env={**os.environ, **environment, PARENT: str(os.getpid())},
            start_new_session=True,
        ) as process:
            try:
                code = await process.wait()
            finally:
                if process.returncode is None:
                    with anyio.CancelScope(shield=True):
                        await _stop(process)
        if code in CANNOT_RUN:
            raise ChildError(part, code)
        lived_s = anyio.current_time() - started
        pause_s = RESTART_PAUSES_S[0] if lived_s > longest_s else pause_s
        log.error("the %s ended with code %d after %.0f s; it is restarted in %.0f s", part, code, lived_s, pause_s)
        await anyio.sleep(pause_s)
        pause_s = min(longest_s, 2 * pause_s)


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(STOP_PATIENCE_S):
        await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
