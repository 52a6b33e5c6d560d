"""Runs `sla-monitor` as a process with its own environment, terminal and ports."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx

from sla_monitor.settings import ENVIRONMENT
from sla_monitor.settings.unknown import NO_LONGER_USED
from tests.pauses import pauses
from tests.ports import free_port, free_ports

COMMAND = (sys.executable, "-m", "sla_monitor.command.cli")
PATIENCE_S = 120.0
STOP_PATIENCE_S = 30.0
ONE_SHOT_PATIENCE_S = 120.0


def environment(**variables: str) -> dict[str, str]:
    """Returns the environment of this process without the settings of the program, plus these variables. WORKER_PORT is
    a free port by default."""
    names = {variable.name for variable in ENVIRONMENT.values()} | NO_LONGER_USED
    own = {name: value for name, value in os.environ.items() if name not in names}
    return own | {"WORKER_PORT": str(free_port())} | variables


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `sla-monitor` with these arguments until it ends. The variables are settings."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ONE_SHOT_PATIENCE_S,
        start_new_session=True,
    )


def plain_client(port: int) -> httpx.AsyncClient:
    """Returns an HTTP client for a port of this machine. It uses no proxy and does not verify certificates."""
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, trust_env=False, verify=False)


class Program:
    """A running `sla-monitor up`, `api`, `prober` or `worker`. Its output is written to a file, so that no full pipe
    blocks it. `ports` are those of the API and the prober."""

    def __init__(self, subcommand: str, home: Path, ports: tuple[int, int], /, **variables: str) -> None:
        api_port, prober_port = ports
        self.ports = ports
        self.ws_url = f"ws://127.0.0.1:{api_port}/ws"
        self.api = plain_client(api_port)
        self.prober = plain_client(prober_port)
        worker_port = int(variables.get("WORKER_PORT") or free_port())
        self.worker = plain_client(worker_port)
        terminal = home / f"{subcommand}-{prober_port}.terminal"
        terminal.unlink(missing_ok=True)
        self._terminal = terminal.open("ab+")
        own = {"SLA_MONITOR_HOME": str(home), "PORT": str(api_port), "WATCH_SERVER_PORT": str(prober_port)}
        own["WORKER_PORT"] = str(worker_port)
        own["RATE_LIMIT_API"] = "off"  # the tests repeat requests until a condition holds
        self.process = subprocess.Popen(
            [*COMMAND, subcommand],
            env=environment(**own | variables),
            stdin=subprocess.DEVNULL,
            stdout=self._terminal,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group of its own, which receives Ctrl-C as a whole
        )

    @property
    def output(self) -> str:
        """The output so far, standard error included."""
        self._terminal.seek(0)
        return self._terminal.read().decode()

    async def wait_for_output(self, pattern: str, patience_s: float = PATIENCE_S) -> None:
        """Waits until the output matches the regular expression."""

        async def has_output() -> bool:
            return re.search(pattern, self.output) is not None

        await self.until(has_output, patience_s)

    async def until(self, condition: Callable[[], Awaitable[bool]], patience_s: float = PATIENCE_S) -> None:
        """Waits until the condition holds. Fails if the program ends before that."""

        async def alive() -> bool:
            assert self.process.poll() is None, f"the program has ended, its output:\n{self.output}"
            return await condition()

        await until(alive, patience_s)

    async def ready(self) -> None:
        """Waits until this program is ready; for `up`, until all its parts are."""
        subcommand = self.process.args[-1]  # type: ignore[index]  # a list, see above
        for part, client in (("api", self.api), ("prober", self.prober), ("worker", self.worker)):
            if subcommand in ("up", part):
                await self.until(lambda client=client: responds(client, "/ready"))  # type: ignore[misc]

    async def log_in(self, output: str | None = None) -> None:
        """Logs in as the first admin. Its password is in `output`, by default the output of this program."""
        text = output or self.output
        password = re.search(r"Password: (\S+)", text)
        assert password is not None, text
        response = await self.api.post("/api/auth/login", json={"username": "admin", "password": password[1]})
        assert response.status_code == 200, response.text
        self.api.headers["Authorization"] = f"Bearer {response.json()['accessToken']}"

    async def get(self, path: str) -> Any:
        """Sends a GET to the API and returns the JSON body of the response, which must have status 200."""
        response = await self.api.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    async def states(self) -> dict[str, str]:
        """Returns the status of each service in /api/system-status."""
        status = await self.get("/api/system-status")
        return {service["id"]: service["status"] for service in status["services"]}

    async def metric(self, name: str) -> float:
        """Returns the value of a metric of the prober, 0 if it does not exist yet."""
        text = (await self.prober.get("/metrics")).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal, waits for the end of the program and returns its exit code. SIGINT is sent to the whole
        process group, as a terminal does."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return await anyio.to_thread.run_sync(lambda: self.process.wait(STOP_PATIENCE_S))

    async def close(self) -> None:
        """Ends the program, with SIGKILL after STOP_PATIENCE_S, and closes the clients."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        await self.api.aclose()
        await self.prober.aclose()
        await self.worker.aclose()
        self._terminal.close()


@asynccontextmanager
async def running(
    subcommand: str, home: Path, ports: tuple[int, int] | None = None, /, **variables: str
) -> AsyncIterator[Program]:
    """Runs `sla-monitor <subcommand>` with SLA_MONITOR_HOME=`home` until the end of the block."""
    program = Program(subcommand, home, ports or free_ports(), **variables)
    try:
        yield program
    finally:
        with anyio.CancelScope(shield=True):
            await program.close()


async def until(condition: Callable[[], Awaitable[bool]], patience_s: float = PATIENCE_S) -> None:
    """Waits until the condition holds. Raises TimeoutError after `patience_s`."""
    with anyio.fail_after(patience_s):
        for pause_s in pauses():
            if await condition():
                return
            await anyio.sleep(pause_s)


async def responds(client: httpx.AsyncClient, path: str, status: int = 200) -> bool:
    """Whether the response to a GET has this status."""
    try:
        return (await client.get(path)).status_code == status
    except httpx.TransportError:
        return False


def left_running(home: Path) -> dict[int, str]:
    """Returns the id and the command line of each process with this folder in its arguments, environment or working
    directory."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            if str(home).encode() in line + (process / "environ").read_bytes() + bytes((process / "cwd").readlink()):
                found[int(process.name)] = line.replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # the process has ended or belongs to another user
    return found
