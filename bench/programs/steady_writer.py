"""Records checks at a constant rate, in batches, with the prober's code for recording.

Every service has one check per interval. One check in a thousand fails. Every second check of the first service fails,
so that each of its checks changes its state.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import uvloop

from bench.checks import FAILS_EVERY, LOCATION, make_check
from bench.programs.messages import arguments, requests, respond
from prober.metrics import Metrics
from prober.store import Check, Store

TIMEOUT_S = 60
AGE = timedelta(milliseconds=250)
"""The age of a check when it is recorded."""


class SteadyWriter:
    """Records each batch when it is due. `offset` is the time by which the database's clock is ahead of the
    machine's."""

    def __init__(self, store: Store, services: int, interval_s: int, batch: int, offset: timedelta) -> None:
        self._store = store
        self._services = services
        self._interval_s = interval_s
        self._batch = batch
        self._offset = offset
        self._checks_made = self._batches = 0

    async def record_first_checks(self) -> None:
        """Records the first check of every service, as fast as possible. Each of them changes a state."""
        for _ in range(self._services // self._batch):
            await self._record(datetime.now(UTC) + self._offset - AGE)

    async def run(self, seconds: float) -> dict[str, object]:
        """Records for this time. Returns the number of rows, the seconds it took, the milliseconds of each batch, and
        the time.monotonic() at which each batch with the first service was sent."""
        period = self._interval_s * self._batch / self._services
        began, first = time.monotonic(), datetime.now(UTC) + self._offset
        sent_at, batch_ms, number, rows = list[float](), list[float](), 0, 0
        while max(number * period, time.monotonic() - began) < seconds:
            await asyncio.sleep(max(0.0, began + number * period - time.monotonic()))
            sent = time.monotonic()
            checks = await self._record(first + timedelta(seconds=number * period) - AGE)
            batch_ms.append(1000 * (time.monotonic() - sent))
            if checks[0].service_id == "service-1":
                sent_at.append(sent)
            rows, number = rows + len(checks), number + 1
        took = max(number * period, time.monotonic() - began)
        return {"rows": rows, "seconds": took, "sent_at": sent_at, "batch_ms": batch_ms}

    async def _record(self, at: datetime) -> list[Check]:
        checks = self._next_batch(at)
        recorded = await self._store.record(checks, TIMEOUT_S)
        assert recorded.stored == len(checks), recorded
        return checks

    def _next_batch(self, at: datetime) -> list[Check]:
        begin = self._batches * self._batch
        self._batches += 1
        return [
            self._check((begin + n) % self._services, (begin + n) // self._services, at) for n in range(self._batch)
        ]

    def _check(self, service: int, number: int, at: datetime) -> Check:
        """`service` counts from 0. `number` is the number of earlier checks of the service."""
        self._checks_made += 1
        good = number % 2 == 0 if service == 0 else self._checks_made % FAILS_EVERY != 0
        return make_check(service + 1, self._checks_made, at, self._interval_s, good=good)


async def main(database_url: str, services: int, interval_s: int, batch: int, offset_s: float) -> None:
    """Responds when every service has a check. A request is a number of seconds; the response is that of
    SteadyWriter.run."""
    assert services % batch == 0, "a batch must not contain two checks of one service"
    store = Store(database_url, LOCATION, Metrics())
    writer = SteadyWriter(store, services, interval_s, batch, timedelta(seconds=offset_s))
    await writer.record_first_checks()
    respond({})
    async for request in requests():
        respond(await writer.run(request["seconds"]))
    await store.close()


if __name__ == "__main__":
    uvloop.run(main(**arguments()))
