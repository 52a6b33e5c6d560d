"""Keywords and JSON paths in bodies that are coded or in another charset, from real little servers."""

import asyncio
import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from prober.judge import Judgement
from prober.outcome import Outcome, ProberTrouble
from prober.probes import Engine, run_check
from prober.services import Service
from sla_monitor.settings import Settings
from tests.prober import targets
from tests.prober.services import http_service
from tests.prober.targets import serving
from tests.prober.test_codings import BROTLI_BOMB, BROTLI_FATAL, needs_brotli, raw_deflate

MAX_BYTES = 64 * 1024
PAGE = "<html><title>상태</title>FATAL 오류가 발생했습니다</html>"
DOCUMENT = '{"state": "올바름"}'


@pytest.fixture
async def prober() -> AsyncIterator[Engine]:
    async with Engine(Settings(probe_max_bytes=MAX_BYTES)) as engine:
        yield engine


async def check(prober: Engine, raw: bytes, **fields: Any) -> tuple[Outcome, Judgement]:
    async with serving(targets.answering(raw)) as port:
        service = http_service(id="target", endpoint_url=f"http://127.0.0.1:{port}/", timeout_ms=5000, **fields)
        with anyio.fail_after(120):
            outcome, judgement, _ = await run_check(service, prober)
    return outcome, judgement


def coded(body: bytes, *codings: str, line: str = "Content-Encoding: {}", headers: str = "") -> bytes:
    """A response whose body went through these codings; each has a header line of its own."""
    encoders: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "raw": raw_deflate,
    }
    for coding in codings:
        body = encoders[coding](body)
    lines = "".join(line.format(coding.replace("raw", "deflate")) + "\r\n" for coding in codings)
    return targets.answer(body, headers=lines + headers)


async def is_read(prober: Engine, page: bytes, document: bytes) -> None:
    """`page` is a response with PAGE, `document` one with DOCUMENT: every assertion sees what they say."""
    assert (await check(prober, page, keyword="오류가 발생"))[1].success
    assert (await check(prober, page, keyword="오류가 없"))[
        1
    ].error_message == 'the answer does not contain "오류가 없"'
    for absent in ("FATAL", "오류"):
        judgement = (await check(prober, page, keyword_absent=absent))[1]
        assert judgement.error_message == f'the answer contains "{absent}"', "a page that says FATAL is not good"
    assert (await check(prober, page, keyword_absent="정상"))[1].success
    assert (await check(prober, document, json_path="$.state", json_value="올바름"))[1].success
    message = (await check(prober, document, json_path="$.state", json_value="그름"))[1].error_message
    assert message == '$.state is "올바름", expected "그름"'


class TestContentCodings:
    @pytest.mark.parametrize(
        "codings", [("gzip",), ("deflate",), ("raw",), ("deflate", "gzip"), ("gzip", "gzip", "raw")], ids=" ".join
    )
    async def test_a_target_that_always_sends_them(self, prober: Engine, codings: tuple[str, ...]) -> None:
        await is_read(prober, coded(PAGE.encode(), *codings), coded(DOCUMENT.encode(), *codings))

    @pytest.mark.parametrize(
        "line", ["content-encoding:{}", "CONTENT-ENCODING:   {}  ", "Content-Encoding: identity, {}"]
    )
    async def test_however_the_header_is_written(self, prober: Engine, line: str) -> None:
        packed = coded(PAGE.encode(), "deflate", "gzip", line=line)
        assert (await check(prober, packed, keyword="FATAL"))[1].success

    async def test_one_line_for_several(self, prober: Engine) -> None:
        body = gzip.compress(zlib.compress(PAGE.encode()))
        raw = targets.answer(body, headers="Content-Encoding: Deflate,GZIP\r\n")
        assert (await check(prober, raw, keyword="FATAL"))[1].success

    async def test_chunked(self, prober: Engine) -> None:
        body = gzip.compress(PAGE.encode())
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"".join(b"1\r\n" + body[at : at + 1] + b"\r\n" for at in range(len(body)))
        assert (await check(prober, head + chunks + b"0\r\n\r\n", keyword="FATAL"))[1].success

    @needs_brotli
    async def test_brotli(self, prober: Engine) -> None:
        raw = targets.answer(BROTLI_FATAL, headers="Content-Encoding: br\r\n")
        assert (await check(prober, raw, keyword_absent="FATAL"))[1].error_message == 'the answer contains "FATAL"'
        raw = targets.answer(BROTLI_FATAL[:-2], headers="Content-Encoding: br\r\n")
        message = (await check(prober, raw, keyword_absent="SEVERE"))[1].error_message
        assert message == "the response's br body is cut short (Content-Encoding)"

    async def test_identity_is_none(self, prober: Engine) -> None:
        head = "Content-Encoding: identity\r\n"
        await is_read(
            prober,
            targets.answer(PAGE.encode(), headers=head),
            targets.answer(DOCUMENT.encode(), headers=head),
        )

    @pytest.mark.parametrize("fields", [{"keyword": "x"}, {"keyword_absent": "x"}, {"json_path": "$"}])
    @pytest.mark.parametrize(
        ("body", "coding", "message"),
        [
            (b"body", "zstd", 'the coding "zstd" of the response\'s body (Content-Encoding) is not known'),
            (b"body", "gzip", "the response's body is not valid gzip (Content-Encoding): incorrect header check"),
            (gzip.compress(b"body", mtime=0)[:-9], "gzip", "the response's gzip body is cut short (Content-Encoding)"),
            (zlib.compress(b"body")[:-2], "deflate", "the response's deflate body is cut short (Content-Encoding)"),
        ],
    )
    async def test_what_cannot_be_decoded(
        self, prober: Engine, body: bytes, coding: str, message: str, fields: dict[str, str]
    ) -> None:
        raw = targets.answer(body, headers=f"Content-Encoding: {coding}\r\n")
        outcome, judgement = await check(prober, raw, **fields)
        assert (judgement.error_type, judgement.error_message) == ("assertion_failed", message)
        assert outcome.status_code == 200

    async def test_nobody_asks_for_the_body(self, prober: Engine) -> None:
        raw = targets.answer(b"body", headers="Content-Encoding: gzip, zstd\r\n")
        outcome, judgement = await check(prober, raw)
        assert judgement.success and outcome.body == b""

    async def test_the_status_comes_first(self, prober: Engine) -> None:
        raw = targets.answer(b"body", status="503 Busy", headers="Content-Encoding: zstd\r\n")
        assert (await check(prober, raw, keyword="x"))[1].error_type == "http_error"

    async def test_an_empty_body(self, prober: Engine) -> None:
        raw = targets.answer(b"", headers="Content-Encoding: gzip\r\n")
        assert (await check(prober, raw, keyword_absent="FATAL"))[1].success
        assert (await check(prober, raw, keyword="x"))[1].error_message == 'the answer does not contain "x"'

    async def test_head(self, prober: Engine) -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nContent-Encoding: gzip\r\n\r\n"
        assert (await check(prober, raw, method="HEAD", keyword_absent="FATAL"))[1].success

    async def test_the_codings_of_other_responses_do_not_count(self, prober: Engine) -> None:
        """Those of interim responses, of redirects and of the handle's last check."""
        assert (await check(prober, coded(PAGE.encode(), "gzip"), keyword="FATAL"))[1].success
        early = b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\n\r\n"
        assert (await check(prober, early + targets.answer(PAGE.encode()), keyword="FATAL"))[1].success
        location = "Location: /\r\nContent-Encoding: gzip\r\n"
        answers = itertools.chain(
            [targets.answer(status="302 Found", headers=location)], itertools.repeat(targets.answer())
        )

        async def behave(reader: Any, writer: Any) -> None:
            await targets.answering(next(answers))(reader, writer)

        async with serving(behave) as port:
            service = http_service(id="target", endpoint_url=f"http://127.0.0.1:{port}/", keyword="ok")
            assert (await run_check(service, prober))[1].success

    async def test_it_asks_for_no_coding(self, prober: Engine) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.answer())) as port:
            await run_check(http_service(id="target", endpoint_url=f"http://127.0.0.1:{port}/", keyword="ok"), prober)
        assert [line for line in heads[0].split(b"\r\n") if b"ncoding" in line] == [b"Accept-Encoding: identity"]


class TestBombs:
    """PROBE_MAX_BYTES bounds what is kept, coded and decoded."""

    @pytest.mark.parametrize("codings", [("gzip",), ("gzip", "gzip"), ("deflate", "raw", "gzip")], ids=" ".join)
    async def test_they_stay_small(self, prober: Engine, codings: tuple[str, ...]) -> None:
        raw = coded(bytes(60 * 1024 * 1024), *codings)
        tracemalloc.start()
        try:
            outcome, judgement = await check(prober, raw, keyword="x-y-z")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert outcome.truncated and outcome.body == bytes(MAX_BYTES)
        assert judgement.error_message is not None
        assert judgement.error_message.endswith(f"(only the first {MAX_BYTES} bytes of the answer were read)")
        assert peak < 2 * 1024 * 1024

    @needs_brotli
    async def test_brotli(self, prober: Engine) -> None:
        raw = targets.answer(BROTLI_BOMB, headers="Content-Encoding: br\r\n")
        outcome, judgement = await check(prober, raw, keyword_absent="x-y-z")
        assert judgement.success and outcome.truncated and outcome.body == bytes(MAX_BYTES)

    async def test_a_coded_body_that_is_itself_too_large(self, prober: Engine) -> None:
        packed = gzip.compress(b"begin " + bytes(MAX_BYTES + 1000), compresslevel=0)
        raw = targets.answer(packed, headers="Content-Encoding: gzip\r\n")
        outcome, judgement = await check(prober, raw, keyword_absent="x-y-z")
        assert judgement.success and outcome.truncated and outcome.body.startswith(b"begin ")
        assert MAX_BYTES - 1000 < len(outcome.body) <= MAX_BYTES

    async def test_a_large_one_is_decoded_in_a_thread(self) -> None:
        noise = b"".join(zlib.crc32(number.to_bytes(4)).to_bytes(4) for number in range(50_000))
        async with Engine(Settings()) as engine:
            raw = coded(noise + b"end", "gzip")
            outcome, judgement = await check(engine, raw, keyword="end")
        assert judgement.success and outcome.body == noise + b"end"


class TestCharsets:
    @pytest.mark.parametrize(
        ("charset", "codec"),
        [
            ("euc-kr", "cp949"),
            ("EUC-KR", "cp949"),
            ("ks_c_5601-1987", "cp949"),
            ("utf-16le", "utf-16-le"),
            ("utf-16", "utf-16"),
            ("gb18030", "gb18030"),
            ("utf-8", "utf-8-sig"),
        ],
    )
    async def test_in_the_header(self, prober: Engine, charset: str, codec: str) -> None:
        head = f"Content-Type: text/html; charset={charset}\r\n"
        await is_read(
            prober, targets.answer(PAGE.encode(codec), headers=head), targets.answer(DOCUMENT.encode(), headers=head)
        )

    @pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
    async def test_a_byte_order_mark(self, prober: Engine, codec: str) -> None:
        await is_read(prober, targets.answer(PAGE.encode(codec)), targets.answer(DOCUMENT.encode(codec)))

    async def test_in_the_document(self, prober: Engine) -> None:
        page = f'<meta http-equiv="Content-Type" content="text/html; charset=EUC-KR">{PAGE}'.encode("cp949")
        await is_read(
            prober,
            targets.answer(page, headers="Content-Type: text/html; charset=klingon\r\n"),
            targets.answer(DOCUMENT.encode("utf-16-be"), headers="Content-Type: application/json; charset=euc-kr\r\n"),
        )

    async def test_bytes_that_are_no_text_are_no_obstacle(self, prober: Engine) -> None:
        raw = targets.answer(b"\xff\xfe\xfd\xb0" + PAGE.encode("cp949"), headers="Content-Type: ;charset=euc-kr\r\n")
        assert (await check(prober, raw, keyword="FATAL"))[1].success

    async def test_coded_and_in_another_charset(self, prober: Engine) -> None:
        head = "Content-Type: text/html; charset=\xa0\r\nContent-type: text/html; charset=euc-kr\r\n"
        raw = coded(PAGE.encode("cp949"), "gzip", headers=head)
        assert (await check(prober, raw, keyword_absent="오류"))[1].error_message == 'the answer contains "오류"'


FLOOD = targets.endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)


class TestLargeAnswersAtOnce:
    """PROBE_BODIES_MAX_BYTES bounds what all checks together keep."""

    async def test_their_sum_is_bounded_and_each_has_its_verdict(self) -> None:
        limit, checks = 1024 * 1024, 40
        reasons: list[str | None] = []
        waited: list[int] = []

        async def one(service: Service, engine: Engine) -> None:
            _, judgement, _ = await run_check(service, engine)
            reasons.append(judgement.error_message)
            waited.append(engine.bodies_waiting)

        settings = Settings(probe_max_bytes=limit, probe_bodies_max_bytes=4 * limit)
        async with Engine(settings) as engine, serving(FLOOD) as port:
            url = f"http://127.0.0.1:{port}/"
            flooded = http_service(id="flooded", endpoint_url=url, timeout_ms=60_000, keyword="needle")
            tracemalloc.start()
            try:
                async with anyio.create_task_group() as group:
                    for _ in range(checks):
                        group.start_soon(one, flooded, engine)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert engine.bodies_waiting == 0
        assert len(reasons) == checks
        assert {"does not contain" in str(reason) for reason in reasons} == {True}
        assert max(waited) > 0
        assert peak < 20 * limit, "twice the four that are kept, the first 64 KiB of all, and what the target holds"

    async def test_no_place_in_time_says_nothing_of_the_service_and_places_come_back(self) -> None:
        async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 70_000)
            await writer.drain()
            sent.set()
            await reader.read()  # until the client leaves

        sent = asyncio.Event()
        settings = Settings(probe_max_bytes=2 * MAX_BYTES, probe_bodies_max_bytes=MAX_BYTES)
        async with Engine(settings) as engine, serving(stuck) as hog, serving(FLOOD) as flood:
            fields: dict[str, Any] = {"keyword": "needle", "interval_seconds": 10}
            hogging = http_service(id="hog", endpoint_url=f"http://127.0.0.1:{hog}/", timeout_ms=5000, **fields)
            waiting = http_service(id="waiting", endpoint_url=f"http://127.0.0.1:{flood}/", timeout_ms=500, **fields)
            patient = http_service(id="patient", endpoint_url=f"http://127.0.0.1:{flood}/", timeout_ms=20_000, **fields)
            found: dict[str, Judgement] = {}

            async def one(service: Service) -> None:
                found[service.id] = (await run_check(service, engine))[1]

            async with anyio.create_task_group() as group:
                group.start_soon(one, hogging)
                await sent.wait()
                while engine.large_bodies == 0:  # noqa: ASYNC110 - what libcurl has read
                    await anyio.sleep(0.01)
                group.start_soon(one, patient)
                with pytest.raises(ProberTrouble, match="raise PROBE_BODIES_MAX_BYTES"):
                    await run_check(waiting, engine)
            assert found["hog"].error_type == "timeout"
            assert found["patient"].error_type == "assertion_failed"
            assert (engine.bodies_waiting, engine.large_bodies) == (0, 0)
