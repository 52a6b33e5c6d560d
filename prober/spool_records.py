"""The records of a spool segment: a length and a CRC-32, big-endian, and the payload.

The checksum covers length and payload, so a block of zeros is not an empty record.
"""

import struct
from collections.abc import Iterator
from zlib import crc32

_HEAD = struct.Struct(">II")
_LENGTH = struct.Struct(">I")
HEAD_BYTES = _HEAD.size
MAX_RECORD_BYTES = 1024 * 1024
_SEARCHED_BYTES = 64 * 1024 * 1024
"""The most bytes that are checksummed to find an intact record after a damaged one."""


def framed(payload: bytes) -> bytes:
    """The record of a payload."""
    length = _LENGTH.pack(len(payload))
    return length + _LENGTH.pack(crc32(payload, crc32(length))) + payload


def _intact(block: bytes, start: int) -> int | None:
    """The end of the record at `start`; None if there is no complete and intact record."""
    if start + HEAD_BYTES > len(block):
        return None
    length, checksum = _HEAD.unpack_from(block, start)
    payload = start + HEAD_BYTES
    end: int = payload + length
    if length > MAX_RECORD_BYTES or end > len(block):
        return None
    if crc32(memoryview(block)[payload:end], crc32(block[start : start + _LENGTH.size])) != checksum:
        return None
    return end


def records_in(block: bytes, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """The intact records from `start` to the first that is damaged, each with the offset of its end."""
    while (end := _intact(block, start)) is not None:
        yield block[start + HEAD_BYTES : end], end
        start = end


def _next_intact(block: bytes, start: int) -> int | None:
    """The start of the first intact record at or after `start`; None if none is found."""
    left = _SEARCHED_BYTES
    for offset in range(start, len(block) - HEAD_BYTES + 1):
        length: int = _LENGTH.unpack_from(block, offset)[0]
        if offset + HEAD_BYTES + length > len(block):
            continue
        left -= length
        if left < 0:
            return None
        if _intact(block, offset) is not None:
            return offset
    return None


def survey(block: bytes) -> tuple[int, dict[int, int], int]:
    """The number of intact records, the damaged places between them (start to end), and the end of the last record."""
    records = end = 0
    gaps: dict[int, int] = {}
    start: int | None = 0
    while start is not None:
        for _, behind in records_in(block, start):
            records += 1
            end = behind
        start = _next_intact(block, end + 1) if end < len(block) else None
        if start is not None:
            gaps[end] = start
    return records, gaps, end


def is_torn(block: bytes) -> bool:
    """Whether a block without an intact record is the incomplete beginning of one, as a crash during a write leaves
    it."""
    if len(block) < HEAD_BYTES:
        return True
    length, checksum = _HEAD.unpack_from(block)
    if length > MAX_RECORD_BYTES or HEAD_BYTES + length <= len(block):
        return False
    payload = block[HEAD_BYTES:]
    # A complete payload whose length is damaged.
    complete = bool(crc32(payload, crc32(_LENGTH.pack(len(payload)))) == checksum)
    return not complete
