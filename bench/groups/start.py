"""The time that `sla-monitor up` takes in an empty folder until the first check is stored."""

import time
from collections.abc import AsyncIterator

from bench.processes import SLA_MONITOR, running
from bench.report import Result, at_most, figure
from bench.run import Run
from tests.ports import free_port

FIRST_CHECK = "The first check is stored"
TIMEOUT_S = 100


async def measure(run: Run) -> AsyncIterator[Result]:
    seconds = [await _seconds_to_first_check(run, number) for number in range(run.scale.starts)]
    note = (
        "includes the creation of the database cluster, the migration, and the start of API, worker and prober, which"
        " checks the API; does not include the installation"
    )
    yield figure("Start: up in an empty folder to the first stored check", seconds, "s", at_most(5, "s"), note=note)


async def _seconds_to_first_check(run: Run, number: int) -> float:
    environment = {
        "SLA_MONITOR_HOME": str(run.folder / f"up-{number}"),
        "PORT": str(free_port()),
        "WATCH_SERVER_PORT": str(free_port()),
        "WORKER_PORT": str(free_port()),
        "LOG_LEVEL": "warning",
    }
    began = time.perf_counter()
    async with running([*SLA_MONITOR, "up"], run.folder, environment) as child:
        while FIRST_CHECK not in await child.line(TIMEOUT_S):
            pass
        return time.perf_counter() - began
