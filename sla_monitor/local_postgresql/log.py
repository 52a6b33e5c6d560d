"""The log of the local server: a bounded file."""

import os
from contextlib import suppress
from pathlib import Path

MAX_LOG_BYTES = 5 * 1024 * 1024


def keep_log(reading: int, log: Path) -> None:
    """Copies the server's stderr to `log` until all its processes have closed it, keeping one older file.

    It runs in a thread: a full pipe blocks every backend that logs, so a busy event loop must not delay the reading.
    Lines that cannot be written (the disk is full) are dropped for the same reason.
    """
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while chunk := pipe.read(65536):
            with suppress(OSError):
                if log.exists() and log.stat().st_size + len(chunk) > MAX_LOG_BYTES:
                    log.replace(log.with_name(f"{log.name}.1"))
                handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                with os.fdopen(handle, "wb") as file:
                    file.write(chunk)


def last_lines(log: Path, count: int = 8) -> str:
    """The last lines of the log, indented, for an error message."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        lines = []
    return "".join(f"\n  {line}" for line in lines) or " (empty)"
