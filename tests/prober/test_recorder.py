"""The recorder: batches, outages of the database, the spool, and restarts."""

import logging
from datetime import timedelta
from pathlib import Path

import anyio
import msgspec
import psycopg
import pytest

from prober.store import Check
from tests.database_proxy import DatabaseProxy
from tests.prober.recording import RecorderRun, running_recorder


async def test_checks_are_stored_with_all_fields(database: str, tmp_path: Path) -> None:
    async with running_recorder(database, tmp_path) as run:
        failed = run.check(
            1,
            success=False,
            severity="mo",
            status_code=None,
            total_ms=None,
            error_type="timeout",
            error_message="slow ✗",
        )
        run.recorder.put(run.check(2))
        run.recorder.put(failed)

    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT * FROM checks ORDER BY scheduled_at").fetchall()
    good = msgspec.structs.astuple(run.check(2))[: len(rows[0])]  # the certificate is not stored in checks
    assert [row[:3] for row in rows] == [good[:3], msgspec.structs.astuple(failed)[:3]]
    # The checks finished after 80 ms. Stored times have a resolution of 250 ms.
    assert {row[3] - row[2] for row in rows} == {timedelta(milliseconds=250)}
    assert rows[0][5:] == good[5:]
    assert rows[1][5:] == (None, False, "mo", None, None, 0.5, None, 70.0, 1, "timeout", "slow ✗")
    assert run.metric("rows_total", result="stored") == 2
    assert run.recorder.ready


async def test_a_single_check_is_stored_at_once_and_many_in_batches(database: str, tmp_path: Path) -> None:
    async with running_recorder(database, tmp_path) as run:
        run.put(0)
        await run.wait_until(lambda: run.metric("rows_total", result="stored") == 1)
        run.put(*range(1, 2501))
        await run.wait_until(lambda: run.metric("rows_total", result="stored") == 2501)

        assert 4 <= run.metric("batch_rows_count") <= 6
        assert run.metric("batch_rows_bucket", le="1000.0") == run.metric("batch_rows_count")
    assert run.stored() == list(range(2501))


async def test_checks_during_an_outage_of_the_database_are_stored_later(database: str, tmp_path: Path) -> None:
    async with running_recorder(database, tmp_path) as run:
        run.put(9)
        await run.wait_until(lambda: run.metric("rows_total", result="stored") == 1)  # the commit was acknowledged
        run.proxy.disconnect()
        run.put(8, 7)
        await run.wait_until(lambda: run.spool.records == 2)
        run.put(6)
        await run.wait_until(lambda: run.spool.records == 3)
        assert run.recorder.ready
        assert not run.recorder.database_responds

        run.proxy.restore()
        await run.wait_until(lambda: run.spool.records == 0)
        run.put(5)

    assert run.stored() == [5, 6, 7, 8, 9]
    assert run.metric("rows_total", result="duplicate") == 0


async def test_a_spool_of_a_version_without_certificates_is_replayed(database: str, tmp_path: Path) -> None:
    """The last field of its records is the error message."""
    async with running_recorder(database, tmp_path) as run:
        run.proxy.disconnect()
        fields = list(msgspec.structs.astuple(run.check(3)))
        run.spool.append([msgspec.msgpack.encode(fields[: Check.__struct_fields__.index("error_message") + 1])])
        run.put(2)
        await run.wait_until(lambda: run.spool.records == 2)
        run.proxy.restore()
        await run.wait_until(lambda: run.spool.records == 0)

    assert run.stored() == [2, 3]
    assert not run.refused.exists()


async def test_a_certificate_is_stored_from_the_spool(database: str, tmp_path: Path) -> None:
    async with running_recorder(database, tmp_path) as run:
        expires_at = run.now + timedelta(days=30)
        run.proxy.disconnect()
        run.recorder.put(run.check(2, certificate_expires_at=expires_at, certificate_issuer="Acme"))
        run.put(1)
        await run.wait_until(lambda: run.spool.records == 2)
        run.proxy.restore()
        await run.wait_until(lambda: run.spool.records == 0)

    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT certificate_expires_at, certificate_issuer FROM service_status").fetchall()
    assert found == [(expires_at, "Acme")]


async def test_the_spool_is_stored_before_newer_checks(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prober.recorder.BATCH_ROWS", 10)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE arrivals (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz)")
        connection.execute(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN INSERT INTO arrivals (at) VALUES (NEW.scheduled_at); RETURN NULL; END'"
        )
        connection.execute("CREATE TRIGGER note AFTER INSERT ON checks FOR EACH ROW EXECUTE FUNCTION note()")
    async with running_recorder(database, tmp_path) as run:
        run.proxy.disconnect()
        run.put(*range(300, 100, -1))
        await run.wait_until(lambda: run.spool.records == 200)
        run.proxy.restore()
        for number in range(100, 0, -1):
            run.put(number)
            await anyio.lowlevel.checkpoint()
        await run.wait_until(lambda: len(run.stored()) == 300)

    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT at FROM arrivals ORDER BY id").fetchall()
    assert [at for (at,) in found] == sorted(at for (at,) in found)


async def test_a_lost_acknowledgement_of_commit_stores_nothing_twice(database: str, tmp_path: Path) -> None:
    async with running_recorder(database, tmp_path) as run:
        run.proxy.lose_next_commit = True
        run.put(1, 2, 3)
        await run.wait_until(lambda: run.proxy.commits_lost == 1 and run.metric("rows_total", result="duplicate") == 3)

    assert run.stored() == [1, 2, 3]
    assert run.spool.records == 0


async def test_checks_are_spooled_while_the_network_drops_packets(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prober.recorder.DIRECT_TIMEOUT_S", 1.0)
    monkeypatch.setattr("prober.recorder.REPLAY_TIMEOUT_S", 4.0)  # more than a batch takes on a loaded machine
    async with running_recorder(database, tmp_path) as run:
        run.put(3)
        await run.wait_until(lambda: run.metric("rows_total", result="stored") == 1)
        run.proxy.blackhole()
        run.put(2)
        await run.wait_until(lambda: run.spool.records == 1)
        run.put(1)
        await run.wait_until(lambda: run.spool.records == 2)

        run.proxy.restore()
        await run.wait_until(lambda: run.stored() == [1, 2, 3])
        await run.wait_until(lambda: run.spool.records == 0)


async def test_terminated_backends_lose_no_check(database: str, tmp_path: Path) -> None:
    async with running_recorder(database, tmp_path) as run:
        for number in range(10):
            run.put(number)
            await run.wait_until(lambda number=number: number in run.stored())  # type: ignore[misc]
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'sla-monitor prober local'"
                )
    assert run.stored() == list(range(10))


async def test_checks_are_spooled_until_the_database_has_a_schema(empty_database: str, tmp_path: Path) -> None:
    async with DatabaseProxy(empty_database).serve() as proxy:
        run = RecorderRun(proxy, empty_database, tmp_path)
        async with anyio.create_task_group() as group:
            group.start_soon(run.recorder.run)
            run.put(1)
            await run.wait_until(lambda: run.metric("database_failures_total") >= 2)
            run.recorder.close()
        assert run.spool.records == 1
        assert not run.refused.exists()
        run.spool.close()


async def test_a_cancelled_recorder_writes_its_queue_to_the_spool(database: str, tmp_path: Path) -> None:
    async with DatabaseProxy(database).serve() as proxy:
        run = RecorderRun(proxy, database, tmp_path)
        proxy.blackhole()
        async with anyio.create_task_group() as group:
            group.start_soon(run.recorder.run)
            run.put(*range(10))
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        assert run.spool.records == 10
        run.spool.close()
    assert run.stored() == []


async def test_the_next_process_replays_the_spool(database: str, tmp_path: Path) -> None:
    async with running_recorder(database, tmp_path) as run:
        run.proxy.disconnect()
        run.put(1, 2)
    assert run.spool.records == 2

    async with running_recorder(database, tmp_path) as successor:
        await successor.wait_until(lambda: successor.spool.records == 0)
        successor.now = run.now
        assert successor.stored() == [1, 2]


async def test_an_outage_makes_few_log_messages(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="prober")
    async with running_recorder(database, tmp_path) as run:
        run.proxy.disconnect()
        for number in range(5):
            run.put(number)
            await run.wait_until(lambda number=number: run.spool.records == number + 1)  # type: ignore[misc]
        run.proxy.restore()
        await run.wait_until(lambda: "the spool is empty again" in caplog.text)

    messages = [record.getMessage() for record in caplog.records if record.name.startswith("prober")]
    assert len(messages) <= 3
    assert messages[-1] == "the spool is empty again: 5 checks replayed"
    assert not any("\n" in message for message in messages)
