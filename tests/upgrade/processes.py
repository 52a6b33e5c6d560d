"""Starts processes of the last release and of this one, and sends them commands."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

ROOT = Path(__file__).parents[2]
WHEEL = Path(__file__).with_name("sla_monitor-0.1.0-py3-none-any.whl")
DRIVER = Path(__file__).with_name("last_release.py")
PATIENCE_S = 600
"""The timeout of each command and of a whole upgrade, which takes ten seconds on an idle machine."""

MIGRATE = """
import asyncio, sys
from sla_monitor.settings import Settings
from sql.migrate import migrate
print(asyncio.run(migrate(sys.argv[1], Settings())).engine)
"""
REFRESH = """
import asyncio, sys
import sql
from sql.aggregates import refresh
async def rounds(url):
    print("began", flush=True)
    while True:
        async with await sql.connect(url, application="sla-monitor upgrade") as connection:
            await refresh(connection)
            row = await (await connection.execute("SELECT upgrade_pending()")).fetchone()
            print("pending" if row[0] else "done", flush=True)
            if not row[0]:
                return
asyncio.run(rounds(sys.argv[1]))
"""


def unpack(folder: Path) -> Path:
    """Unpacks the last release, as in site-packages."""
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(folder)
    return folder


def of_last_release(name: str) -> str:
    """The text of a file of the last release."""
    with zipfile.ZipFile(WHEEL) as wheel:
        return wheel.read(name).decode()


def _environ(path: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TZ", "TMPDIR")}
    return {**inherited, "PYTHONPATH": str(path)}


class LastRelease:
    """A process of the last release that runs one command at a time."""

    def __init__(self, package: Path) -> None:
        self.package = package
        # -P: no module is imported from the folder of the script, which belongs to this repository.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(DRIVER)],
            cwd=package,
            env=_environ(package),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def call(self, name: str, *arguments: Any) -> Any:
        """Runs a command and returns its result. Raises AssertionError with the error of the release."""
        self.send(name, *arguments)
        return await self.response()

    def send(self, name: str, *arguments: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()

    async def response(self) -> Any:
        assert self._process.stdout is not None
        with anyio.fail_after(PATIENCE_S):
            line = await anyio.to_thread.run_sync(self._process.stdout.readline, abandon_on_cancel=True)
        assert line, f"the last release ended with {self._process.wait()}"
        response = json.loads(line)
        assert "error" not in response, response["error"]
        return response["result"]

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def interrupt(self) -> None:
        """Stops the running command with SIGTERM; its response follows."""
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        with suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.kill()
        self._process.wait()


def this_release(program: str, database_url: str) -> "subprocess.Popen[str]":
    """Starts a process of this release."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program, database_url],
        cwd=ROOT,
        env=_environ(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
