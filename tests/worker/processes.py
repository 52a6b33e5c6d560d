"""`sla-monitor worker` as a process."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from tests.e2e.program import environment, free_ports

PATIENCE_S = 120.0


class Worker:
    """One that is running, and what it reports."""

    def __init__(self, database_url: str, log: Path, **variables: str) -> None:
        self.port = free_ports()[0]
        self._log = log.open("ab+")
        own = {"DATABASE_URL": database_url, "WORKER_PORT": str(self.port)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sla_monitor.command.cli", "worker"],
            stderr=self._log,
            env=environment(**own | variables),
        )

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; 0 where there is no response."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    async def answers(self, path: str, condition: Callable[[int, str], bool], patience_s: float = PATIENCE_S) -> None:
        """Returns when the response to a GET fulfils the condition."""
        with anyio.fail_after(patience_s):
            while not condition(*await anyio.to_thread.run_sync(self.get, path)):
                assert self.process.poll() is None, self.log()
                await anyio.sleep(0.05)

    async def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await anyio.to_thread.run_sync(lambda: self.process.wait(PATIENCE_S))

    def pause(self) -> None:
        """It hangs: its connections stay open."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()


@contextmanager
def worker(database_url: str, folder: Path, name: str = "worker", **variables: str) -> Iterator[Worker]:
    running = Worker(database_url, folder / f"{name}.log", **variables)
    try:
        yield running
    finally:
        running.close()
