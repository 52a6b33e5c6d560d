"""Updates and comments are numbered by the microsecond, and the numbers are unique within one microsecond."""

import anyio
import pytest

from tests.sql.batches import Connection, connected, fetch, until_true

SAME_TIME = "CREATE OR REPLACE FUNCTION number_by_time(moment timestamptz) RETURNS bigint LANGUAGE sql RETURN 9e15"
INCIDENT = "INSERT INTO incidents (title, severity, priority) VALUES ('Slow', 'low', 'P3') RETURNING id"
COMMENT = "INSERT INTO incident_comments (incident_id, author, text) VALUES (%s, 'Ann', 'Seen') RETURNING id"
UPDATE = (
    "INSERT INTO incident_updates (incident_id, status, description) VALUES (%s, 'monitoring', 'Seen') RETURNING id"
)
WAITING = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.mark.parametrize("statement", [COMMENT, UPDATE], ids=["comments", "updates"])
async def test_two_sessions_get_distinct_numbers_in_one_microsecond(
    db: Connection, database: str, statement: str
) -> None:
    [[first], [second]] = [*await fetch(db, INCIDENT), *await fetch(db, INCIDENT)]
    await db.execute(SAME_TIME.encode())
    found: list[int] = []

    async with connected(database) as other, connected(database) as watching, anyio.create_task_group() as group:

        async def insert_in_other_session() -> None:
            found.extend(number for (number,) in await fetch(other, statement, (second,)))

        async with db.transaction():
            [[number]] = await fetch(db, statement, (first,))
            group.start_soon(insert_in_other_session)
            await until_true(watching, WAITING)
    assert (number, found) == (9 * 10**15, [9 * 10**15 + 1])
