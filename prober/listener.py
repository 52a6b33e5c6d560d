"""Hears what the database says on the channel `sla_monitor`, over a supervised connection of its own."""

import logging
import secrets
from collections.abc import Callable, Mapping

import anyio
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

import sql
from prober.metrics import Metrics
from prober.store import reason

PING_SECONDS = 15.0
"""A connection is asked for a sign of life this often, and has as long to answer: a blackholed one raises
nothing."""
_BACKOFF_S = (0.5, 10.0)

_log = logging.getLogger(__name__)


class SilentError(Exception):
    """Our own ping did not come back: notifications do not arrive, although the connection seems to be
    there."""


async def listen(database_url: str, actions: Mapping[str, Callable[[], None]], metrics: Metrics) -> None:
    """Calls the action of each payload heard, and all of them after each (re)connect, since what was said
    meanwhile is lost. Never ends; the database may come and go."""
    pause_s, most_s = _BACKOFF_S
    while True:
        try:
            with anyio.fail_after(PING_SECONDS):
                connection = await sql.connect(database_url, application="sla-monitor prober listener")
            async with connection:
                await connection.execute("LISTEN sla_monitor")
                metrics.listener_connects.inc()
                pause_s = _BACKOFF_S[0]
                for act in actions.values():
                    act()
                await _hear(connection, actions)
        except (psycopg.Error, OSError, TimeoutError, SilentError) as error:
            _log.warning("not listening to the database: %s", reason(error))
        await anyio.sleep(pause_s)
        pause_s = min(most_s, 2 * pause_s)


async def _hear(connection: AsyncConnection[TupleRow], actions: Mapping[str, Callable[[], None]]) -> None:
    ping = f"ping:{secrets.token_hex(8)}"
    while True:
        with anyio.fail_after(PING_SECONDS):
            await connection.execute("SELECT pg_notify('sla_monitor', %s)", (ping,))
        alive = False
        async for notification in connection.notifies(timeout=PING_SECONDS):
            alive = alive or notification.payload == ping
            act = actions.get(notification.payload)
            if act is not None:
                act()
        if not alive:
            raise SilentError("its notifications do not arrive")
