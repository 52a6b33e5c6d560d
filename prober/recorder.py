"""Writes finished checks to the database in batches, or to the spool while the database is unavailable.

While the spool is empty, batches go directly to the database. A batch that cannot be stored in time goes to the spool,
and so do all later ones until the spool has been replayed: rows are stored in the order in which the checks finished.
Checks that are in memory only are therefore younger than FLUSH_SECONDS + DIRECT_TIMEOUT_S.
"""

import logging
import random
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from prober.metrics import Metrics
from prober.outcome import printable
from prober.spool import Spool
from prober.store import AwayError, Check, RefusedError, Store

BATCH_ROWS = 1000
FLUSH_SECONDS = 0.25
"""Batches start at least this far apart, so the first check after a pause is stored at once and a busy
prober needs four transactions a second."""

DIRECT_TIMEOUT_S = 2.0
REPLAY_TIMEOUT_S = 30.0
QUEUE_ROWS = 50_000
"""The limit of checks in memory while neither database nor disk accept them; the oldest are dropped."""

BACKOFF_S = (0.1, 5.0)
MAX_DOUBLINGS = 10
"""More than the limit of BACKOFF_S needs. 2**1024 is no float: after days without a database it would be an error."""
DISK_RETRY_S = 1.0
REFUSED_FILE_BYTES = 16 * 1024 * 1024

_log = logging.getLogger(__name__)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Check)


class Recorder:
    """The queue between the checks and the database. `put` never waits; `run` ends after `close`."""

    def __init__(self, store: Store, spool: Spool, refused_file: Path, metrics: Metrics) -> None:
        self._store = store
        self._spool = spool
        self._refused_file = refused_file
        self._metrics = metrics
        self._queue: deque[Check] = deque()
        self._batch: Sequence[Check] = ()
        self._disk = anyio.CapacityLimiter(1)
        self._arrived = anyio.Event()
        self._spooled = anyio.Event()
        self._closing = False
        self._losses = (0, 0)
        self.database_responds = False
        self.spool_works = True
        metrics.queue.set_function(lambda: len(self._queue) + len(self._batch))
        metrics.spool_rows.set_function(lambda: spool.records)
        metrics.spool_bytes.set_function(lambda: spool.bytes)
        metrics.spool_dropped.set_function(lambda: spool.dropped)
        metrics.spool_corrupt.set_function(lambda: spool.corrupt)
        metrics.spool_unreadable.set_function(lambda: spool.unreadable_bytes)

    @property
    def ready(self) -> bool:
        """Whether a check that finishes now can be stored."""
        return self.database_responds or self.spool_works

    def put(self, check: Check) -> None:
        """Adds a finished check to the queue."""
        if len(self._queue) >= QUEUE_ROWS:
            self._queue.popleft()
            self._metrics.queue_dropped.inc()
        self._queue.append(check)
        self._arrived.set()

    def close(self) -> None:
        """Lets `run` end when all checks in the queue are in the database or in the spool."""
        self._closing = True
        self._arrived.set()

    async def run(self) -> None:
        """Records until `close`. When cancelled, the checks in memory are written to the spool."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._replay)
                await self._write()
                group.cancel_scope.cancel()
        finally:
            await self._keep_rest()

    async def _write(self) -> None:
        began = -FLUSH_SECONDS
        while not (self._closing and not self._queue):
            await self._arrived.wait()
            pause = began + FLUSH_SECONDS - anyio.current_time()
            if pause > 0 and len(self._queue) < BATCH_ROWS and not self._closing:
                await anyio.sleep(pause)
            began = anyio.current_time()
            self._batch = [self._queue.popleft() for _ in range(min(BATCH_ROWS, len(self._queue)))]
            if self._batch and not await self._keep(self._batch):
                self._queue.extendleft(reversed(self._batch))
                self._batch = ()
                if self._closing:
                    return
                await anyio.sleep(DISK_RETRY_S)
            self._batch = ()
            if not self._queue and not self._closing:
                self._arrived = anyio.Event()

    async def _keep(self, batch: Sequence[Check]) -> bool:
        """Stores a batch in the database or the spool; False if neither is possible."""
        if not self._spool.records:
            try:
                await self._record(batch, DIRECT_TIMEOUT_S)
            except AwayError as error:
                _log.warning("checks cannot be stored in the database (%s): they go into the spool", error)
                self.database_responds = False
            else:
                return True
        return await self._append(batch)

    async def _append(self, batch: Sequence[Check]) -> bool:
        """Writes a batch to the spool; False if that fails."""
        payloads = await self._encoded(batch)
        try:
            await anyio.to_thread.run_sync(self._spool.append, payloads, limiter=self._disk)
        except OSError as error:
            self._disk_failed("written", error)
            return False
        self._report_losses()
        self.spool_works = True
        self._spooled.set()
        return True

    async def _replay(self) -> None:
        """Replays the spool, oldest checks first, whenever it is not empty."""
        failures = replayed = 0
        while True:
            try:
                found = await anyio.to_thread.run_sync(self._spool.read, BATCH_ROWS, limiter=self._disk)
                self._report_losses()
                if found is None:
                    if replayed:
                        _log.info("the spool is empty again: %d checks replayed", replayed)
                        replayed = 0
                    await self._wait_for_records()
                    continue
                payloads, mark = found
                await self._record(await self._decoded(payloads), REPLAY_TIMEOUT_S)
                await anyio.to_thread.run_sync(self._spool.advance, mark, limiter=self._disk)
                replayed += mark.records
                failures = 0
            except AwayError as error:
                if not failures:
                    _log.warning("the spool cannot be replayed yet: %s", error)
                self.database_responds = False
                failures += 1
                await anyio.sleep(backoff(failures))
            except OSError as error:
                self._disk_failed("read", error)
                await anyio.sleep(DISK_RETRY_S)

    async def _wait_for_records(self) -> None:
        self._spooled = anyio.Event()
        if not self._spool.records:
            await self._spooled.wait()

    async def _record(self, checks: Sequence[Check], timeout_s: float) -> None:
        """Stores the checks. A refused batch is halved until the invalid checks are found. These are written to a file.

        Raises `AwayError`.
        """
        if not checks:
            return
        try:
            await self._store.record(checks, timeout_s)
            self.database_responds = True
        except RefusedError as refusal:
            if len(checks) == 1:
                await self._set_aside(checks[0], str(refusal))
                return
            middle = len(checks) // 2
            await self._record(checks[:middle], timeout_s)
            await self._record(checks[middle:], timeout_s)

    async def _encoded(self, checks: Sequence[Check]) -> list[bytes]:
        payloads = []
        for check in checks:
            try:
                payloads.append(_encoder.encode(check))
            except (UnicodeEncodeError, OverflowError) as error:  # the database would refuse it too
                await self._set_aside(check, str(error))
        return payloads

    async def _decoded(self, payloads: list[bytes]) -> list[Check]:
        checks = []
        for payload in payloads:
            try:
                checks.append(_decoder.decode(payload))
            except msgspec.DecodeError as error:  # intact on disk, but written by another version of this program
                await self._set_aside(payload, str(error))
        return checks

    async def _set_aside(self, check: Check | bytes, reason: str) -> None:
        """Writes a check that cannot be stored to the file of refused checks."""
        self._metrics.refused.inc()
        line = msgspec.json.encode({"reason": printable(reason), "check": ascii(check)}) + b"\n"
        try:
            kept = await anyio.to_thread.run_sync(_append_line, self._refused_file, line, limiter=self._disk)
        except OSError as error:
            self._disk_failed("written", error)
            kept = False
        file = self._refused_file
        where = f"set aside in {file}" if kept else f"lost, because {file} is full or cannot be written"
        _log.error("a check that the database refuses is %s: %s", where, printable(reason))

    def _report_losses(self) -> None:
        """Logs how many spooled checks were lost because the spool was full or damaged."""
        losses = (self._spool.dropped, self._spool.corrupt)
        if losses != self._losses:
            dropped, corrupt = losses[0] - self._losses[0], losses[1] - self._losses[1]
            _log.error(
                "%d checks in the spool are lost; %d damaged places were skipped (%d bytes in all since the start)",
                *(dropped, corrupt, self._spool.unreadable_bytes),
            )
            self._losses = losses

    def _disk_failed(self, verb: str, error: OSError) -> None:
        self._metrics.spool_failures.inc()
        self.spool_works = False
        _log.error("the spool cannot be %s: %s", verb, error)

    async def _keep_rest(self) -> None:
        """Closes the connection and writes the checks in memory to the spool."""
        rest = [*self._batch, *self._queue]
        with anyio.CancelScope(shield=True):
            await self._store.close()
            if rest and not await self._append(rest):
                _log.error(
                    "%d checks are lost: they could be stored neither in the database nor in the spool", len(rest)
                )


def _append_line(file: Path, line: bytes) -> bool:
    """Appends the line unless the file would exceed REFUSED_FILE_BYTES. Returns whether it was written."""
    if file.exists() and file.stat().st_size + len(line) > REFUSED_FILE_BYTES:
        return False
    with file.open("ab") as open_file:
        open_file.write(line)
    return True


def backoff(failures: int) -> float:
    """The pause in seconds before the next attempt. It grows exponentially, with full jitter, so that several probers
    do not reconnect to a database at the same time."""
    low, high = BACKOFF_S
    longest = min(high, low * 2 ** min(failures, MAX_DOUBLINGS))
    return random.uniform(low, longest)  # noqa: S311  # not a secret
