"""A spool with damaged files, after a crash, and on a full disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prober.spool import Spool
from tests.prober.spooling import MAX_BYTES, drain, numbered, segments


@pytest.mark.parametrize("cut", range(1, 14))
def test_an_incomplete_last_record_is_lost_alone(tmp_path: Path, cut: int) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2, 3))
    spool.close()
    os.truncate(segments(tmp_path)[0], 3 * 14 - cut)

    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(4))

    assert spool.corrupt == 0
    assert drain(spool) == numbered(1, 2, 4)


def test_zeros_at_the_end_are_not_records(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1))
    spool.close()
    with segments(tmp_path)[0].open("ab") as file:
        file.write(bytes(4096))

    assert drain(Spool(tmp_path, MAX_BYTES)) == numbered(1)


# Every bit of the third record and of the last one.
@pytest.mark.parametrize("record", [2, 3])
@pytest.mark.parametrize("place", range(14))
@pytest.mark.parametrize("bit", range(8))
def test_a_damaged_record_is_lost_alone_and_counted(tmp_path: Path, record: int, place: int, bit: int) -> None:
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


def test_a_damaged_segment_is_lost_alone(tmp_path: Path) -> None:
    for numbers in ((1, 2, 3), (4, 5)):
        spool = Spool(tmp_path, MAX_BYTES)
        spool.append(numbered(*numbers))
        spool.close()
    segments(tmp_path)[0].write_bytes(b"\xff" * 1000)

    spool = Spool(tmp_path, MAX_BYTES)

    assert (spool.corrupt, spool.unreadable_bytes) == (1, 1000)
    assert drain(spool) == numbered(4, 5)


def test_a_segment_damaged_after_opening_is_skipped_and_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2, 3))
    segments(tmp_path)[0].write_bytes(b"x" * 42)
    assert drain(spool) == []
    assert (spool.records, spool.bytes, spool.dropped, spool.corrupt, spool.unreadable_bytes) == (0, 0, 3, 1, 42)

    spool.append(numbered(4))
    assert drain(spool) == numbered(4)


def test_a_record_damaged_after_opening_is_lost_alone(tmp_path: Path) -> None:
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


def test_a_removed_segment_is_counted_and_later_records_are_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1, 2))
    segments(tmp_path)[0].unlink()
    assert drain(spool) == []
    assert (spool.records, spool.dropped, spool.corrupt) == (0, 2, 1)
    spool.append(numbered(3))
    assert drain(spool) == numbered(3)


def test_other_files_are_not_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path, MAX_BYTES)
    spool.append(numbered(1))
    spool.close()
    strays = [tmp_path / name for name in ("1 copy.spool", "7.spool", "notes.spool", "٣.spool", "00000001.spool.bak")]
    for stray in strays:
        stray.write_bytes(b"mine")
    (folder := tmp_path / "00000002.spool").mkdir()

    spool = Spool(tmp_path, MAX_BYTES)
    with pytest.raises(FileExistsError):
        spool.append(numbered(2))  # a folder has this name
    spool.append(numbered(2))

    assert drain(spool) == numbered(1, 2)
    assert spool.corrupt == 0
    assert all(stray.read_bytes() == b"mine" for stray in strays)
    for stray in (*strays[:4], folder):
        assert f"{stray} is no segment of the spool and is ignored" in caplog.text


def test_a_full_disk_loses_no_acknowledged_record(tmp_path: Path) -> None:
    # A file size limit makes write() fail in the middle of a record, like a full disk.
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
    ran = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[b'kept']"  # the next segment has the other records

    assert drain(Spool(tmp_path, MAX_BYTES)) == [b"kept", b"later"]


def test_sigkill_while_writing_loses_no_acknowledged_record(tmp_path: Path) -> None:
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
