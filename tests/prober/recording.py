"""Runs a recorder on a database whose connection can fail."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec
import psycopg

from prober.metrics import Metrics
from prober.recorder import Recorder
from prober.spool import Spool
from prober.store import Check, Store
from tests.database_proxy import DatabaseProxy
from tests.pauses import pauses
from tests.prober.metrics import TIMEOUT_S, metric

SPOOL_BYTES = 16 * 1024 * 1024


class RecorderRun:
    """A recorder with its spool and its metrics. `proxy` is between the recorder and the database."""

    def __init__(self, proxy: DatabaseProxy, database_url: str, home: Path) -> None:
        self.proxy = proxy
        self.database_url = database_url
        self.metrics = Metrics()
        self.refused = home / "refused.jsonl"
        self.spool = Spool(home, SPOOL_BYTES)
        self.recorder = Recorder(Store(proxy.url, "local", self.metrics), self.spool, self.refused, self.metrics)
        self.now = datetime.now(UTC).replace(microsecond=0)

    def check(self, number: int, **changes: Any) -> Check:
        """The check that was scheduled `number` seconds before the start of the test."""
        scheduled_at = self.now - timedelta(seconds=number)
        check = Check(
            service_id="web",
            location="local",
            scheduled_at=scheduled_at,
            finished_at=scheduled_at + timedelta(milliseconds=80),
            interval_seconds=60,
            status_code=200,
            success=True,
            severity="o",
            total_ms=80.5,
            dns_ms=None,
            connect_ms=0.5,
            tls_ms=None,
            first_byte_ms=70.0,
            attempts=1,
            error_type=None,
            error_message=None,
        )
        return msgspec.structs.replace(check, **changes)

    def put(self, *numbers: int) -> None:
        """Gives the checks with these numbers to the recorder."""
        for number in numbers:
            self.recorder.put(self.check(number))

    def stored(self) -> list[int]:
        """The numbers of the checks in the database."""
        with psycopg.connect(self.database_url) as connection:
            found = connection.execute("SELECT scheduled_at FROM checks").fetchall()
        return sorted(round((self.now - at).total_seconds()) for (at,) in found)

    def metric(self, name: str, **labels: str) -> float:
        return metric(self.metrics, name, **labels)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(TIMEOUT_S):
            for pause_s in pauses():
                if condition():
                    return
                await anyio.sleep(pause_s)


@asynccontextmanager
async def running_recorder(database_url: str, home: Path) -> AsyncIterator[RecorderRun]:
    """Runs a recorder. At the end of the block it stores its queue, as the prober does when it ends."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO services (id, name, endpoint_url) VALUES ('web', 'Web', 'http://127.0.0.1/') "
            "ON CONFLICT DO NOTHING"
        )
    async with DatabaseProxy(database_url).serve() as proxy:
        run = RecorderRun(proxy, database_url, home)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(run.recorder.run)
                yield run
                run.recorder.close()
        finally:
            run.spool.close()
