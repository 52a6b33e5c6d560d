"""Runs `sla-monitor worker` and `sla-monitor prober` as processes. Reads their HTTP endpoints and logs."""

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from tests.e2e.program import COMMAND, environment
from tests.pauses import pauses
from tests.ports import free_port

TIMEOUT_S = 120.0


class ServiceProcess:
    """A running `sla-monitor <command>`. `port` is that of its /health, /ready and /metrics."""

    def __init__(self, command: str, port: int, log: Path, **variables: str) -> None:
        self.port = port
        self._log = log.open("ab+")
        self.process = subprocess.Popen([*COMMAND, command], stderr=self._log, env=environment(**variables))

    def get(self, path: str) -> tuple[int, str]:
        """Returns the status and the body of the response to a GET, or status 0 and an empty body if there is no
        response."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    async def wait_for(self, path: str, condition: Callable[[int, str], bool], timeout_s: float = TIMEOUT_S) -> None:
        """Repeats a GET until the status and the body of the response meet the condition. Fails if the process ends, or
        with TimeoutError after `timeout_s`."""
        with anyio.fail_after(timeout_s):
            for pause_s in pauses():
                if condition(*await anyio.to_thread.run_sync(self.get, path)):
                    return
                assert self.process.poll() is None, self.log()
                await anyio.sleep(pause_s)

    async def wait_until_ready(self, timeout_s: float = TIMEOUT_S) -> None:
        await self.wait_for("/ready", lambda status, _: status == 200, timeout_s)

    async def exit_code(self) -> int:
        """Waits until the process has ended, and returns its exit code."""
        return await anyio.to_thread.run_sync(lambda: self.process.wait(TIMEOUT_S))

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal, waits until the process has ended, and returns its exit code."""
        self.process.send_signal(number)
        return await self.exit_code()

    def pause(self) -> None:
        """Stops the process with SIGSTOP. Its connections stay open."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def log(self) -> str:
        """Returns the standard error output so far."""
        self._log.seek(0)
        return self._log.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()


@contextmanager
def running_worker(database_url: str, folder: Path, name: str = "worker", **variables: str) -> Iterator[ServiceProcess]:
    """Runs a worker. Its log is `<folder>/<name>.log`."""
    port = free_port()
    settings = {"DATABASE_URL": database_url, "WORKER_PORT": str(port)} | variables
    with closing(ServiceProcess("worker", port, folder / f"{name}.log", **settings)) as worker:
        yield worker


@contextmanager
def running_prober(database_url: str, home: Path, **variables: str) -> Iterator[ServiceProcess]:
    """Runs a prober with its spool and its log in the folder `home`."""
    port = free_port()
    settings = {"DATABASE_URL": database_url, "SLA_MONITOR_HOME": str(home), "WATCH_SERVER_PORT": str(port)} | variables
    with closing(ServiceProcess("prober", port, home / "prober.log", **settings)) as prober:
        yield prober
