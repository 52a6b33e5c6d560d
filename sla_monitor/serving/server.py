"""uvicorn's server for the configuration of sla_monitor/serving/connections.py. All servers of this program use it."""

import asyncio
import contextlib
from collections.abc import Generator

from uvicorn import Server

from sla_monitor.serving.connections import BoundedConfig

CHECK_TICKS = 10
"""The period of `check_reading`, in ticks of uvicorn's main loop, 0.1 s each."""


class BoundedServer(Server):
    """uvicorn's server without its signal handlers, which raise the signal again at the end, so that the exit code is
    not 0. The program handles signals."""

    def __init__(self, config: BoundedConfig) -> None:
        super().__init__(config)
        self._connections = config.connections

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % CHECK_TICKS == 0:
            self._connections.check_reading(asyncio.get_running_loop().time())
        return await super().on_tick(counter)
