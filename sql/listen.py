"""NOTIFY of the database on the channel `sla_monitor`, over a supervised connection of its own.

Notifications are lost while nobody listens, and a connection can die without a sign: so the listener sends itself one
through the database whenever none has come for a while, and opens another connection where that does not come back.
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


class Patience(NamedTuple):
    """When a listener that receives nothing pings, and when it gives its connection up; the shortest and the longest
    pause before it opens another one. All in seconds."""

    ping_s: float
    silence_s: float
    pauses_s: tuple[float, float]


UNHURRIED = Patience(ping_s=10.0, silence_s=20.0, pauses_s=(0.5, 10.0))
"""For those who look by themselves as well, now and then."""


class Subscriber(Protocol):
    """What a listener calls. What is raised in `connected` and `received` ends the connection."""

    async def connected(self, connection: Connection) -> None:
        """After each LISTEN. What was notified before is lost."""

    async def received(self, connection: Connection, payloads: set[str]) -> None:
        """The payloads that came together, this listener's pings among them."""

    def disconnected(self, error: Exception) -> None:
        """The connection is lost, or could not be opened."""


class Listener:
    """One connection that listens. `silent_s` is for how long it has received nothing."""

    def __init__(
        self, database_url: str, application: str, subscriber: Subscriber, patience: Patience = UNHURRIED
    ) -> None:
        self._database_url = database_url
        self._application = application
        self._subscriber = subscriber
        self._patience = patience
        self._ping = "ping:" + secrets.token_hex(8)
        self._received_at = anyio.current_time()

    @property
    def silent_s(self) -> float:
        """Seconds since a notification came."""
        return anyio.current_time() - self._received_at

    async def run(self) -> None:
        """Never returns; the database may come and go."""
        first_s, longest_s = self._patience.pauses_s
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
        with anyio.fail_after(sql.CONNECT_TIMEOUT_S + self._patience.silence_s):
            connection = await sql.connect(self._database_url, application=self._application)
        try:
            with anyio.fail_after(self._patience.silence_s):
                await connection.execute("LISTEN sla_monitor")
                await self._subscriber.connected(connection)
            self._received_at = anyio.current_time()
            yield connection
        finally:
            with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                await connection.close()

    async def _wait(self, connection: Connection) -> set[str]:
        """The next payloads; a ping goes out whenever none has come. Raises TimeoutError after too long a silence."""
        while True:
            notices = connection.notifies(timeout=self._patience.ping_s, stop_after=1)
            payloads = {notice.payload async for notice in notices}
            if payloads:
                self._received_at = anyio.current_time()
                return payloads
            if self.silent_s > self._patience.silence_s:
                raise TimeoutError("its notifications do not arrive")
            with anyio.fail_after(self._patience.silence_s):
                await connection.execute("SELECT pg_notify('sla_monitor', %s)", [self._ping])


class Wake:
    """A subscriber that calls the action of each payload, and all of them after each LISTEN."""

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
    patience: Patience = UNHURRIED,
) -> None:
    """Calls the action of each payload that is notified, and all of them after each (re)connect. Never returns."""
    await Listener(database_url, application, Wake(actions, count_connect), patience).run()
