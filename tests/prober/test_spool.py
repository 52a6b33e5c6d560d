"""The spool: order, replay, limits and locking."""

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prober.spool import Spool, SpoolError
from tests.prober.spooling import MAX_BYTES, drain, numbered, segments


def test_records_are_read_in_order_and_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(*range(50)))
    spool.append(numbered(*range(50, 100)))
    assert (spool.records, spool.bytes) == (100, 100 * (8 + 6))

    assert drain(spool, limit=7) == numbered(*range(100))

    assert (spool.records, spool.bytes, spool.dropped, spool.corrupt) == (0, 0, 0, 0)
    assert segments(tmp_path) == []


def test_reading_without_advancing_removes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2, 3))
    spool.read(2)
    spool.close()

    assert drain(Spool(tmp_path, MAX_BYTES)) == numbered(1, 2, 3)


def test_records_appended_while_reading_are_read_later(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2))
    found = spool.read(1000)
    assert found is not None
    spool.append(numbered(3))
    spool.advance(found[1])

    assert drain(spool) == numbered(3)


@settings(max_examples=30)
@given(st.lists(st.lists(st.binary(max_size=3000), max_size=20), max_size=10), st.integers(1, 30))
def test_any_records_survive_reopening(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[bytes]], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    for batch in batches:
        spool = Spool(folder, MAX_BYTES)
        spool.append(batch)
        spool.close()

    assert drain(Spool(folder, MAX_BYTES), limit) == [record for batch in batches for record in batch]


def test_a_full_spool_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 64 * 1024)
    records = [b"%06d" % number + bytes(994) for number in range(200)]
    for start in range(0, 200, 10):
        spool.append(records[start : start + 10])
        assert sum(path.stat().st_size for path in segments(tmp_path)) == spool.bytes <= 64 * 1024

    kept = drain(spool)

    assert kept == records[-len(kept) :]
    assert len(kept) >= 50
    assert spool.dropped == 200 - len(kept)


def test_a_batch_larger_than_the_spool_keeps_its_newest_records(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 64 * 1024)
    records = [b"%06d" % number + bytes(994) for number in range(500)]
    spool.append(records)

    kept = drain(spool)

    assert kept == records[-len(kept) :]
    assert spool.dropped == 500 - len(kept)


def test_records_dropped_during_a_replay_are_subtracted_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 64 * 1024)
    spool.append([bytes(1000)] * 10)
    found = spool.read(5)
    assert found is not None
    spool.append([b"\1" * 1000] * 60)
    spool.advance(found[1])

    assert spool.records == len(drain(spool)) <= 65


def test_a_crash_during_a_replay_repeats_records(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(*range(10)))
    found = spool.read(6)
    assert found is not None
    spool.advance(found[1])
    spool.close()  # the files are the same after a crash

    rest = drain(Spool(tmp_path, MAX_BYTES))

    assert rest[-4:] == numbered(6, 7, 8, 9)
    assert rest == numbered(*range(10 - len(rest), 10))


def test_a_spool_is_locked_by_one_prober(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    with pytest.raises(SpoolError, match=r"^another prober uses the spool [^\n]*PROBE_LOCATION[^\n]*$"):
        Spool(tmp_path, MAX_BYTES)
    spool.close()

    Spool(tmp_path, MAX_BYTES).close()


def test_a_spool_that_cannot_be_created_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match="SLA_MONITOR_HOME"):
        Spool(tmp_path / "file" / "spool", MAX_BYTES)


def test_one_thread_writes_while_another_replays(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)

    def write() -> None:
        for number in range(200):
            spool.append(numbered(number))

    thread = threading.Thread(target=write)
    thread.start()
    records = []
    while thread.is_alive() or spool.records:
        records += drain(spool, limit=3)
    thread.join()

    assert records == numbered(*range(200))
