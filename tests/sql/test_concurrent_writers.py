"""record_checks_v2() with concurrent writers, and with services that change meanwhile."""

import anyio
import psycopg
import pytest

from tests.sql.batches import (
    MINUTE,
    Connection,
    Row,
    add_services,
    connected,
    copy,
    events,
    fetch,
    now,
    outages,
    parked,
    record,
    row,
    state,
    until_waiting,
    value,
)


class TestConcurrentWriters:
    async def test_two_writers_open_one_outage(self, db: Connection, database: str) -> None:
        start = now() - 5 * MINUTE
        await record(db, [row(start), row(start, location="seoul")])
        first = [row(start + minute * MINUTE, "mo") for minute in range(1, 5)]
        second = [row(start + minute * MINUTE, "mo", location="seoul") for minute in range(1, 5)]
        async with connected(database) as one, connected(database) as two, anyio.create_task_group() as writers:
            for connection, rows in ((one, first), (two, second)):
                writers.start_soon(self._one_by_one, connection, rows)
        assert await outages(db) == [(start + MINUTE, None)]
        assert await value(db, "SELECT count(*) FROM checks") == 10

    async def test_two_writers_of_the_same_rows_store_them_once(self, db: Connection, database: str) -> None:
        start = now() - 20 * MINUTE
        rows = [row(start + minute * MINUTE, "mo" if minute > 9 else "o") for minute in range(20)]
        async with connected(database) as one, connected(database) as two, anyio.create_task_group() as writers:
            for connection in (one, two):
                writers.start_soon(self._one_by_one, connection, rows)
        assert await value(db, "SELECT count(*) FROM checks") == 20
        assert await outages(db) == [(start + 10 * MINUTE, None)]
        assert [event["status"] for event in await events(db)][-1] == "outage"

    @staticmethod
    async def _one_by_one(connection: Connection, rows: list[Row]) -> None:
        for one in rows:
            await record(connection, [one])

    async def test_a_constraint_refuses_a_second_open_outage(self, db: Connection) -> None:
        await record(db, [row(now(), "mo")])
        with pytest.raises(psycopg.errors.UniqueViolation, match="outages_one_open"):
            await db.execute("INSERT INTO outages (service_id, started_at) VALUES ('web', now() - interval '1 day')")

    async def test_a_service_deleted_meanwhile_parks_its_own_rows_only(self, db: Connection, database: str) -> None:
        await add_services(db, "doomed")
        batch = [row(now(), service="doomed"), row(now())]
        results: list[tuple[int, int, int]] = []

        async def write(connection: Connection) -> None:
            results.append(await record(connection, batch))

        async with connected(database) as rival, anyio.create_task_group() as writers, db.transaction():
            await db.execute("DELETE FROM services WHERE id = 'doomed'")
            writers.start_soon(write, rival)
            await until_waiting(db)
        assert results == [(1, 0, 1)]
        assert await parked(db) == ["unknown service"]

    async def test_a_service_paused_meanwhile_causes_no_deadlock(self, db: Connection, database: str) -> None:
        """A PATCH locks the service and then pauses it, while a batch has locked its latest check."""
        await record(db, [row(now() - MINUTE)])

        async def pause(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute("SELECT FROM services WHERE id = 'web' FOR NO KEY UPDATE")
                await connection.execute("UPDATE services SET enabled = false WHERE id = 'web'")

        async with connected(database) as rival, anyio.create_task_group() as writers, db.transaction():
            await copy(db, [row(now(), "mo")])
            await fetch(db, "SELECT record_checks()")
            writers.start_soon(pause, rival)
            await until_waiting(db)
        assert (await state(db))[0] == "unknown"
