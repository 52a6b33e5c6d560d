"""The demo as a whole program."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import anyio
import httpx
import psycopg
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from tests.engines import roomy_memory
from tests.ports import free_port, free_ports
from tests.sla_monitor.demo_services import IDS, rows

PATIENCE_S = 120


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that PostgreSQL's user can enter if the test runs as root. Others cannot enter pytest's folders."""
    folder = Path(tempfile.mkdtemp(prefix="sla-demo-", dir=roomy_memory() or "/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


class Demo:
    """A running `sla-monitor demo`."""

    def __init__(self, process: Process, api: str, output: AsyncIterator[str]) -> None:
        self.process = process
        self.api = api
        self.text = ""
        self._output = output

    async def wait_for_output(self, pattern: str) -> None:
        """Waits until the output contains the pattern. Raises StopAsyncIteration if the program ends before."""
        while not re.search(pattern, self.text):
            self.text += await anext(self._output)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        with anyio.fail_after(60):
            async for text in self._output:
                self.text += text
            return await self.process.wait()


async def start(home: Path) -> Demo:
    api, prober = free_ports()
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment |= {"SLA_MONITOR_HOME": str(home), "PORT": str(api), "WATCH_SERVER_PORT": str(prober)}
    environment["WORKER_PORT"] = str(free_port())
    process = await anyio.open_process(
        [sys.executable, "-m", "sla_monitor.command.cli", "demo"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    return Demo(process, f"http://127.0.0.1:{api}", aiter(TextReceiveStream(process.stdout)))


def left_running(home: Path) -> list[str]:
    """The command lines of processes with this folder in their arguments or their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if str(home).encode() in command + (process / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it has ended, or belongs to another user
    return found


def database_of(home: Path) -> str:
    folder = home / "demo" / "postgresql"
    sockets = quote(str(folder / "socket"), safe="")
    return f"postgresql://sla_monitor:{(folder / 'password').read_text()}@/sla_monitor?host={sockets}"


REAL_CHECKS = """
SELECT count(DISTINCT service_id) = 6 AND bool_or(error_type = 'http_error')
       AND bool_or(error_type = 'tls_error') AND bool_or(error_type = 'dns_error')
FROM checks WHERE interval_seconds = 10
"""


async def until_true(database: str, statement: str) -> None:
    while await rows(database, statement) != [(True,)]:  # noqa: ASYNC110 - another process writes them
        await anyio.sleep(0.1)


async def start_and_stop_early(home: Path) -> None:
    demo = await start(home)
    try:
        with anyio.fail_after(PATIENCE_S):
            await demo.wait_for_output("Generating 90 days")
    finally:
        code = await demo.stop()
    assert code == 0, demo.text
    assert "Traceback" not in demo.text
    assert "generated checks" not in demo.text
    assert left_running(home) == []


async def test_the_demo_shows_six_services_and_ninety_days(home: Path) -> None:
    """An earlier start was stopped while the past was generated."""
    await start_and_stop_early(home)
    demo = await start(home)
    try:
        with anyio.fail_after(PATIENCE_S):
            await demo.wait_for_output("generated checks are stored")
            await demo.wait_for_output("The first check is stored")
            await until_true(database_of(home), REAL_CHECKS)
            async with httpx.AsyncClient(base_url=demo.api) as client:
                status = (await client.get("/api/system-status")).raise_for_status().json()
        services = {service["id"]: service for service in status["services"]}
        assert sorted(services) == sorted(IDS)
        for service in services.values():
            assert len(service["uptimeData"]) == 90
            assert {"o", "mo", "nd"} <= set(service["uptimeData"]) <= {"o", "po", "mo", "nd"}
            assert 90 < float(service["uptime"]) < 100
        assert services["demo-healthy"]["status"] == "operational"
        assert services["demo-slow"]["status"] in ("operational", "degraded")
        assert services["demo-flaky"]["status"] in ("operational", "outage")
        for service_id in ("demo-failing", "demo-wrong-certificate", "demo-dead-name"):
            assert services[service_id]["status"] == "outage"
        assert status["overallStatus"] == "outage"
        errors = await rows(
            database_of(home),
            """SELECT DISTINCT service_id, error_type FROM checks
               WHERE interval_seconds = 10 AND service_id IN
                     ('demo-healthy', 'demo-failing', 'demo-wrong-certificate', 'demo-dead-name') ORDER BY 1""",
        )
        assert errors == [
            ("demo-dead-name", "dns_error"),
            ("demo-failing", "http_error"),
            ("demo-healthy", None),
            ("demo-wrong-certificate", "tls_error"),
        ]
        assert str(home / "demo") in demo.text
    finally:
        code = await demo.stop()
    assert code == 0, demo.text
    assert "Traceback" not in demo.text
    assert left_running(home) == []
    assert os.listdir(home) == ["demo"]  # noqa: PTH208 - nothing of a real installation


def test_it_does_not_start_on_a_real_installation(database: str, home: Path) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO services (id, name, endpoint_url) VALUES ('shop', 'Shop', 'http://shop')")
    refused = subprocess.run(
        [sys.executable, "-m", "sla_monitor.command.cli", "demo"],
        env={**os.environ, "DATABASE_URL": database, "SLA_MONITOR_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "DATABASE_URL" in refused.stderr
    assert list(home.iterdir()) == []
