"""listen(): notifications call their actions, and a lost or silent connection is replaced."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import psycopg

from sql.listen import Timing, listen
from tests.database_proxy import DatabaseProxy

PATIENCE_S = 120.0
QUICK = Timing(ping_s=0.3, silence_s=2.0, pauses_s=(0.01, 0.05))


def notify(database_url: str, payload: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT pg_notify('sla_monitor', %s)", (payload,))


async def pings(database_url: str, count: int) -> None:
    """Returns after so many pings."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("LISTEN sla_monitor")
        with anyio.fail_after(PATIENCE_S):
            received = [notice.payload async for notice in connection.notifies(stop_after=count)]
    assert {payload.partition(":")[0] for payload in received} == {"ping"}


class Received:
    """Counts the calls of each action."""

    def __init__(self) -> None:
        self.services = 0
        self.ranges = 0
        self.connects = 0

    def on_connect(self) -> None:
        self.connects += 1

    def on_services(self) -> None:
        self.services += 1

    def on_ranges(self) -> None:
        self.ranges += 1

    async def until(self, services: int, ranges: int) -> None:
        with anyio.fail_after(PATIENCE_S):
            while (self.services, self.ranges) != (services, ranges):  # noqa: ASYNC110  # counts, not events
                await anyio.sleep(0.01)


@asynccontextmanager
async def listening(database_url: str) -> AsyncIterator[Received]:
    received = Received()
    actions = {"services": received.on_services, "ranges": received.on_ranges}
    async with anyio.create_task_group() as group:
        group.start_soon(listen, database_url, "sla-monitor tests", actions, received.on_connect, QUICK)
        yield received
        group.cancel_scope.cancel()


async def test_each_payload_runs_its_action(empty_database: str) -> None:
    async with listening(empty_database) as received:
        await received.until(1, 1)  # all actions run after connecting, since earlier notifications are lost
        notify(empty_database, "services")
        await received.until(2, 1)
        notify(empty_database, "checks")
        notify(empty_database, "ranges")
        await received.until(2, 2)


async def test_a_lost_connection_is_opened_again_and_all_actions_run(empty_database: str) -> None:
    async with DatabaseProxy(empty_database).serve() as line, listening(line.url) as received:
        await received.until(1, 1)
        line.disconnect()
        line.restore()
        await received.until(2, 2)
        assert received.connects == 2
        notify(empty_database, "services")
        await received.until(3, 2)


async def test_a_silent_connection_is_replaced(empty_database: str) -> None:
    async with DatabaseProxy(empty_database).serve() as line, listening(line.url) as received:
        await received.until(1, 1)
        line.blackhole()
        with anyio.fail_after(PATIENCE_S):
            while line.connections < 2:  # noqa: ASYNC110  # a count, not an event
                await anyio.sleep(0.01)
        line.restore()
        await received.until(2, 2)


async def test_pings_keep_a_connection_without_notifications(empty_database: str) -> None:
    async with DatabaseProxy(empty_database).serve() as line, listening(line.url) as received:
        await received.until(1, 1)
        await pings(empty_database, 10)  # for longer than it would stay silent
        notify(empty_database, "services")
        await received.until(2, 1)
        assert line.connections == 1
