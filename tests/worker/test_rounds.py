"""Rounds of duties: a duty that fails or hangs does not stop others; duties without a database."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

import worker.locks
from tests.database_proxy import DatabaseProxy
from tests.sql.batches import connected, until_true, value
from tests.worker.working import PATIENCE_S, working
from worker.duty import Duty, Work


def duty_of(name: str, do: Callable[[Work], Awaitable[object]], timeout_s: float = 5) -> Duty:
    return Duty(name, 0.05, do, timeout_s)


async def nothing(work: Work) -> None:
    pass


async def test_a_failing_duty_does_not_stop_others(database: str, caplog: pytest.LogCaptureFixture) -> None:
    async def defect(work: Work) -> None:
        raise ZeroDivisionError("a defect")

    async def bad_statement(work: Work) -> None:
        async with work.pool.connection() as connection:
            await connection.execute("SELECT * FROM nowhere")

    duties = [duty_of("defect", defect), duty_of("bad", bad_statement), duty_of("good", nothing)]
    async with working(database, "expiry", duties=duties) as worker:
        for name in ("defect", "bad"):
            await worker.wait_for_rounds(name, 2, "failed")
            assert worker.rounds(name) == 0
        for name in ("good", "expiry"):
            await worker.wait_for_next_round(name)
            assert worker.rounds(name, "failed") == 0
    assert "ZeroDivisionError" in caplog.text  # with its traceback
    assert 'bad: relation "nowhere" does not exist' in caplog.text


SETTINGS = """
SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('plan_cache_mode')
"""


async def test_rounds_with_long_statements_use_the_connections_of_the_pool(database: str) -> None:
    rounds: list[tuple[int, object]] = []
    between: set[object] = set()

    async def look(work: Work) -> None:
        async with work.session(77) as connection:
            rounds.append((connection.info.backend_pid, await (await connection.execute(SETTINGS)).fetchone()))
        async with work.pool.connection() as connection:
            between.add(await (await connection.execute(SETTINGS)).fetchone())

    async with working(database, duties=[duty_of("look", look)]) as worker:
        await worker.wait_for_rounds("look", 7)
    assert len({process for process, _ in rounds}) == 1
    assert {settings for _, settings in rounds} == {("77s", "0", "force_custom_plan")}
    assert between == {("14s", "10s", "auto")}


async def test_a_round_that_failed_leaves_nothing_behind(database: str) -> None:
    between: list[object] = []

    async def fail(work: Work) -> None:
        async with work.pool.connection() as connection:
            between.append(await (await connection.execute(SETTINGS)).fetchone())
        async with work.session(77) as connection:
            await connection.execute("SELECT pg_advisory_lock(4711)")
            await connection.execute("SELECT * FROM nowhere")

    async with connected(database) as db, working(database, duties=[duty_of("fail", fail)]) as worker:
        await worker.wait_for_rounds("fail", 3, "failed")
        assert set(between) == {("14s", "10s", "auto")}
        await until_true(db, "SELECT pg_try_advisory_lock(4711)")


SLEEPING = """
FROM pg_stat_activity
WHERE datname = current_database() AND query = 'SELECT pg_sleep(600)' AND state = 'active'
"""


async def test_a_hanging_duty_and_its_statement_are_cancelled_at_the_timeout(database: str) -> None:

    async def hang(work: Work) -> None:
        async with work.session(600) as connection:
            await connection.execute("SELECT pg_sleep(600)")

    async with (
        connected(database) as db,
        working(database, duties=[duty_of("hang", hang, 0.5), duty_of("good", nothing)]) as worker,
    ):
        await until_true(db, f"SELECT count(*) = 1 {SLEEPING}")
        assert worker.value("duty_running", duty="hang") == 1
        await worker.wait_for_rounds("hang", 2, "timed_out")
        await worker.wait_for_next_round("good")
        assert await value(db, f"SELECT count(*) <= 1 {SLEEPING}")
    async with connected(database) as db:
        await until_true(db, f"SELECT count(*) = 0 {SLEEPING}")


async def test_the_worker_waits_for_a_database_that_is_away_at_the_start(database: str) -> None:
    async with DatabaseProxy(database).serve() as proxy:
        proxy.disconnect()
        async with working(proxy.url, "expiry", "events") as worker:
            with anyio.fail_after(PATIENCE_S):
                while worker.value("lock_losses_total") < 1:  # noqa: ASYNC110  # a count, not an event
                    await anyio.sleep(0.01)
            assert not worker.locks.connected
            assert worker.rounds("expiry", "failed") == 0  # the worker does not hold the duty
            proxy.restore()
            await worker.wait_for_rounds("expiry")
            await worker.wait_for_rounds("events")


@pytest.mark.parametrize("away", ["disconnect", "blackhole"])
async def test_duties_are_released_while_the_database_is_away_and_resumed_later(
    database: str, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.locks, "RENEW_S", 0.2)
    monkeypatch.setattr(worker.locks, "LOST_S", 1.0)
    monkeypatch.setattr(worker.locks, "SILENCE_S", 2.0)
    running: list[Work] = []

    async def long(work: Work) -> None:
        running.append(work)
        try:
            await anyio.sleep_forever()
        finally:
            running.remove(work)

    async with (
        DatabaseProxy(database).serve() as proxy,
        working(proxy.url, "expiry", duties=[duty_of("long", long, 600)]) as ours,
    ):
        await ours.wait_for_rounds("expiry")
        assert len(running) == 1
        getattr(proxy, away)()
        with anyio.fail_after(PATIENCE_S):
            while running:  # noqa: ASYNC110  # a count, not an event
                await anyio.sleep(0.01)
        # Another worker gets the duty when the server has ended the session of the first one.
        async with working(database, "expiry") as theirs:
            await theirs.wait_for_rounds("expiry")
        proxy.break_connections()
        proxy.restore()
        await ours.wait_for_next_round("expiry")
        assert len(running) == 1
