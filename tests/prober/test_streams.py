"""Responses that do not end: the check does, as soon as its verdict is certain."""

import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from prober.probes import Engine
from tests.prober import targets
from tests.prober.targets import Behaviour, serving
from tests.prober.test_http_probe import check, settings

LONG_MS = 60_000  # whatever waits for the timeout fails by the test's own deadline
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


@pytest.fixture
async def prober() -> AsyncIterator[Engine]:
    async with Engine(settings()) as engine:
        yield engine


def then_silent(*pieces: bytes) -> Behaviour:
    """Sends these, one by one, and then nothing more until the client leaves."""

    async def behave(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await anyio.sleep(0.03)
        await reader.read()

    return behave


async def is_good(prober: Engine, behaviour: Behaviour, **fields: Any) -> None:
    async with serving(behaviour) as port:
        with anyio.fail_after(120):
            outcome, judgement = await check(prober, f"http://127.0.0.1:{port}/", timeout_ms=LONG_MS, **fields)
    assert judgement.success, judgement
    assert outcome.status_code == 200
    assert outcome.first_byte_ms is not None and outcome.first_byte_ms <= outcome.total_ms < 10_000


async def fails(prober: Engine, behaviour: Behaviour, message: str, **fields: Any) -> None:
    async with serving(behaviour) as port:
        with anyio.fail_after(120):
            _, judgement = await check(prober, f"http://127.0.0.1:{port}/", timeout_ms=LONG_MS, **fields)
    assert judgement.error_message == message


class TestTheHeadDecides:
    @pytest.mark.parametrize(
        "behaviour",
        [
            targets.endless(EVENTS, b"data: tick\n\n", 0.02),
            targets.endless(CHUNKED, b"c\r\ndata: tick\n\n\r\n", 0.02),
            targets.endless(EVENTS, b"data: " + b"x" * 9000 + b"\n\n"),
            then_silent(EVENTS),
            then_silent(b"HTTP/1.1 103 Early Hints\r\n\r\n", EVENTS[:20], EVENTS[20:]),
            then_silent(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n", b"--x\r\n"),
            targets.endless(b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", b"x" * 400, 0.02),
        ],
        ids=["drip", "chunked", "flood", "silent", "in pieces", "pictures", "radio"],
    )
    async def test_a_stream_is_good_when_its_status_is(self, prober: Engine, behaviour: Behaviour) -> None:
        await is_good(prober, behaviour)

    @pytest.mark.parametrize("fields", [{}, {"keyword": "tick"}, {"keyword_absent": "x"}, {"json_path": "$"}])
    async def test_a_wrong_status_needs_no_body(self, prober: Engine, fields: dict[str, str]) -> None:
        head = b"HTTP/1.1 503 Busy\r\nContent-Length: 99999\r\n\r\n"
        await fails(prober, then_silent(head, b"wait"), "HTTP 503, expected 200", **fields)
        await fails(prober, targets.endless(head, b"x", 0.02), "HTTP 503, expected 200", **fields)

    async def test_an_interim_response_decides_nothing(self, prober: Engine) -> None:
        early = b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/event-stream\r\n\r\n"
        await is_good(prober, then_silent(early, targets.answer()))

    async def test_the_body_of_a_redirect_is_not_waited_for(self, prober: Engine) -> None:
        async with serving(targets.good()) as port:
            head = f"HTTP/1.1 302 Found\r\nLocation: //127.0.0.1:{port}/a?b\r\n\r\n".encode()
            await is_good(prober, then_silent(head, b"moved"))
            await is_good(prober, then_silent(head, b"moved"), keyword="ok")

    async def test_other_bodies_are_read_to_their_end(self, prober: Engine) -> None:
        """A page that hangs in its middle is no good answer."""
        for head in (TEXT, targets.answer(b"x" * 99)[:-99]):
            async with serving(then_silent(head, b"half")) as port:
                _, judgement = await check(prober, f"http://127.0.0.1:{port}/")
            assert judgement.error_type == "timeout"


class TestTheBodyDecides:
    @pytest.mark.parametrize(
        "pieces",
        [
            (EVENTS, b"data: tick\n\n"),
            (EVENTS + b"data: tick\n\n",),
            (EVENTS, b"data: ", b"ti", b"ck"),
            (CHUNKED, b"2\r\nti\r\n", b"2\r\nck\r\n"),
            (TEXT, b"x" * 5000, b"tick"),
            (targets.answer(b"x" * 9999)[:-9999], b"tick"),
        ],
        ids=["two", "one", "split", "chunked", "text", "unfinished"],
    )
    async def test_a_word_has_arrived(self, prober: Engine, pieces: tuple[bytes, ...]) -> None:
        await is_good(prober, then_silent(*pieces), keyword="tick")

    async def test_it_arrives_in_a_stream_that_never_rests(self, prober: Engine) -> None:
        await is_good(prober, targets.endless(EVENTS, b"data: t\n\n" * 9 + b"data: tick\n\n", 0.001), keyword="tick")

    @pytest.mark.parametrize(("label", "codec"), [("euc-kr", "cp949"), ("utf-16le", "utf-16-le"), ("utf-8", "utf-8")])
    async def test_in_any_charset(self, prober: Engine, label: str, codec: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset={label}\r\n\r\n".encode()
        word = "정상".encode(codec)
        await is_good(prober, then_silent(head, word[:3], word[3:]), keyword="정상")

    async def test_in_a_coded_body(self, prober: Engine) -> None:
        packer = zlib.compressobj(wbits=31)
        pieces = [packer.compress(b"data: tick\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)]
        head = EVENTS[:-2] + b"Content-Encoding: gzip\r\n\r\n"
        await is_good(prober, then_silent(head, *pieces), keyword="tick")

    async def test_it_decides_also_when_the_rest_fails(self, prober: Engine) -> None:
        """The verdict does not depend on how the network cut a response into pieces."""
        await is_good(prober, targets.answering(targets.answer(b"tick" + b"x" * 99)[:-9]), keyword="tick")

    async def test_what_cannot_be_decoded_decides_too(self, prober: Engine) -> None:
        head = EVENTS[:-2] + b"Content-Encoding: zstd\r\n\r\n"
        message = 'the coding "zstd" of the response\'s body (Content-Encoding) is not known'
        await fails(prober, then_silent(head, b"data"), message, keyword="tick")

    async def test_a_word_that_must_not_be_there_has_arrived(self, prober: Engine) -> None:
        stream = then_silent(EVENTS, b"data: FATAL\n\n")
        await fails(prober, stream, 'the answer contains "FATAL"', keyword_absent="FATAL")
        await fails(prober, stream, 'the answer contains "FATAL"', keyword="data", keyword_absent="FATAL")

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
    async def test_what_is_not_certain_is_waited_for(self, prober: Engine, fields: dict[str, str]) -> None:
        async with serving(targets.endless(EVENTS, b"data: tick\n\n", 0.02)) as port:
            _, judgement = await check(prober, f"http://127.0.0.1:{port}/", **fields)
        assert judgement.error_type == "timeout"

    async def test_a_whole_body_is_judged_as_a_whole(self, prober: Engine) -> None:
        body = gzip.compress(b"tick" * 1000)
        raw = targets.answer(body[:-4], headers="Content-Encoding: gzip\r\n")
        async with serving(targets.answering(raw)) as port:
            _, judgement = await check(prober, f"http://127.0.0.1:{port}/", timeout_ms=5000, keyword="tick")
        assert judgement.error_message == "the response's gzip body is cut short (Content-Encoding)"

    async def test_the_engine_is_good_for_the_next_check(self, prober: Engine) -> None:
        for _ in range(3):
            await is_good(prober, then_silent(EVENTS, b"data: tick\n\n"), keyword="tick")
            await is_good(prober, targets.good())
