"""Who records at a steady pace: batches of the prober's writer, one service's check each interval, in turns.

One check in a thousand fails. The first service's checks fail in turns, so that each of them changes its state.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import uvloop

from bench.peers.talk import answer, arguments, questions
from prober.metrics import Metrics
from prober.store import Check, Store

TIMEOUT_S = 60
FAILS_EVERY = 999
AGE = timedelta(milliseconds=250)
"""How old a check is when it is recorded."""


class KeyedTokenBuckets:
    """Batch after batch, each when it is due. `offset` is how far the database's clock is from the machine's."""

    def __init__(self, store: Store, services: int, interval_s: int, batch: int, offset: timedelta) -> None:
        self._store = store
        self._services = services
        self._interval_s = interval_s
        self._batch = batch
        self._offset = offset
        self._made = self._batches = 0

    async def warm_up(self) -> None:
        """The first check of each service, as fast as they are taken: each changes a state."""
        for _ in range(self._services // self._batch):
            await self._record(datetime.now(UTC) + self._offset - AGE)

    async def run(self, seconds: float) -> dict[str, object]:
        """What was recorded in that time; `turns` is when each batch with the first service was begun."""
        period = self._interval_s * self._batch / self._services
        began, first = time.monotonic(), datetime.now(UTC) + self._offset
        turns, took, number, rows = list[float](), list[float](), 0, 0
        while max(number * period, time.monotonic() - began) < seconds:
            await asyncio.sleep(max(0.0, began + number * period - time.monotonic()))
            sent = time.monotonic()
            checks = await self._record(first + timedelta(seconds=number * period) - AGE)
            took.append(1000 * (time.monotonic() - sent))
            turns += [sent] if checks[0].service_id == "service-1" else []
            rows, number = rows + len(checks), number + 1
        lasted = max(number * period, time.monotonic() - began)
        return {"rows": rows, "seconds": lasted, "turns": turns, "took": took}

    async def _record(self, at: datetime) -> list[Check]:
        checks = self._checks(at)
        recorded = await self._store.record(checks, TIMEOUT_S)
        assert recorded.stored == len(checks), recorded
        return checks

    def _checks(self, at: datetime) -> list[Check]:
        place = self._batches * self._batch
        self._batches += 1
        return [
            self._check((place + n) % self._services, (place + n) // self._services, at) for n in range(self._batch)
        ]

    def _check(self, service: int, turn: int, at: datetime) -> Check:
        self._made += 1
        good = turn % 2 == 0 if service == 0 else self._made % FAILS_EVERY != 0
        ms = 40 + (service * 7919 + self._made * 104729) % 1000 / 10
        return Check(
            f"service-{service + 1}",
            "bench",
            at,
            at + timedelta(milliseconds=ms),
            self._interval_s,
            200 if good else None,
            good,
            "o" if good else "mo",
            ms,
            1.25,
            4.5,
            11.75 if good else None,
            ms - 18 if good else None,
            1,
            None if good else "connection_error",
            None if good else "connection refused",
        )


async def main(database_url: str, services: int, interval_s: int, batch: int, offset_s: float) -> None:
    """Ready once each service has a check. Each question is a number of seconds; the answer is what Pace.run tells."""
    assert services % batch == 0, "a batch must not hold two checks of one service"
    store = Store(database_url, "bench", Metrics())
    pace = KeyedTokenBuckets(store, services, interval_s, batch, timedelta(seconds=offset_s))
    await pace.warm_up()
    answer({})
    async for question in questions():
        answer(await pace.run(question["seconds"]))
    await store.close()


if __name__ == "__main__":
    uvloop.run(main(**arguments()))
