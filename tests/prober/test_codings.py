"""Content codings: what is undone, what is refused, and that neither takes more memory than it may."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prober.probes import brotli, codings
from prober.probes.codings import MOST_MEMBERS, Undecodable, applied, decoded

ABC = gzip.compress(b"abc", mtime=0)  # the same in every process of a run: it is part of a test's name
LIMIT = 4096
BROTLI_FATAL = bytes.fromhex("1b5702f88dd4582d39bb3208c4a898a8a2b638008325")
"""100 times `FATAL `; nothing that the tests use can make Brotli."""
BROTLI_BOMB = bytes.fromhex("cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefddf")
"""16 MiB of zeros."""
needs_brotli = pytest.mark.skipif(not brotli.AVAILABLE, reason="libcurl without Brotli")


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "gzip of two members": ("gzip", lambda body: gzip.compress(body[:7]) + gzip.compress(body[7:])),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
}
STACKS = st.lists(st.sampled_from(sorted(ENCODERS)), min_size=1, max_size=codings.MOST_CODINGS)


def encoded(body: bytes, stack: list[str]) -> tuple[bytes, list[str]]:
    for each in stack:
        body = ENCODERS[each][1](body)
    return body, [ENCODERS[each][0] for each in stack]


class TestDecoded:
    @given(body=st.binary(max_size=2000), repeat=st.integers(1, 5), stack=STACKS)
    def test_what_was_applied_is_undone(self, body: bytes, repeat: int, stack: list[str]) -> None:
        body = body * repeat
        data, names = encoded(body, stack)
        assert decoded(data, names, 2 * LIMIT + len(data), cut=False) == (body, False)

    @given(body=st.binary(max_size=LIMIT), over=st.integers(0, 2), each=st.sampled_from(sorted(ENCODERS)))
    def test_the_limit_is_exact(self, body: bytes, over: int, each: str) -> None:
        data, names = encoded(body, [each])
        limit = max(0, len(body) - over)
        assert decoded(data, names, limit, cut=False) == (body[:limit], limit < len(body))

    @given(body=st.binary(max_size=300), stack=STACKS, data=st.data())
    def test_a_body_that_is_cut_short(self, body: bytes, stack: list[str], data: st.DataObject) -> None:
        whole, names = encoded(body, stack)
        part = whole[: data.draw(st.integers(1, len(whole) - 1))]
        try:
            seemingly_whole, _ = decoded(part, names, LIMIT, cut=False)
        except Undecodable as error:
            assert "cut short" in str(error)
        else:  # it ends where a member of a gzip body does: nothing tells
            assert "gzip of two members" in stack and body.startswith(seemingly_whole)
        beginning, cut = decoded(part, names, LIMIT, cut=True)
        assert cut and body.startswith(beginning)

    @given(
        body=st.binary(max_size=400) | st.binary(max_size=400).map(lambda rest: b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + rest),
        names=st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd", "x"]), max_size=7),
        cut=st.booleans(),
    )
    @example(body=b"\x78", names=["deflate"], cut=False)
    @example(body=b"\x1f", names=["gzip"], cut=False)
    def test_anything_else_is_refused_and_nothing_worse(self, body: bytes, names: list[str], cut: bool) -> None:
        try:
            assert len(decoded(body, names, LIMIT, cut)[0]) <= LIMIT
        except Undecodable as error:
            assert "Content-Encoding" in str(error)

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_what_follows_the_stream_is_ignored(self, coding: str) -> None:
        data = ENCODERS[coding][1](b"body") + b"\0\0 trailing"
        assert decoded(data, [coding], LIMIT, cut=False) == (b"body", False)

    @pytest.mark.parametrize(
        ("data", "names", "message"),
        [
            (b"x", ["zstd"], 'the coding "zstd" of the response\'s body (Content-Encoding) is not known'),
            (b"x", ["gzip", "x" * 999], f'the coding "{"x" * 40}" of the'),
            (b"plain", ["gzip"], "the response's body is not valid gzip (Content-Encoding): incorrect header check"),
            (ABC[:-8] + b"\0" * 8, ["gzip"], "is not valid gzip (Content-Encoding): incorrect data"),
            (ABC[:-4], ["gzip"], "the response's gzip body is cut short (Content-Encoding)"),
            (zlib.compress(b"abc")[:-1], ["deflate"], "the response's deflate body is cut short"),
            (b"x", ["gzip"] * 6, "the response's body has more than 5 codings"),
            (gzip.compress(b"", mtime=0) * (MOST_MEMBERS + 1), ["gzip"], f"more than {MOST_MEMBERS} parts"),
        ],
    )
    def test_the_message_says_what_is_wrong(self, data: bytes, names: list[str], message: str) -> None:
        with pytest.raises(Undecodable) as refused:
            decoded(data, names, LIMIT, cut=False)
        assert message in str(refused.value)

    def test_an_empty_body_has_nothing_to_decode(self) -> None:
        assert decoded(b"", ["gzip", "zstd"], LIMIT, cut=False) == (b"", False)

    @pytest.mark.parametrize("stack", [["gzip"], ["deflate"], ["gzip", "gzip"], ["raw deflate", "deflate", "gzip"]])
    def test_a_bomb_takes_no_memory(self, stack: list[str]) -> None:
        bomb, names = encoded(bytes(64 * 1024 * 1024), stack)
        tracemalloc.start()
        try:
            body, cut = decoded(bomb, names, LIMIT, cut=False)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (body, cut) == (bytes(LIMIT), True)
        assert peak < 2 * len(bomb) + 64 * 1024


@needs_brotli
class TestBrotli:
    def test_decoded(self) -> None:
        assert decoded(BROTLI_FATAL + b"trailing", ["br"], LIMIT, cut=False) == (b"FATAL " * 100, False)
        assert decoded(gzip.compress(BROTLI_FATAL), ["br", "gzip"], LIMIT, cut=False)[0] == b"FATAL " * 100

    def test_bounded(self) -> None:
        assert decoded(BROTLI_FATAL, ["br"], 10, cut=False) == (b"FATAL FATA", True)
        assert decoded(BROTLI_BOMB, ["br"], LIMIT, cut=False) == (bytes(LIMIT), True)
        assert decoded(BROTLI_BOMB, ["br"], 1 << 24, cut=False) == (bytes(1 << 24), False)

    @pytest.mark.parametrize("length", range(1, len(BROTLI_FATAL)))
    def test_cut_short(self, length: int) -> None:
        with pytest.raises(Undecodable, match="cut short"):
            decoded(BROTLI_FATAL[:length], ["br"], LIMIT, cut=False)
        beginning, cut = decoded(BROTLI_FATAL[:length], ["br"], LIMIT, cut=True)
        assert cut and (b"FATAL " * 100).startswith(beginning)

    def test_not_brotli(self) -> None:
        with pytest.raises(Undecodable, match="not valid br"):
            decoded(b"\xff" * 40, ["br"], LIMIT, cut=False)


class TestApplied:
    def read(self, *lines: bytes) -> list[str]:
        return applied([line + b"\r\n" for line in lines])

    def test_several_lines_in_any_case(self) -> None:
        lines = [
            b"HTTP/1.1 200 OK",
            b"CONTENT-encoding:GZip",
            b"X: y",
            b"content-Encoding:  , deflate ,identity,Br",
            b"",
        ]
        assert self.read(*lines) == ["gzip", "deflate", "br"]

    def test_none(self) -> None:
        assert self.read(b"HTTP/1.1 200 OK", b"X-Content-Encoding: gzip", b"Content-Encodings: gzip", b"") == []

    def test_interim_responses_and_trailers_do_not_count(self) -> None:
        coded = b"Content-Encoding: gzip"
        assert self.read(b"HTTP/1.1 103 Early Hints", coded, b"", b"HTTP/1.1 200 OK", b"", coded) == []

    def test_hostile_names(self) -> None:
        assert self.read(b"HTTP/1.1 200 OK", b"Content-Encoding: \xff\x1b[31m") == ["ÿ\x1b[31m"]
