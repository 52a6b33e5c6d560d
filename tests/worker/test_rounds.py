"""A duty that fails or hangs stops no other, and is seen in the metrics; the database may be away at any time."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

import worker.locks
from tests.database_proxy import DatabaseProxy
from tests.sql.batches import connected, until_true, value
from tests.worker.working import PATIENCE_S, working
from worker.duty import Duty, Work


def made_up(name: str, do: Callable[[Work], Awaitable[object]], timeout_s: float = 5) -> Duty:
    return Duty(name, 0.05, do, timeout_s)


async def nothing(work: Work) -> None:
    pass


async def test_a_failing_duty_stops_no_other(database: str, caplog: pytest.LogCaptureFixture) -> None:
    async def defect(work: Work) -> None:
        raise ZeroDivisionError("a defect")

    async def bad_statement(work: Work) -> None:
        async with work.pool.connection() as connection:
            await connection.execute("SELECT * FROM nowhere")

    duties = [made_up("defect", defect), made_up("bad", bad_statement), made_up("good", nothing)]
    async with working(database, "expiry", duties=duties) as worker:
        for name in ("defect", "bad"):
            await worker.reached(name, 2, "failed")
            assert worker.rounds(name) == 0
        for name in ("good", "expiry"):
            await worker.again(name)
            assert worker.rounds(name, "failed") == 0
    assert "ZeroDivisionError" in caplog.text  # with its traceback
    assert 'bad: relation "nowhere" does not exist' in caplog.text


SLEEPING = """
FROM pg_stat_activity
WHERE datname = current_database() AND query = 'SELECT pg_sleep(600)' AND state = 'active'
"""


async def test_a_hanging_duty_is_cancelled_after_its_time(database: str) -> None:
    """Its statement too."""

    async def hang(work: Work) -> None:
        async with work.session(600) as connection:
            await connection.execute("SELECT pg_sleep(600)")

    async with (
        connected(database) as db,
        working(database, duties=[made_up("hang", hang, 0.5), made_up("good", nothing)]) as worker,
    ):
        await until_true(db, f"SELECT count(*) = 1 {SLEEPING}")
        assert worker.value("duty_running", duty="hang") == 1
        await worker.reached("hang", 2, "timed_out")
        await worker.again("good")
        assert await value(db, f"SELECT count(*) <= 1 {SLEEPING}")
    async with connected(database) as db:
        await until_true(db, f"SELECT count(*) = 0 {SLEEPING}")


async def test_a_database_that_is_away_at_the_start_is_waited_for(database: str) -> None:
    async with DatabaseProxy(database).serve() as line:
        line.disconnect()
        async with working(line.url, "expiry", "events") as worker:
            with anyio.fail_after(PATIENCE_S):
                while worker.value("lock_losses_total") < 1:  # noqa: ASYNC110  # a count, not an event
                    await anyio.sleep(0.01)
            assert not worker.locks.connected
            assert worker.rounds("expiry", "failed") == 0  # it is not this worker's to try
            line.restore()
            await worker.reached("expiry")
            await worker.reached("events")


@pytest.mark.parametrize("away", ["disconnect", "blackhole"])
async def test_duties_are_given_up_while_the_database_is_away_and_taken_again(
    database: str, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.locks, "RENEW_S", 0.2)
    monkeypatch.setattr(worker.locks, "LOST_S", 1.0)
    monkeypatch.setattr(worker.locks, "SILENCE_S", 2.0)
    under_way: list[Work] = []

    async def long(work: Work) -> None:
        under_way.append(work)
        try:
            await anyio.sleep_forever()
        finally:
            under_way.remove(work)

    async with (
        DatabaseProxy(database).serve() as line,
        working(line.url, "expiry", duties=[made_up("long", long, 600)]) as ours,
    ):
        await ours.reached("expiry")
        assert len(under_way) == 1
        getattr(line, away)()
        with anyio.fail_after(PATIENCE_S):
            while under_way:  # noqa: ASYNC110  # a count, not an event
                await anyio.sleep(0.01)
        # Another one may do it as soon as the server has given the first one's session up.
        async with working(database, "expiry") as theirs:
            await theirs.reached("expiry")
        line.break_connections()
        line.restore()
        await ours.again("expiry")
        assert len(under_way) == 1
