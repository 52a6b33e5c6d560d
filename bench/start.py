"""The start: `sla-monitor up` on an empty folder, to the first stored check."""

import time
from collections.abc import AsyncIterator

from bench.children import PROGRAM, free_port, running
from bench.report import Line, absolute, most
from bench.run import Run

FIRST_CHECK = "The first check is stored"
PATIENCE_S = 100


async def lines(run: Run) -> AsyncIterator[Line]:
    took = [await _up(run, number) for number in range(run.scale.starts)]
    note = (
        "database cluster made, schema migrated, API, worker and prober started, the API checked by the prober; "
        "after install"
    )
    yield absolute("Start, up on an empty folder to the first stored check", took, "s", most(5, "s"), note=note)


async def _up(run: Run, number: int) -> float:
    environment = {
        "SLA_MONITOR_HOME": str(run.folder / f"up-{number}"),
        "PORT": str(free_port()),
        "WATCH_SERVER_PORT": str(free_port()),
        "WORKER_PORT": str(free_port()),
        "LOG_LEVEL": "warning",
    }
    began = time.perf_counter()
    async with running([*PROGRAM, "up"], run.folder, environment) as child:
        while FIRST_CHECK not in await child.line(PATIENCE_S):
            pass
        return time.perf_counter() - began
