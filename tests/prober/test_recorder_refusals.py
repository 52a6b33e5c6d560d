"""Checks that the database or the disk does not accept."""

import shutil
from pathlib import Path

import msgspec
import pytest

from prober.recorder import BACKOFF_S, backoff
from tests.prober.recording import running_recorder


async def test_invalid_rows_are_written_to_a_file_and_the_others_stored(database: str, tmp_path: Path) -> None:
    async with running_recorder(database, tmp_path) as run:
        run.put(*range(20))
        run.recorder.put(run.check(20, error_message="PostgreSQL refuses NUL \0 in text"))
        run.recorder.put(run.check(21, error_message="a lone \ud800 surrogate"))
        run.put(*range(22, 40))
        await run.wait_until(lambda: run.metric("rows_total", result="stored") == 38)

    assert run.stored() == [*range(20), *range(22, 40)]
    assert run.metric("rows_total", result="refused") == 2
    lines = [msgspec.json.decode(line) for line in run.refused.read_bytes().splitlines()]
    assert len(lines) == 2
    assert "0x00" in lines[0]["reason"]
    assert "scheduled_at=" in lines[0]["check"]


async def test_an_invalid_row_in_the_spool_does_not_block_it(database: str, tmp_path: Path) -> None:
    async with running_recorder(database, tmp_path) as run:
        run.proxy.disconnect()
        run.recorder.put(run.check(1, error_message="\0"))
        run.recorder.put(run.check(2, error_message="a lone \ud800 surrogate"))
        run.put(3)
        await run.wait_until(lambda: run.spool.records > 0)
        run.spool.append([b"written by another version"])
        run.proxy.restore()
        await run.wait_until(lambda: run.spool.records == 0)

    assert run.stored() == [3]
    assert run.metric("rows_total", result="refused") == 3


async def test_a_refused_row_is_lost_and_logged_when_the_file_is_full(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("prober.recorder.REFUSED_FILE_BYTES", 600)
    async with running_recorder(database, tmp_path) as run:
        for number in range(3):
            run.recorder.put(run.check(number, error_message="\0"))
        await run.wait_until(lambda: run.metric("rows_total", result="refused") == 3)
    lines = run.refused.read_bytes().splitlines()
    assert 1 <= len(lines) < 3
    texts = [record.getMessage() for record in caplog.records if "the database refuses" in record.getMessage()]
    assert sum("is set aside in" in text for text in texts) == len(lines)
    assert sum("is lost, because" in text and "is full" in text for text in texts) == 3 - len(lines)


@pytest.mark.parametrize("failures", [1, 7, 1_000, 1_024, 10**9])
def test_the_pause_after_failures_has_a_limit(failures: int) -> None:
    low, high = BACKOFF_S
    assert all(low <= backoff(failures) <= high for _ in range(100))


async def test_parked_rows_are_counted(database: str, tmp_path: Path) -> None:
    async with running_recorder(database, tmp_path) as run:
        run.recorder.put(run.check(1, service_id="deleted-meanwhile"))
        run.put(2)

    assert run.stored() == [2]
    assert run.metric("rows_total", result="parked") == 1


async def test_with_a_full_disk_the_newest_checks_stay_in_memory(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("prober.recorder.QUEUE_ROWS", 5)
    monkeypatch.setattr("prober.recorder.DISK_RETRY_S", 0.02)
    home = tmp_path / "home"
    async with running_recorder(database, home) as run:
        run.proxy.disconnect()
        shutil.rmtree(home)  # as with a full disk, writes fail
        run.put(9)
        await run.wait_until(lambda: run.metric("spool_failures_total") > 0)
        run.put(*range(8, 0, -1))
        assert run.metric("queue_rows") <= 6
        assert run.metric("queue_dropped_rows_total") >= 3
        assert (run.recorder.database_responds, run.recorder.spool_works) == (False, False)
        assert "the spool cannot be written" in caplog.text

        run.proxy.restore()
        await run.wait_until(lambda: run.recorder.ready and run.metric("queue_rows") == 0)
    assert run.stored()[:5] == [1, 2, 3, 4, 5]
