"""The spool keeps what it acknowledged: through crashes, damage, a full disk, and its own bound."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prober.spool import Spool, SpoolError

MAX_BYTES = 1024 * 1024


def drain(spool: Spool, limit: int = 1000) -> list[bytes]:
    records = []
    while (found := spool.read(limit)) is not None:
        records += found[0]
        spool.advance(found[1])
    return records


def numbered(*numbers: int) -> list[bytes]:
    return [b"%06d" % number for number in numbers]


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def test_records_come_back_in_order_and_are_gone_then(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(*range(50)))
    spool.append(numbered(*range(50, 100)))
    assert (spool.records, spool.bytes) == (100, 100 * (8 + 6))

    assert drain(spool, limit=7) == numbered(*range(100))

    assert (spool.records, spool.bytes, spool.dropped, spool.corrupt) == (0, 0, 0, 0)
    assert segments(tmp_path) == []


def test_reading_alone_forgets_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2, 3))
    spool.read(2)
    spool.close()

    assert drain(Spool(tmp_path, MAX_BYTES)) == numbered(1, 2, 3)


def test_records_appended_while_reading_come_behind(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_torn_tail_costs_only_the_record_that_was_not_acknowledged(tmp_path: Path, cut: int) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2, 3))
    spool.close()
    os.truncate(segments(tmp_path)[0], 3 * 14 - cut)

    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(4))

    assert spool.corrupt == 0
    assert drain(spool) == numbered(1, 2, 4)


def test_a_tail_of_zeros_is_not_read_as_empty_records(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1))
    spool.close()
    with segments(tmp_path)[0].open("ab") as file:
        file.write(bytes(4096))

    assert drain(Spool(tmp_path, MAX_BYTES)) == numbered(1)


# Every bit of the head and of the payload of the third record; and of the last one.
@pytest.mark.parametrize("record", [2, 3])
@pytest.mark.parametrize("place", range(14))
@pytest.mark.parametrize("bit", range(8))
def test_a_damaged_record_costs_itself_and_is_counted(tmp_path: Path, record: int, place: int, bit: int) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2, 3, 4))
    spool.close()
    [path] = segments(tmp_path)
    block = bytearray(path.read_bytes())
    block[record * 14 + place] ^= 1 << bit
    path.write_bytes(block)

    spool = Spool(tmp_path, MAX_BYTES)

    assert (spool.records, spool.corrupt, spool.unreadable_bytes) == (3, 1, 14)
    assert drain(spool, limit=2) == [one for one in numbered(1, 2, 3, 4) if one != numbered(record + 1)[0]]
    assert (spool.records, spool.bytes, segments(tmp_path)) == (0, 0, [])


def test_a_damaged_segment_costs_no_other(tmp_path: Path) -> None:
    for numbers in ((1, 2, 3), (4, 5)):
        spool = Spool(tmp_path, MAX_BYTES)
        spool.append(numbered(*numbers))
        spool.close()
    segments(tmp_path)[0].write_bytes(b"\xff" * 1000)

    spool = Spool(tmp_path, MAX_BYTES)

    assert (spool.corrupt, spool.unreadable_bytes) == (1, 1000)
    assert drain(spool) == numbered(4, 5)


def test_damage_after_opening_is_skipped_and_counted_too(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2, 3))
    segments(tmp_path)[0].write_bytes(b"x" * 42)
    assert drain(spool) == []
    assert (spool.records, spool.bytes, spool.dropped, spool.corrupt, spool.unreadable_bytes) == (0, 0, 3, 1, 42)

    spool.append(numbered(4))
    assert drain(spool) == numbered(4)


def test_damage_after_opening_costs_what_is_damaged(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2, 3, 4))
    found = spool.read(1)
    assert found is not None
    spool.advance(found[1])
    with segments(tmp_path)[0].open("r+b") as file:
        file.seek(14 + 2)
        file.write(b"\x7f")
    assert drain(spool, limit=1) == numbered(3, 4)
    assert (spool.records, spool.bytes, spool.dropped, spool.corrupt, spool.unreadable_bytes) == (0, 0, 1, 1, 14)


def test_a_segment_that_somebody_removed_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2))
    segments(tmp_path)[0].unlink()
    assert drain(spool) == []
    assert (spool.records, spool.dropped, spool.corrupt) == (0, 2, 1)
    spool.append(numbered(3))
    assert drain(spool) == numbered(3)


def test_files_that_are_no_segments_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1))
    spool.close()
    strays = [tmp_path / name for name in ("1 copy.spool", "7.spool", "notes.spool", "٣.spool", "00000001.spool.bak")]
    for stray in strays:
        stray.write_bytes(b"mine")
    (folder := tmp_path / "00000002.spool").mkdir()

    spool = Spool(tmp_path, MAX_BYTES)
    with pytest.raises(FileExistsError):
        spool.append(numbered(2))  # the folder has taken the name
    spool.append(numbered(2))

    assert drain(spool) == numbered(1, 2)
    assert spool.corrupt == 0
    assert all(stray.read_bytes() == b"mine" for stray in strays)
    for stray in (*strays[:4], folder):
        assert f"{stray} is no segment of the spool and is ignored" in caplog.text


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


def test_what_was_dropped_while_it_was_replayed_is_not_forgotten_twice(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 64 * 1024)
    spool.append([bytes(1000)] * 10)
    found = spool.read(5)
    assert found is not None
    spool.append([b"\1" * 1000] * 60)
    spool.advance(found[1])

    assert spool.records == len(drain(spool)) <= 65


def test_a_crash_in_the_middle_of_a_replay_only_repeats(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(*range(10)))
    found = spool.read(6)
    assert found is not None
    spool.advance(found[1])
    spool.close()  # a crash leaves the same files behind

    rest = drain(Spool(tmp_path, MAX_BYTES))

    assert rest[-4:] == numbered(6, 7, 8, 9)
    assert rest == numbered(*range(10 - len(rest), 10))


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    # a file size limit stands in for the full disk: write() fails half-way in both
    script = """
import resource, signal, sys
from pathlib import Path
from prober.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = Spool(Path(sys.argv[1]), 1024 * 1024)
spool.append([b"kept"])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    spool.append([bytes(5000)])
except OSError:
    assert spool.records == 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    spool.append([b"later"])
    found = spool.read(10)
    print([bytes(record) for record in found[0]])
"""
    ran = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[b'kept']"  # the failed segment is left behind, the next one holds the rest

    assert drain(Spool(tmp_path, MAX_BYTES)) == [b"kept", b"later"]


def test_kill_9_while_writing_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from prober.spool import Spool
spool = Spool(Path(sys.argv[1]), 1024 * 1024)
number = 0
while True:
    spool.append([b"%06d" % number])
    print(number, flush=True)
    number += 1
"""
    with subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = -1
        while acknowledged < 20:
            acknowledged = int(process.stdout.readline())
        process.kill()
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])

    records = drain(Spool(tmp_path, MAX_BYTES))

    assert records[: acknowledged + 1] == numbered(*range(acknowledged + 1))
    assert len(records) <= acknowledged + 2


def test_two_probers_do_not_share_a_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    with pytest.raises(SpoolError, match=r"^another prober uses the spool [^\n]*PROBE_LOCATION[^\n]*$"):
        Spool(tmp_path, MAX_BYTES)
    spool.close()

    Spool(tmp_path, MAX_BYTES).close()


def test_a_spool_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
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
