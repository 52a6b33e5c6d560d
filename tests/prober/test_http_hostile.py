"""HTTP checks of hostile and broken targets: each ends before the deadline, in bounded memory, with an error."""

import pytest

from prober.probes import Engine
from tests.prober import targets
from tests.prober.http_checks import MAX_BYTES, TIMEOUT_MS, check_behaviour
from tests.prober.targets import Behaviour


class TestHostileResponses:
    @pytest.mark.parametrize("keyword", [None, "x"])
    @pytest.mark.parametrize(
        ("length", "error_type"),
        [
            ("9" * 23, "http_error"),
            (str(2**63), "http_error"),
            (str(2**63 - 1), "connection_error"),
            ("-5", "http_error"),
            ("five", "http_error"),
            ("6", "connection_error"),
            ("5\r\nContent-Length: 7", "http_error"),
        ],
    )
    async def test_a_wrong_or_invalid_content_length(
        self, probe_engine: Engine, length: str, error_type: str, keyword: str | None
    ) -> None:
        """A keyword that arrives before the connection ends makes the check succeed."""
        raw = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nxxxxx".encode()
        _, judgement = await check_behaviour(probe_engine, targets.responding(raw), keyword=keyword)
        expected = (True, None) if keyword == "x" and error_type == "connection_error" else (False, error_type)
        assert (judgement.success, judgement.error_type) == expected

    @pytest.mark.parametrize(
        ("behaviour", "phase"),
        [
            (targets.hang, "while waiting for the first byte"),
            (targets.endless(b"HTTP/1.1 200 OK\r\n", b"X-Drip: 1\r\n", 0.02), "while reading the response"),
            (targets.endless(targets.http_response(b"x" * 9999)[:-9999], b"x", 0.02), "while reading the response"),
            (targets.endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02), "while "),
        ],
        ids=["hang", "drip header", "drip body", "endless 100-continue"],
    )
    async def test_a_response_that_does_not_end_is_a_timeout(
        self, probe_engine: Engine, behaviour: Behaviour, phase: str
    ) -> None:
        outcome, judgement = await check_behaviour(probe_engine, behaviour)
        assert judgement.error_type == "timeout"
        assert f"timed out after {TIMEOUT_MS} ms {phase}" in (judgement.error_message or "")
        assert outcome.total_ms < TIMEOUT_MS + 250

    @pytest.mark.parametrize(
        ("behaviour", "error_type", "message"),
        [
            (targets.reset_in_response, "connection_error", "connection reset while reading the response"),
            (targets.close_silently, "connection_error", "closed without a response"),
            (
                targets.responding(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"),
                "connection_error",
                "closed in the middle of the response",
            ),
            (targets.responding(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "http_error", "not a valid HTTP response"),
            (targets.responding(b"HTTP/1.1 2x0 \x00\r\n\r\n"), "http_error", "not a valid HTTP response"),
            (
                targets.responding(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
                "http_error",
                "not a valid HTTP response",
            ),
            (
                targets.endless(b"HTTP/1.1 200 OK\r\n", b"X-Bomb: " + b"x" * 9000 + b"\r\n"),
                "http_error",
                "headers",
            ),
            (targets.endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 9000), "http_error", "headers"),
        ],
        ids=[
            "RST in the response",
            "empty response",
            "too short for its Content-Length",
            "not HTTP",
            "bad status line",
            "bad chunk",
            "header bomb",
            "endless header line",
        ],
    )
    async def test_a_broken_response_is_a_failure(
        self, probe_engine: Engine, behaviour: Behaviour, error_type: str, message: str
    ) -> None:
        _, judgement = await check_behaviour(probe_engine, behaviour, timeout_ms=2000)
        assert (judgement.severity, judgement.error_type) == ("mo", error_type), judgement
        assert message in (judgement.error_message or "")

    async def test_bytes_after_the_content_length_are_ignored(self, probe_engine: Engine) -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and much more"
        outcome, judgement = await check_behaviour(probe_engine, targets.responding(raw), keyword="ok")
        assert judgement.success and outcome.body == b"ok"

    async def test_an_endless_body_is_truncated(self, probe_engine: Engine) -> None:
        flood = targets.endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)
        outcome, judgement = await check_behaviour(probe_engine, flood, timeout_ms=3000)
        assert judgement.success and outcome.truncated
        assert outcome.body == b"", "no assertion needs the body"
        outcome, judgement = await check_behaviour(probe_engine, flood, timeout_ms=3000, keyword="needle")
        assert judgement.error_type == "assertion_failed"
        assert f"only the first {MAX_BYTES} bytes" in (judgement.error_message or "")
        assert len(outcome.body) == MAX_BYTES

    async def test_the_message_has_no_control_characters(self, probe_engine: Engine) -> None:
        raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\x1b[31m\r\n"
        _, judgement = await check_behaviour(probe_engine, targets.responding(raw))
        assert judgement.error_message is not None and judgement.error_message.isprintable()
