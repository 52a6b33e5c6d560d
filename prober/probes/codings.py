"""Content codings: decodes a body as its Content-Encoding header states, within limits.

libcurl can decode while it reads, but it does not report a body that is cut short, so a keyword that must be absent
would seem to be absent. The prober requests `identity`; some servers send encoded bodies anyway.
"""

import zlib
from collections.abc import Callable, Sequence

from prober.probes import brotli, head

MOST_CODINGS = 5
MOST_MEMBERS = 1000
"""The most members of one gzip body. Some tools compress each block of 64 KiB to a member of its own."""

_CHUNK = 16 * 1024
_NAME_SHOWN = 40
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP, _ZLIB, _RAW = 31, 15, -15  # the window sizes by which zlib selects the format


class Undecodable(Exception):  # noqa: N818 - a failure of the target, not of this program
    """The body cannot be decoded. The message says why."""


def applied(lines: Sequence[bytes]) -> list[str]:
    """The codings of a response's body in the order in which they were applied, lower case and without `identity`."""
    names = ",".join(head.values(lines, b"content-encoding")).lower().split(",")
    return [name for each in names if (name := each.strip()) not in ("", "identity")]


def decoded(body: bytes, codings: Sequence[str], limit: int, cut: bool) -> tuple[bytes, bool]:
    """Decodes a body. Returns at most `limit` bytes, and whether the decoded body is longer.

    `cut` means that `body` is only the beginning of the encoded body. Raises `Undecodable`. A malicious body of 64 KiB
    takes about 15 ms.
    """
    if len(codings) > MOST_CODINGS:
        raise Undecodable(f"the response's body has more than {MOST_CODINGS} codings (Content-Encoding)")
    for name in reversed(codings):
        if not body:  # a response to HEAD has none, and servers do not encode an empty one
            break
        decode = _DECODERS.get(name)
        if decode is None:
            raise Undecodable(
                f'the coding "{name[:_NAME_SHOWN]}" of the response\'s body (Content-Encoding) is not known'
            )
        try:
            body, complete = decode(body, limit + 1)
        except ValueError as error:
            raise Undecodable(f"the response's body is not valid {name} (Content-Encoding): {error}") from None
        if len(body) > limit:
            body, cut = body[:limit], True
        elif not complete and not cut:
            raise Undecodable(f"the response's {name} body is cut short (Content-Encoding)")
    return body, cut


def _gunzip(data: bytes, most: int) -> tuple[bytes, bool]:
    """Decodes all members. Other data after them is ignored, as browsers and gzip do."""
    pieces: list[bytes] = []
    members = at = 0
    while True:
        piece, complete, at = _inflate(data, at, most, _GZIP)
        pieces.append(piece)
        most -= len(piece)
        members += 1
        if not complete or most <= 0 or not data.startswith(_GZIP_MAGIC, at):
            return b"".join(pieces), complete
        if members == MOST_MEMBERS:
            raise ValueError(f"more than {MOST_MEMBERS} members")


def _undeflate(data: bytes, most: int) -> tuple[bytes, bool]:
    """Decodes with the header of zlib (RFC 9110), or without it, as some servers send it."""
    headed = data[0] & 0x0F == 8 and (len(data) < 2 or int.from_bytes(data[:2], "big") % 31 == 0)
    return _inflate(data, 0, most, _ZLIB if headed else _RAW)[:2]


def _inflate(data: bytes, at: int, most: int, wrapper: int) -> tuple[bytes, bool, int]:
    """Decodes the stream that begins at `at`. Returns up to `most` bytes, whether the stream has ended, and the offset
    of its end."""
    stream = zlib.decompressobj(wrapper)
    pieces: list[bytes] = []
    try:
        while at < len(data) and most > 0 and not stream.eof:
            chunk = data[at : at + _CHUNK]  # zlib copies the data after the end of the stream
            pieces.append(stream.decompress(chunk, most))
            most -= len(pieces[-1])
            at += len(chunk) - len(stream.unused_data)
    except zlib.error as error:
        raise ValueError(str(error).rpartition(": ")[2]) from None
    return b"".join(pieces), stream.eof, at


_DECODERS: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
}
if brotli.AVAILABLE:
    _DECODERS["br"] = brotli.decompress
