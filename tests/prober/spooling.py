"""Reads and fills a spool."""

from pathlib import Path

from prober.spool import Spool

MAX_BYTES = 1024 * 1024


def drain(spool: Spool, limit: int = 1000) -> list[bytes]:
    """Reads all records in batches of `limit` and removes them."""
    records = []
    while (found := spool.read(limit)) is not None:
        records += found[0]
        spool.advance(found[1])
    return records


def numbered(*numbers: int) -> list[bytes]:
    """Records of six bytes. Each takes 14 bytes in a segment."""
    return [b"%06d" % number for number in numbers]


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))
