"""The duties of this worker. Each is held by a session-level advisory lock, all on one connection.

The locks of a worker that is killed are released with its connection. If a worker hangs, or its machine or network
fails, the server's `idle_session_timeout` ends the session. The locks are thus a lease: this worker renews it every
`RENEW_S` and treats it as expired (`LOST_S`) before the server does (`SILENCE_S`).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import anyio
import psycopg

import sql
from sql.database import Connection
from worker.metrics import Metrics

log = logging.getLogger(__name__)

RENEW_S = 2.0
LOST_S = 6.0
"""After this time without a renewal this worker stops its duties."""
SILENCE_S = 9.0
"""After this time without a renewal the server ends the session. Another worker holds the duties after less than 15 s:
SILENCE_S, and RENEW_S until it tries again."""
CLOSE_TIMEOUT_S = 1.0


class Locks:
    """The duties that are held now, and the cancel scopes of their rounds."""

    def __init__(self, database_url: str, duties: Sequence[str], metrics: Metrics) -> None:
        self._database_url = database_url
        self._duties = frozenset(duties)
        self._metrics = metrics
        self._held: set[str] = set()
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._changed = anyio.Event()
        self._renewed_at = float("-inf")
        self._connected_at = float("inf")
        for duty in duties:
            metrics.held.labels(duty).set(0)

    @property
    def connected(self) -> bool:
        """Whether the last renewal is less than `LOST_S` ago."""
        return anyio.current_time() < self._renewed_at + LOST_S

    @property
    def connected_at(self) -> float:
        """The time (anyio.current_time()) of the first renewal on the current connection; infinite without one."""
        return self._connected_at

    @property
    def held(self) -> frozenset[str]:
        """The duties that this worker holds."""
        return frozenset(self._held) if self.connected else frozenset()

    async def run(self) -> None:
        """Takes free duties and renews those that are held. Never returns; the database may be unavailable at any
        time."""
        while True:
            try:
                await self._hold()
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._metrics.lock_losses.inc()
                log.warning(
                    "the locks of the duties cannot be held: %s", " ".join(str(error).split()) or type(error).__name__
                )
            finally:
                self._lose()
            await anyio.sleep(RENEW_S)

    async def wait_until_held(self, duty: str) -> None:
        """Returns when the duty is held."""
        while duty not in self.held:
            await self._changed.wait()

    @contextmanager
    def while_held(self, duty: str) -> Iterator[None]:
        """A context that cancels its block when the duty is no longer held."""
        deadline = self._renewed_at + LOST_S if duty in self._held else float("-inf")
        with anyio.CancelScope(deadline=deadline) as scope:
            self._scopes[duty] = scope
            try:
                yield
            finally:
                del self._scopes[duty]

    async def _hold(self) -> None:
        with anyio.fail_after(LOST_S):
            connection = await sql.connect(self._database_url, application="sla-monitor worker locks")
        try:
            self._metrics.lock_connects.inc()
            with anyio.fail_after(LOST_S):
                silence = {"silence_ms": str(int(SILENCE_S * 1000))}
                await connection.execute(sql.query("worker/lock_session"), silence)
            while True:
                await self._renew(connection)
                await anyio.sleep(RENEW_S)
        finally:
            with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                await connection.close()

    async def _renew(self, connection: Connection) -> None:
        requested_at = anyio.current_time()
        with anyio.fail_after(LOST_S):
            cursor = await connection.execute(sql.query("worker/lock"), {"duties": [*self._duties - self._held]})
            for (duty,) in await cursor.fetchall():
                self._held.add(duty)
                self._metrics.held.labels(duty).set(1)
                log.info("this worker holds the duty %s", duty)
        self._renewed_at = requested_at
        self._connected_at = min(self._connected_at, requested_at)
        for scope in self._scopes.values():
            scope.deadline = requested_at + LOST_S
        self._wake_waiters()

    def _lose(self) -> None:
        for duty in self._held:
            self._metrics.held.labels(duty).set(0)
        self._held.clear()
        self._renewed_at, self._connected_at = float("-inf"), float("inf")
        for scope in self._scopes.values():
            scope.cancel()
        self._wake_waiters()

    def _wake_waiters(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
