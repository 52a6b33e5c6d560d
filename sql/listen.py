"""Receives the notifications of the channel `sla_monitor` on a supervised connection of its own.

Notifications are lost while no connection listens, and a connection can fail without an error. The listener therefore
sends a notification to itself (a ping) when none has arrived for a while. If nothing arrives after that either, it
opens a new connection.
"""

import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

import anyio
import psycopg

import sql
from sql.database import Connection

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 1.0


class Timing(NamedTuple):
    """The times of a listener, in seconds: without notifications it sends a ping after `ping_s`, and closes the
    connection after `silence_s`; `pauses_s` are the shortest and the longest pause before it opens a new one."""

    ping_s: float
    silence_s: float
    pauses_s: tuple[float, float]


DEFAULT_TIMING = Timing(ping_s=10.0, silence_s=20.0, pauses_s=(0.5, 10.0))
"""For programs that also poll the database."""


class Subscriber(Protocol):
    """The methods that a listener calls. An exception in `connected` or `received` ends the connection."""

    async def connected(self, connection: Connection) -> None:
        """Called after each LISTEN. Earlier notifications may have been lost."""

    async def received(self, connection: Connection, payloads: set[str]) -> None:
        """Called with the payloads that arrived together, the pings of this listener included."""

    def disconnected(self, error: Exception) -> None:
        """Called when the connection is lost, or could not be opened."""


class Listener:
    """Keeps one connection that listens, and opens a new one when it fails."""

    def __init__(
        self, database_url: str, application: str, subscriber: Subscriber, timing: Timing = DEFAULT_TIMING
    ) -> None:
        self._database_url = database_url
        self._application = application
        self._subscriber = subscriber
        self._timing = timing
        self._ping = "ping:" + secrets.token_hex(8)
        self._received_at = anyio.current_time()

    @property
    def silent_s(self) -> float:
        """Seconds since the last notification arrived, or since the connection was opened."""
        return anyio.current_time() - self._received_at

    async def run(self) -> None:
        """Listens until it is cancelled. Opens a new connection whenever the current one fails."""
        first_s, longest_s = self._timing.pauses_s
        pause_s = first_s
        while True:
            try:
                async with self._connection() as connection:
                    pause_s = first_s
                    while True:
                        await self._subscriber.received(connection, await self._wait(connection))
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._subscriber.disconnected(error)
            await anyio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret
            pause_s = min(longest_s, 2 * pause_s)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with anyio.fail_after(sql.CONNECT_TIMEOUT_S + self._timing.silence_s):
            connection = await sql.connect(self._database_url, application=self._application)
        try:
            with anyio.fail_after(self._timing.silence_s):
                await connection.execute("LISTEN sla_monitor")
                await self._subscriber.connected(connection)
            self._received_at = anyio.current_time()
            yield connection
        finally:
            with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                await connection.close()

    async def _wait(self, connection: Connection) -> set[str]:
        """Waits for the next payloads, and sends a ping after each `ping_s` without any. Raises TimeoutError if none
        arrive for `silence_s`."""
        while True:
            notices = connection.notifies(timeout=self._timing.ping_s, stop_after=1)
            payloads = {notice.payload async for notice in notices}
            if payloads:
                self._received_at = anyio.current_time()
                return payloads
            if self.silent_s > self._timing.silence_s:
                raise TimeoutError("the ping does not arrive")
            with anyio.fail_after(self._timing.silence_s):
                await connection.execute("SELECT pg_notify('sla_monitor', %s)", [self._ping])


class Wake:
    """A subscriber that calls the action of each payload, and all actions after each LISTEN."""

    def __init__(self, actions: Mapping[str, Callable[[], None]], count_connect: Callable[[], object]) -> None:
        self._actions = actions
        self._count_connect = count_connect

    async def connected(self, connection: Connection) -> None:
        self._count_connect()
        for act in self._actions.values():
            act()

    async def received(self, connection: Connection, payloads: set[str]) -> None:
        for payload in payloads:
            if (act := self._actions.get(payload)) is not None:
                act()

    def disconnected(self, error: Exception) -> None:
        log.warning("notifications are not received: %s", " ".join(str(error).split()) or type(error).__name__)


async def listen(
    database_url: str,
    application: str,
    actions: Mapping[str, Callable[[], None]],
    count_connect: Callable[[], object],
    timing: Timing = DEFAULT_TIMING,
) -> None:
    """Calls the action of each payload that arrives, and all actions after each LISTEN. Runs until it is cancelled."""
    await Listener(database_url, application, Wake(actions, count_connect), timing).run()
