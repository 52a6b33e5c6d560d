"""HTTP checks of small real servers."""

from typing import Any

import anyio
import pytest

from prober.probes import Engine, run_check
from tests.prober import targets
from tests.prober.http_checks import check, check_behaviour, service
from tests.prober.targets import serving


class TestGoodTargets:
    async def test_a_good_response_has_the_durations_of_its_phases(self, probe_engine: Engine) -> None:
        outcome, judgement = await check_behaviour(probe_engine, targets.good())
        assert (judgement.success, judgement.severity, outcome.status_code) == (True, "o", 200)
        assert outcome.dns_ms is None and outcome.tls_ms is None
        assert outcome.connect_ms is not None and outcome.first_byte_ms is not None
        assert 0 <= outcome.connect_ms + outcome.first_byte_ms <= outcome.total_ms
        assert outcome.address == "127.0.0.1"

    async def test_a_name_is_looked_up(self, probe_engine: Engine) -> None:
        async with serving(targets.good()) as port:
            outcome, judgement = await check(probe_engine, f"http://localhost:{port}/")
        assert judgement.success
        assert outcome.dns_ms is not None and outcome.dns_ms <= outcome.total_ms

    async def test_a_slow_response_is_a_partial_outage(self, probe_engine: Engine) -> None:
        _, judgement = await check_behaviour(probe_engine, targets.good(), degraded_after_ms=0)
        assert (judgement.success, judgement.severity) == (True, "po")

    async def test_an_unexpected_status(self, probe_engine: Engine) -> None:
        outcome, judgement = await check_behaviour(probe_engine, targets.good(status="500 Oops"))
        assert outcome.status_code == 500
        assert (judgement.error_type, judgement.error_message) == ("http_error", "HTTP 500, expected 200")

    async def test_unicode_in_url_header_and_body(self, probe_engine: Engine) -> None:
        heads: list[bytes] = []
        raw = targets.http_response("grüß dich, 세계".encode())
        async with serving(targets.recording(heads, raw)) as port:
            url = f"http://127.0.0.1:{port}/größe?q=세계"
            _, judgement = await check(probe_engine, url, keyword="세계", headers={"X-Name": "Jürgen"})
        assert judgement.success
        assert b"/gr%C3%B6%C3%9Fe?q=%EC%84%B8%EA%B3%84 HTTP/1.1" in heads[0]
        assert "X-Name: Jürgen".encode() in heads[0]

    async def test_the_request_that_is_sent(self, probe_engine: Engine) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.http_response())) as port:
            url = f"http://127.0.0.1:{port}/"
            await check(probe_engine, url, method="POST", body='{"a": 1}', headers={"Content-Type": "application/json"})
            await check(probe_engine, url)
        first, second = (head.decode() for head in heads)
        assert first.startswith("POST / HTTP/1.1") and "Content-Type: application/json" in first
        assert "Accept-Encoding: identity" in first and "User-Agent: sla-monitor/" in first
        assert second.startswith("GET / HTTP/1.1"), "a reused handle keeps nothing of the last request"
        assert "Content-Type" not in second and "Content-Length" not in second

    async def test_a_response_to_head_without_its_body(self, probe_engine: Engine) -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
        _, judgement = await check_behaviour(probe_engine, targets.responding(raw), method="HEAD")
        assert judgement.success

    async def test_the_proxy_of_the_environment_is_not_used(
        self, probe_engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{targets.closed_port()}")
        _, judgement = await check_behaviour(probe_engine, targets.good())
        assert judgement.success

    async def test_attempts_are_counted_and_the_last_one_decides(self, probe_engine: Engine) -> None:
        responses = [targets.http_response(status="503 Busy"), targets.http_response()]

        async def flaky(reader: Any, writer: Any) -> None:
            await targets.responding(responses.pop(0))(reader, writer)

        async with serving(flaky) as port:
            flaky_service = service(f"http://127.0.0.1:{port}/", retries=2, interval_seconds=1)
            with anyio.fail_after(120):
                _, judgement, attempts = await run_check(flaky_service, probe_engine)
        assert (judgement.success, attempts) == (True, 2)


class TestUnreachable:
    async def test_a_closed_port(self, probe_engine: Engine) -> None:
        _, judgement = await check(probe_engine, f"http://127.0.0.1:{targets.closed_port()}/")
        assert (judgement.error_type, judgement.error_message) == ("connection_error", "connection refused")

    async def test_a_name_that_does_not_exist(self, probe_engine: Engine) -> None:
        outcome, judgement = await check(probe_engine, "http://no-such-host.invalid/", timeout_ms=5000)
        assert judgement.error_type == "dns_error", judgement
        assert outcome.connect_ms is None

    @pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b.example"])
    async def test_an_invalid_name(self, probe_engine: Engine, host: str) -> None:
        _, judgement = await check(probe_engine, f"http://{host}/", timeout_ms=5000)
        assert (judgement.error_type, judgement.error_message) == ("dns_error", "not a valid host name")

    async def test_messages_do_not_contain_credentials(self, probe_engine: Engine) -> None:
        for url in (
            f"http://alice:s3cret@127.0.0.1:{targets.closed_port()}/",
            "http://alice:s3cret@no-such-host.invalid/",
            "ftp://alice:s3cret@127.0.0.1/",
            "http://alice:s3cret@[::bad/",
        ):
            _, judgement = await check(probe_engine, url, timeout_ms=5000)
            assert judgement.error_message is not None
            assert "s3cret" not in judgement.error_message and "alice" not in judgement.error_message
