"""Responses that do not end: the check ends as soon as its result is certain."""

import gzip
import zlib
from typing import Any

import anyio
import pytest

from prober.probes import Engine
from tests.prober import targets
from tests.prober.http_checks import check
from tests.prober.targets import Behaviour, serving

LONG_MS = 60_000  # a check that waits for this timeout fails the test
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


def pausing_after(*pieces: bytes) -> Behaviour:
    """Sends the pieces one by one, and then nothing until the client closes the connection."""

    async def behave(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await anyio.sleep(0.03)
        await reader.read()

    return behave


async def assert_success(probe_engine: Engine, behaviour: Behaviour, **fields: Any) -> None:
    async with serving(behaviour) as port:
        with anyio.fail_after(120):
            outcome, judgement = await check(probe_engine, f"http://127.0.0.1:{port}/", timeout_ms=LONG_MS, **fields)
    assert judgement.success, judgement
    assert outcome.status_code == 200
    assert outcome.first_byte_ms is not None and outcome.first_byte_ms <= outcome.total_ms < 10_000


async def assert_failure(probe_engine: Engine, behaviour: Behaviour, message: str, **fields: Any) -> None:
    async with serving(behaviour) as port:
        with anyio.fail_after(120):
            _, judgement = await check(probe_engine, f"http://127.0.0.1:{port}/", timeout_ms=LONG_MS, **fields)
    assert judgement.error_message == message


class TestDecidedByTheHead:
    @pytest.mark.parametrize(
        "behaviour",
        [
            targets.endless(EVENTS, b"data: tick\n\n", 0.02),
            targets.endless(CHUNKED, b"c\r\ndata: tick\n\n\r\n", 0.02),
            targets.endless(EVENTS, b"data: " + b"x" * 9000 + b"\n\n"),
            pausing_after(EVENTS),
            pausing_after(b"HTTP/1.1 103 Early Hints\r\n\r\n", EVENTS[:20], EVENTS[20:]),
            pausing_after(
                b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n", b"--x\r\n"
            ),
            targets.endless(b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", b"x" * 400, 0.02),
        ],
        ids=["drip", "chunked", "flood", "silent", "in pieces", "pictures", "radio"],
    )
    async def test_a_stream_with_the_expected_status_succeeds(self, probe_engine: Engine, behaviour: Behaviour) -> None:
        await assert_success(probe_engine, behaviour)

    @pytest.mark.parametrize("fields", [{}, {"keyword": "tick"}, {"keyword_absent": "x"}, {"json_path": "$"}])
    async def test_an_unexpected_status_fails_without_the_body(
        self, probe_engine: Engine, fields: dict[str, str]
    ) -> None:
        head = b"HTTP/1.1 503 Busy\r\nContent-Length: 99999\r\n\r\n"
        await assert_failure(probe_engine, pausing_after(head, b"wait"), "HTTP 503, expected 200", **fields)
        await assert_failure(probe_engine, targets.endless(head, b"x", 0.02), "HTTP 503, expected 200", **fields)

    async def test_an_interim_response_is_not_decisive(self, probe_engine: Engine) -> None:
        early = b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/event-stream\r\n\r\n"
        await assert_success(probe_engine, pausing_after(early, targets.http_response()))

    async def test_a_redirect_is_followed_without_its_body(self, probe_engine: Engine) -> None:
        async with serving(targets.good()) as port:
            head = f"HTTP/1.1 302 Found\r\nLocation: //127.0.0.1:{port}/a?b\r\n\r\n".encode()
            await assert_success(probe_engine, pausing_after(head, b"moved"))
            await assert_success(probe_engine, pausing_after(head, b"moved"), keyword="ok")

    async def test_other_bodies_are_read_to_their_end(self, probe_engine: Engine) -> None:
        """A page that stops in the middle is not a success."""
        for head in (TEXT, targets.http_response(b"x" * 99)[:-99]):
            async with serving(pausing_after(head, b"half")) as port:
                _, judgement = await check(probe_engine, f"http://127.0.0.1:{port}/")
            assert judgement.error_type == "timeout"


class TestDecidedByTheBody:
    @pytest.mark.parametrize(
        "pieces",
        [
            (EVENTS, b"data: tick\n\n"),
            (EVENTS + b"data: tick\n\n",),
            (EVENTS, b"data: ", b"ti", b"ck"),
            (CHUNKED, b"2\r\nti\r\n", b"2\r\nck\r\n"),
            (TEXT, b"x" * 5000, b"tick"),
            (targets.http_response(b"x" * 9999)[:-9999], b"tick"),
        ],
        ids=["two", "one", "split", "chunked", "text", "unfinished"],
    )
    async def test_the_keyword_arrives(self, probe_engine: Engine, pieces: tuple[bytes, ...]) -> None:
        await assert_success(probe_engine, pausing_after(*pieces), keyword="tick")

    async def test_the_keyword_arrives_in_a_stream_without_pauses(self, probe_engine: Engine) -> None:
        await assert_success(
            probe_engine, targets.endless(EVENTS, b"data: t\n\n" * 9 + b"data: tick\n\n", 0.001), keyword="tick"
        )

    @pytest.mark.parametrize(("label", "codec"), [("euc-kr", "cp949"), ("utf-16le", "utf-16-le"), ("utf-8", "utf-8")])
    async def test_the_keyword_arrives_in_another_charset(self, probe_engine: Engine, label: str, codec: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset={label}\r\n\r\n".encode()
        word = "정상".encode(codec)
        await assert_success(probe_engine, pausing_after(head, word[:3], word[3:]), keyword="정상")

    async def test_the_keyword_arrives_in_an_encoded_body(self, probe_engine: Engine) -> None:
        packer = zlib.compressobj(wbits=31)
        pieces = [packer.compress(b"data: tick\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)]
        head = EVENTS[:-2] + b"Content-Encoding: gzip\r\n\r\n"
        await assert_success(probe_engine, pausing_after(head, *pieces), keyword="tick")

    async def test_the_keyword_decides_even_if_the_rest_fails(self, probe_engine: Engine) -> None:
        """The result does not depend on how the network divides the response."""
        await assert_success(
            probe_engine, targets.responding(targets.http_response(b"tick" + b"x" * 99)[:-9]), keyword="tick"
        )

    async def test_an_unknown_coding_fails_at_once(self, probe_engine: Engine) -> None:
        head = EVENTS[:-2] + b"Content-Encoding: zstd\r\n\r\n"
        message = 'the coding "zstd" of the response\'s body (Content-Encoding) is not known'
        await assert_failure(probe_engine, pausing_after(head, b"data"), message, keyword="tick")

    async def test_a_keyword_that_must_be_absent_arrives(self, probe_engine: Engine) -> None:
        stream = pausing_after(EVENTS, b"data: FATAL\n\n")
        await assert_failure(probe_engine, stream, 'the response contains "FATAL"', keyword_absent="FATAL")
        await assert_failure(
            probe_engine, stream, 'the response contains "FATAL"', keyword="data", keyword_absent="FATAL"
        )

    @pytest.mark.parametrize(
        "fields",
        [
            {"keyword": "tock"},
            {"keyword": "tick", "keyword_absent": "FATAL"},
            {"keyword": "tick", "json_path": "$"},
            {"keyword": "tock", "keyword_absent": "tick"},
            {"keyword_absent": "FATAL"},
        ],
    )
    async def test_an_uncertain_result_waits_until_the_timeout(
        self, probe_engine: Engine, fields: dict[str, str]
    ) -> None:
        async with serving(targets.endless(EVENTS, b"data: tick\n\n", 0.02)) as port:
            _, judgement = await check(probe_engine, f"http://127.0.0.1:{port}/", **fields)
        assert judgement.error_type == "timeout"

    async def test_a_complete_body_is_judged_completely(self, probe_engine: Engine) -> None:
        body = gzip.compress(b"tick" * 1000)
        raw = targets.http_response(body[:-4], headers="Content-Encoding: gzip\r\n")
        async with serving(targets.responding(raw)) as port:
            _, judgement = await check(probe_engine, f"http://127.0.0.1:{port}/", timeout_ms=5000, keyword="tick")
        assert judgement.error_message == "the response's gzip body is cut short (Content-Encoding)"

    async def test_the_engine_works_for_the_next_check(self, probe_engine: Engine) -> None:
        for _ in range(3):
            await assert_success(probe_engine, pausing_after(EVENTS, b"data: tick\n\n"), keyword="tick")
            await assert_success(probe_engine, targets.good())
