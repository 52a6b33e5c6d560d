"""Content codings: decoding, errors, and the limit of memory."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prober.probes import codings
from prober.probes.codings import MOST_MEMBERS, Undecodable, applied, decoded
from tests.prober.encoders import BROTLI_BOMB, BROTLI_FATAL, ENCODERS, needs_brotli

ABC = gzip.compress(b"abc", mtime=0)
"""Without the current time, because the bytes are part of test ids, which must be equal in all processes."""
LIMIT = 4096
STACKS = st.lists(st.sampled_from(sorted(ENCODERS)), min_size=1, max_size=codings.MOST_CODINGS)


def encoded(body: bytes, stack: list[str]) -> tuple[bytes, list[str]]:
    for each in stack:
        body = ENCODERS[each][1](body)
    return body, [ENCODERS[each][0] for each in stack]


class TestDecoded:
    @given(body=st.binary(max_size=2000), repeat=st.integers(1, 5), stack=STACKS)
    def test_decoding_is_the_inverse_of_encoding(self, body: bytes, repeat: int, stack: list[str]) -> None:
        body = body * repeat
        data, names = encoded(body, stack)
        assert decoded(data, names, 2 * LIMIT + len(data), cut=False) == (body, False)

    @given(body=st.binary(max_size=LIMIT), over=st.integers(0, 2), each=st.sampled_from(sorted(ENCODERS)))
    def test_the_limit_is_exact(self, body: bytes, over: int, each: str) -> None:
        data, names = encoded(body, [each])
        limit = max(0, len(body) - over)
        assert decoded(data, names, limit, cut=False) == (body[:limit], limit < len(body))

    @given(body=st.binary(max_size=300), stack=STACKS, data=st.data())
    def test_a_truncated_body_is_an_error_or_a_prefix(self, body: bytes, stack: list[str], data: st.DataObject) -> None:
        whole, names = encoded(body, stack)
        part = whole[: data.draw(st.integers(1, len(whole) - 1))]
        try:
            complete, _ = decoded(part, names, LIMIT, cut=False)
        except Undecodable as error:
            assert "cut short" in str(error)
        else:  # truncated at the end of the first gzip member, which is a valid body
            assert "gzip of two members" in stack and body.startswith(complete)
        beginning, cut = decoded(part, names, LIMIT, cut=True)
        assert cut and body.startswith(beginning)

    @given(
        body=st.binary(max_size=400) | st.binary(max_size=400).map(lambda rest: b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + rest),
        names=st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd", "x"]), max_size=7),
        cut=st.booleans(),
    )
    @example(body=b"\x78", names=["deflate"], cut=False)
    @example(body=b"\x1f", names=["gzip"], cut=False)
    def test_other_bytes_are_decoded_or_an_error(self, body: bytes, names: list[str], cut: bool) -> None:
        try:
            assert len(decoded(body, names, LIMIT, cut)[0]) <= LIMIT
        except Undecodable as error:
            assert "Content-Encoding" in str(error)

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_bytes_after_the_stream_are_ignored(self, coding: str) -> None:
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
            (gzip.compress(b"", mtime=0) * (MOST_MEMBERS + 1), ["gzip"], f"more than {MOST_MEMBERS} members"),
        ],
    )
    def test_the_message_names_the_error(self, data: bytes, names: list[str], message: str) -> None:
        with pytest.raises(Undecodable) as refused:
            decoded(data, names, LIMIT, cut=False)
        assert message in str(refused.value)

    def test_an_empty_body_is_not_decoded(self) -> None:
        assert decoded(b"", ["gzip", "zstd"], LIMIT, cut=False) == (b"", False)

    @pytest.mark.parametrize("stack", [["gzip"], ["deflate"], ["gzip", "gzip"], ["raw deflate", "deflate", "gzip"]])
    def test_a_decompression_bomb_takes_little_memory(self, stack: list[str]) -> None:
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
    def test_it_is_decoded(self) -> None:
        assert decoded(BROTLI_FATAL + b"trailing", ["br"], LIMIT, cut=False) == (b"FATAL " * 100, False)
        assert decoded(gzip.compress(BROTLI_FATAL), ["br", "gzip"], LIMIT, cut=False)[0] == b"FATAL " * 100

    def test_the_limit_applies(self) -> None:
        assert decoded(BROTLI_FATAL, ["br"], 10, cut=False) == (b"FATAL FATA", True)
        assert decoded(BROTLI_BOMB, ["br"], LIMIT, cut=False) == (bytes(LIMIT), True)
        assert decoded(BROTLI_BOMB, ["br"], 1 << 24, cut=False) == (bytes(1 << 24), False)

    @pytest.mark.parametrize("length", range(1, len(BROTLI_FATAL)))
    def test_a_truncated_body(self, length: int) -> None:
        with pytest.raises(Undecodable, match="cut short"):
            decoded(BROTLI_FATAL[:length], ["br"], LIMIT, cut=False)
        beginning, cut = decoded(BROTLI_FATAL[:length], ["br"], LIMIT, cut=True)
        assert cut and (b"FATAL " * 100).startswith(beginning)

    def test_a_body_that_is_not_brotli(self) -> None:
        with pytest.raises(Undecodable, match="not valid br"):
            decoded(b"\xff" * 40, ["br"], LIMIT, cut=False)


class TestApplied:
    def read(self, *lines: bytes) -> list[str]:
        return applied([line + b"\r\n" for line in lines])

    def test_several_header_lines_in_any_case(self) -> None:
        lines = [
            b"HTTP/1.1 200 OK",
            b"CONTENT-encoding:GZip",
            b"X: y",
            b"content-Encoding:  , deflate ,identity,Br",
            b"",
        ]
        assert self.read(*lines) == ["gzip", "deflate", "br"]

    def test_other_headers_are_no_coding(self) -> None:
        assert self.read(b"HTTP/1.1 200 OK", b"X-Content-Encoding: gzip", b"Content-Encodings: gzip", b"") == []

    def test_interim_responses_and_trailers_are_ignored(self) -> None:
        coded = b"Content-Encoding: gzip"
        assert self.read(b"HTTP/1.1 103 Early Hints", coded, b"", b"HTTP/1.1 200 OK", b"", coded) == []

    def test_a_name_of_arbitrary_bytes(self) -> None:
        assert self.read(b"HTTP/1.1 200 OK", b"Content-Encoding: \xff\x1b[31m") == ["ÿ\x1b[31m"]
