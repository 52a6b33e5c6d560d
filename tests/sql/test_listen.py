"""Notifications are received, and it is noticed when they no longer are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import psycopg

from sql.listen import Patience, listen
from tests.prober.outages import Line

PATIENCE_S = 120.0
QUICK = Patience(ping_s=0.3, silence_s=2.0, pauses_s=(0.01, 0.05))


def say(database_url: str, payload: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT pg_notify('sla_monitor', %s)", (payload,))


async def pings(database_url: str, count: int) -> None:
    """Returns after so many pings."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("LISTEN sla_monitor")
        with anyio.fail_after(PATIENCE_S):
            received = [notice.payload async for notice in connection.notifies(stop_after=count)]
    assert {payload.partition(":")[0] for payload in received} == {"ping"}


class Ear:
    """What was heard."""

    def __init__(self) -> None:
        self.services = 0
        self.ranges = 0
        self.connects = 0

    def count_connect(self) -> None:
        self.connects += 1

    def hear_services(self) -> None:
        self.services += 1

    def hear_ranges(self) -> None:
        self.ranges += 1

    async def until(self, services: int, ranges: int) -> None:
        with anyio.fail_after(PATIENCE_S):
            while (self.services, self.ranges) != (services, ranges):  # noqa: ASYNC110  # counts, not events
                await anyio.sleep(0.01)


@asynccontextmanager
async def listening(database_url: str) -> AsyncIterator[Ear]:
    ear = Ear()
    actions = {"services": ear.hear_services, "ranges": ear.hear_ranges}
    async with anyio.create_task_group() as group:
        group.start_soon(listen, database_url, "sla-monitor tests", actions, ear.count_connect, QUICK)
        yield ear
        group.cancel_scope.cancel()


async def test_each_payload_has_its_action(empty_database: str) -> None:
    async with listening(empty_database) as ear:
        await ear.until(1, 1)  # once after connecting: what was said before is unknown
        say(empty_database, "services")
        await ear.until(2, 1)
        say(empty_database, "checks")
        say(empty_database, "ranges")
        await ear.until(2, 2)


async def test_a_lost_connection_is_opened_again_and_all_is_asked_for(empty_database: str) -> None:
    async with Line(empty_database).serve() as line, listening(line.url) as ear:
        await ear.until(1, 1)
        line.cut()
        line.mend()
        await ear.until(2, 2)
        assert ear.connects == 2
        say(empty_database, "services")
        await ear.until(3, 2)


async def test_a_connection_that_says_nothing_is_given_up(empty_database: str) -> None:
    async with Line(empty_database).serve() as line, listening(line.url) as ear:
        await ear.until(1, 1)
        line.blackhole()
        with anyio.fail_after(PATIENCE_S):
            while line.connections < 2:  # noqa: ASYNC110  # a count, not an event
                await anyio.sleep(0.01)
        line.mend()
        await ear.until(2, 2)


async def test_its_own_pings_keep_a_quiet_connection(empty_database: str) -> None:
    async with Line(empty_database).serve() as line, listening(line.url) as ear:
        await ear.until(1, 1)
        await pings(empty_database, 10)  # for longer than it would stay silent
        say(empty_database, "services")
        await ear.until(2, 1)
        assert line.connections == 1
