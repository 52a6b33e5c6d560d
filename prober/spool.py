"""Checks on disk while the database is unavailable: an append-only, checksummed, bounded log of byte records.

A folder of segments `00000001.spool`, each a sequence of records (see spool_records.py). `append` returns after fsync.
A segment is deleted when all its records have been replayed. After a crash at most one segment is replayed twice, which
is harmless, because replay is idempotent.

After a restart old segments are only read. An incomplete record at the end was never acknowledged and is
ignored. Damaged places are skipped up to the next intact record; they are counted in places and bytes, because
the number of lost records is unknown. If the log would exceed its limit, the oldest segment is dropped and its
records are counted. Other files are ignored.

The methods block, and are safe to call from several threads.
"""

import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from prober.spool_records import HEAD_BYTES, MAX_RECORD_BYTES, framed, is_torn, records_in, survey
from sla_monitor.settings import StartError

_SEGMENT_BYTES = 4 * 1024 * 1024

_log = logging.getLogger(__name__)


class SpoolError(StartError):
    """The spool cannot be opened. The text is one line and names a remedy."""


class Mark(NamedTuple):
    """The end of a read, for `advance` when its records are stored elsewhere."""

    segment: int
    offset: int
    records: int


class _Segment:
    """One file: the part that is intact, and the part that was replayed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = int(path.stem)
        self.size = 0  # the end of its last intact record
        self.records = 0
        self.offset = 0  # where replay continues
        self.replayed = 0
        self.gaps: dict[int, int] = {}  # damaged places before `size`: start to end


def _segments(folder: Path) -> list[Path]:
    """The segments in order. Other files with the suffix are logged and ignored."""
    numbers: dict[int, Path] = {}
    for path in folder.glob("*.spool"):
        number = int(path.stem) if path.stem.isascii() and path.stem.isdigit() else 0
        if number and path.name == f"{number:08}.spool" and path.is_file():
            numbers[number] = path
        else:
            _log.warning("%s is no segment of the spool and is ignored", path)
    return [numbers[number] for number in sorted(numbers)]


class Spool:
    """The log in one folder. Raises SpoolError if another process has it open."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.records = 0
        self.bytes = 0
        self.dropped = 0  # records lost to the limit or to damage since opening
        self.corrupt = 0  # damaged places found since opening; their number of records may be unknown
        self.unreadable_bytes = 0  # bytes of those places
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(_SEGMENT_BYTES, max_bytes // 16)
        self._mutex = threading.Lock()
        self._file: int | None = None  # descriptor of the last segment while it is written to
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolError(f"the spool {folder} cannot be written ({error.strerror}): set SLA_MONITOR_HOME") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise SpoolError(
                f"another prober uses the spool {folder}: stop it, or set PROBE_LOCATION or SLA_MONITOR_HOME"
            ) from None
        paths = _segments(folder)
        scanned = (self._scan(path, last=path is paths[-1]) for path in paths)
        self._segments = deque(segment for segment in scanned if segment is not None)
        self._number = int(paths[-1].stem) if paths else 0

    def append(self, payloads: Sequence[bytes]) -> None:
        """Writes the records and returns after fsync. After an OSError none or only the first of them are written; the
        call may be repeated, because replay is idempotent."""
        with self._mutex:
            block: list[bytes] = []
            size = 0
            for frame in map(framed, payloads):
                if size and size + len(frame) > self._segment_bytes:
                    self._write(block)
                    block, size = [], 0
                block.append(frame)
                size += len(frame)
            if block:
                self._write(block)

    def read(self, limit: int) -> tuple[list[bytes], Mark] | None:
        """The oldest records, up to `limit`, or None when there are none. They stay until `advance`."""
        with self._mutex:
            while self._segments:
                segment = self._segments[0]
                segment.offset = segment.gaps.get(segment.offset, segment.offset)
                if segment.offset < segment.size:
                    records, offset = self._read(segment, limit)
                    if records:
                        return records, Mark(segment.number, offset, len(records))
                    self._skip_damage(segment)
                else:
                    self._remove(segment)
            return None

    def advance(self, mark: Mark) -> None:
        """Discards the records read up to `mark`, unless their segment was dropped meanwhile."""
        with self._mutex:
            if not self._segments or self._segments[0].number != mark.segment:
                return
            segment = self._segments[0]
            segment.offset = mark.offset
            segment.replayed += mark.records
            self.records -= mark.records
            if segment.offset >= segment.size:
                self._remove(segment)

    def close(self) -> None:
        """Closes the log, so that another process can open it. Its records are kept."""
        with self._mutex:
            self._seal()
            os.close(self._lock)

    def _scan(self, path: Path, *, last: bool) -> _Segment | None:
        segment = _Segment(path)
        try:
            block = path.read_bytes()
        except OSError as error:
            _log.error("%s cannot be read and is ignored: %s", path, error.strerror)
            self.corrupt += 1
            return None
        segment.records, segment.gaps, segment.size = survey(block)
        damaged = [end - start for start, end in segment.gaps.items()]
        if segment.size < len(block) and not (last and is_torn(block[segment.size :])):
            damaged.append(len(block) - segment.size)
        if damaged:
            _log.error(
                "%s is damaged: %d bytes in %d places cannot be read, %d checks can",
                *(path, sum(damaged), len(damaged), segment.records),
            )
        self.corrupt += len(damaged)
        self.unreadable_bytes += sum(damaged)
        self.records += segment.records
        self.bytes += segment.size
        return segment

    def _skip_damage(self, segment: _Segment) -> None:
        """Scans the rest of a segment again, because it was damaged after it was opened."""
        if segment is self._segments[-1]:
            self._seal()
        try:
            block = segment.path.read_bytes()[segment.offset : segment.size]
        except FileNotFoundError:
            block = b""
        records, gaps, end = survey(block)
        gaps = {segment.offset + start: segment.offset + behind for start, behind in gaps.items()}
        rest = segment.offset + end
        unknown = [behind - start for start, behind in gaps.items() if start not in segment.gaps]
        if rest < segment.size:
            unknown.append(segment.size - rest)
        lost = segment.records - segment.replayed - records
        self.corrupt += len(unknown)
        self.unreadable_bytes += sum(unknown)
        self.dropped += lost
        self.records -= lost
        self.bytes -= segment.size - rest
        segment.records -= lost
        segment.size = rest
        segment.gaps = gaps

    def _read(self, segment: _Segment, limit: int) -> tuple[list[bytes], int]:
        want = min(segment.size - segment.offset, MAX_RECORD_BYTES + HEAD_BYTES)
        try:
            with segment.path.open("rb") as file:
                file.seek(segment.offset)
                block = file.read(want)
        except FileNotFoundError:  # removed by another program
            block = b""
        records: list[bytes] = []
        behind = 0
        for payload, end in records_in(block):
            records.append(payload)
            behind = end
            if len(records) == limit:
                break
        return records, segment.offset + behind

    def _write(self, frames: list[bytes]) -> None:
        block = b"".join(frames)
        while self._segments and self.bytes + len(block) > self._max_bytes:
            oldest = self._segments[0]
            self.dropped += oldest.records - oldest.replayed
            self._remove(oldest)
        if self._file is None:
            self._begin()
        segment = self._segments[-1]
        try:
            self._write_all(block)
        except OSError:
            # The state of the file after a failed write or fsync is unknown: truncate it and never write to it again.
            self._seal(cut_to=segment.size)
            if not segment.records:
                self._remove(segment)
            raise
        segment.size += len(block)
        segment.records += len(frames)
        self.records += len(frames)
        self.bytes += len(block)
        if segment.size >= self._segment_bytes:
            self._seal()

    def _write_all(self, block: bytes) -> None:
        assert self._file is not None
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)

    def _begin(self) -> None:
        """Creates the next segment. Its directory entry is on disk before the first record is acknowledged."""
        self._number += 1
        path = self._folder / f"{self._number:08}.spool"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._segments.append(_Segment(path))
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _seal(self, cut_to: int | None = None) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            if cut_to is not None:
                os.ftruncate(file, cut_to)
        finally:
            os.close(file)

    def _remove(self, segment: _Segment) -> None:
        """Deletes a segment. If a power failure restores it, its records are replayed twice."""
        if segment is self._segments[-1]:
            self._seal()
        self._segments.remove(segment)
        self.records -= segment.records - segment.replayed
        self.bytes -= segment.size
        segment.path.unlink(missing_ok=True)
