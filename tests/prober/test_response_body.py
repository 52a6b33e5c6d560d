"""Keywords and JSON paths in encoded bodies and in other charsets."""

import gzip
import itertools
import zlib
from typing import Any

import pytest

from prober.probes import Engine, run_check
from tests.prober import targets
from tests.prober.encoders import BROTLI_FATAL, needs_brotli
from tests.prober.response_bodies import check, coded
from tests.prober.services import http_service
from tests.prober.targets import serving

MAX_BYTES = 64 * 1024
PAGE = "<html><title>상태</title>FATAL 오류가 발생했습니다</html>"
DOCUMENT = '{"state": "올바름"}'


async def assert_read(probe_engine: Engine, page: bytes, document: bytes) -> None:
    """Every kind of assertion has the right result. `page` is a response with PAGE, `document` one with DOCUMENT."""
    assert (await check(probe_engine, page, keyword="오류가 발생"))[1].success
    assert (await check(probe_engine, page, keyword="오류가 없"))[
        1
    ].error_message == 'the response does not contain "오류가 없"'
    for absent in ("FATAL", "오류"):
        judgement = (await check(probe_engine, page, keyword_absent=absent))[1]
        assert judgement.error_message == f'the response contains "{absent}"', "a page with FATAL is not a success"
    assert (await check(probe_engine, page, keyword_absent="정상"))[1].success
    assert (await check(probe_engine, document, json_path="$.state", json_value="올바름"))[1].success
    message = (await check(probe_engine, document, json_path="$.state", json_value="그름"))[1].error_message
    assert message == '$.state is "올바름", expected "그름"'


class TestContentCodings:
    @pytest.mark.parametrize(
        "codings", [("gzip",), ("deflate",), ("raw",), ("deflate", "gzip"), ("gzip", "gzip", "raw")], ids=" ".join
    )
    async def test_encoded_bodies_are_decoded(self, probe_engine: Engine, codings: tuple[str, ...]) -> None:
        await assert_read(probe_engine, coded(PAGE.encode(), *codings), coded(DOCUMENT.encode(), *codings))

    @pytest.mark.parametrize(
        "line", ["content-encoding:{}", "CONTENT-ENCODING:   {}  ", "Content-Encoding: identity, {}"]
    )
    async def test_notations_of_the_header(self, probe_engine: Engine, line: str) -> None:
        packed = coded(PAGE.encode(), "deflate", "gzip", line=line)
        assert (await check(probe_engine, packed, keyword="FATAL"))[1].success

    async def test_several_codings_in_one_header_line(self, probe_engine: Engine) -> None:
        body = gzip.compress(zlib.compress(PAGE.encode()))
        raw = targets.http_response(body, headers="Content-Encoding: Deflate,GZIP\r\n")
        assert (await check(probe_engine, raw, keyword="FATAL"))[1].success

    async def test_an_encoded_body_in_chunks(self, probe_engine: Engine) -> None:
        body = gzip.compress(PAGE.encode())
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"".join(b"1\r\n" + body[at : at + 1] + b"\r\n" for at in range(len(body)))
        assert (await check(probe_engine, head + chunks + b"0\r\n\r\n", keyword="FATAL"))[1].success

    @needs_brotli
    async def test_brotli(self, probe_engine: Engine) -> None:
        raw = targets.http_response(BROTLI_FATAL, headers="Content-Encoding: br\r\n")
        assert (await check(probe_engine, raw, keyword_absent="FATAL"))[
            1
        ].error_message == 'the response contains "FATAL"'
        raw = targets.http_response(BROTLI_FATAL[:-2], headers="Content-Encoding: br\r\n")
        message = (await check(probe_engine, raw, keyword_absent="SEVERE"))[1].error_message
        assert message == "the response's br body is cut short (Content-Encoding)"

    async def test_identity_is_not_a_coding(self, probe_engine: Engine) -> None:
        head = "Content-Encoding: identity\r\n"
        await assert_read(
            probe_engine,
            targets.http_response(PAGE.encode(), headers=head),
            targets.http_response(DOCUMENT.encode(), headers=head),
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
    async def test_a_body_that_cannot_be_decoded_is_a_failure(
        self, probe_engine: Engine, body: bytes, coding: str, message: str, fields: dict[str, str]
    ) -> None:
        raw = targets.http_response(body, headers=f"Content-Encoding: {coding}\r\n")
        outcome, judgement = await check(probe_engine, raw, **fields)
        assert (judgement.error_type, judgement.error_message) == ("assertion_failed", message)
        assert outcome.status_code == 200

    async def test_a_body_is_not_decoded_without_an_assertion(self, probe_engine: Engine) -> None:
        raw = targets.http_response(b"body", headers="Content-Encoding: gzip, zstd\r\n")
        outcome, judgement = await check(probe_engine, raw)
        assert judgement.success and outcome.body == b""

    async def test_the_status_has_priority_over_the_coding(self, probe_engine: Engine) -> None:
        raw = targets.http_response(b"body", status="503 Busy", headers="Content-Encoding: zstd\r\n")
        assert (await check(probe_engine, raw, keyword="x"))[1].error_type == "http_error"

    async def test_an_empty_body(self, probe_engine: Engine) -> None:
        raw = targets.http_response(b"", headers="Content-Encoding: gzip\r\n")
        assert (await check(probe_engine, raw, keyword_absent="FATAL"))[1].success
        assert (await check(probe_engine, raw, keyword="x"))[1].error_message == 'the response does not contain "x"'

    async def test_head(self, probe_engine: Engine) -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nContent-Encoding: gzip\r\n\r\n"
        assert (await check(probe_engine, raw, method="HEAD", keyword_absent="FATAL"))[1].success

    async def test_codings_of_other_responses_are_ignored(self, probe_engine: Engine) -> None:
        """Codings of interim responses, of redirects, and of the last check with the same handle."""
        assert (await check(probe_engine, coded(PAGE.encode(), "gzip"), keyword="FATAL"))[1].success
        early = b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\n\r\n"
        assert (await check(probe_engine, early + targets.http_response(PAGE.encode()), keyword="FATAL"))[1].success
        location = "Location: /\r\nContent-Encoding: gzip\r\n"
        responses = itertools.chain(
            [targets.http_response(status="302 Found", headers=location)], itertools.repeat(targets.http_response())
        )

        async def behave(reader: Any, writer: Any) -> None:
            await targets.responding(next(responses))(reader, writer)

        async with serving(behave) as port:
            service = http_service(id="target", endpoint_url=f"http://127.0.0.1:{port}/", keyword="ok")
            assert (await run_check(service, probe_engine))[1].success

    async def test_the_request_accepts_no_coding(self, probe_engine: Engine) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.http_response())) as port:
            await run_check(
                http_service(id="target", endpoint_url=f"http://127.0.0.1:{port}/", keyword="ok"), probe_engine
            )
        assert [line for line in heads[0].split(b"\r\n") if b"ncoding" in line] == [b"Accept-Encoding: identity"]


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
    async def test_the_charset_of_the_header(self, probe_engine: Engine, charset: str, codec: str) -> None:
        head = f"Content-Type: text/html; charset={charset}\r\n"
        await assert_read(
            probe_engine,
            targets.http_response(PAGE.encode(codec), headers=head),
            targets.http_response(DOCUMENT.encode(), headers=head),
        )

    @pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
    async def test_a_byte_order_mark(self, probe_engine: Engine, codec: str) -> None:
        await assert_read(
            probe_engine, targets.http_response(PAGE.encode(codec)), targets.http_response(DOCUMENT.encode(codec))
        )

    async def test_the_charset_of_the_document(self, probe_engine: Engine) -> None:
        page = f'<meta http-equiv="Content-Type" content="text/html; charset=EUC-KR">{PAGE}'.encode("cp949")
        await assert_read(
            probe_engine,
            targets.http_response(page, headers="Content-Type: text/html; charset=klingon\r\n"),
            targets.http_response(
                DOCUMENT.encode("utf-16-be"), headers="Content-Type: application/json; charset=euc-kr\r\n"
            ),
        )

    async def test_bytes_that_are_not_text_are_ignored(self, probe_engine: Engine) -> None:
        raw = targets.http_response(
            b"\xff\xfe\xfd\xb0" + PAGE.encode("cp949"), headers="Content-Type: ;charset=euc-kr\r\n"
        )
        assert (await check(probe_engine, raw, keyword="FATAL"))[1].success

    async def test_an_encoded_body_in_another_charset(self, probe_engine: Engine) -> None:
        head = "Content-Type: text/html; charset=\xa0\r\nContent-type: text/html; charset=euc-kr\r\n"
        raw = coded(PAGE.encode("cp949"), "gzip", headers=head)
        assert (await check(probe_engine, raw, keyword_absent="오류"))[
            1
        ].error_message == 'the response contains "오류"'
