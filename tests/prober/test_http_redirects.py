"""HTTP checks that are redirected."""

from typing import Any

import anyio
import pytest

from prober.probes import Engine
from tests.prober import targets
from tests.prober.http_checks import TIMEOUT_MS, check, check_behaviour
from tests.prober.targets import serving


class TestRedirects:
    async def test_a_redirect_is_followed(self, probe_engine: Engine) -> None:
        async with serving(targets.good()) as port:
            redirect = targets.good(status="302 Found", headers=f"Location: http://localhost:{port}/x\r\n")
            outcome, judgement = await check_behaviour(probe_engine, redirect)
        assert judgement.success and outcome.redirects == 1
        assert outcome.dns_ms is not None, "the name of the second location was looked up"
        assert outcome.total_ms >= (outcome.connect_ms or 0) + (outcome.first_byte_ms or 0)

    async def test_with_a_limit_of_zero_the_redirect_is_the_response(self, probe_engine: Engine) -> None:
        redirect = targets.good(status="302 Found", headers="Location: /x\r\n")
        outcome, _ = await check_behaviour(probe_engine, redirect, follow_redirects=0)
        assert outcome.status_code == 302 and outcome.error_type is None

    async def test_a_loop_ends(self, probe_engine: Engine) -> None:
        redirect = targets.good(status="302 Found", headers="Location: /\r\n")
        outcome, judgement = await check_behaviour(probe_engine, redirect, follow_redirects=3, timeout_ms=5000)
        assert (judgement.error_type, judgement.error_message) == ("http_error", "more than 3 redirects")
        assert outcome.redirects == 3

    async def test_the_deadline_is_for_all_locations_together(self, probe_engine: Engine) -> None:
        async def slow(reader: Any, writer: Any) -> None:
            await anyio.sleep(0.1)
            await targets.good(status="302 Found", headers="Location: /\r\n")(reader, writer)

        outcome, judgement = await check_behaviour(probe_engine, slow, follow_redirects=20)
        assert judgement.error_type == "timeout"
        assert outcome.total_ms < TIMEOUT_MS + 250

    @pytest.mark.parametrize(("location", "error"), [("http://h\xff.invalid/", "dns_error"), ("/\xff", "http_error")])
    async def test_a_location_of_arbitrary_bytes_is_a_failure(
        self, probe_engine: Engine, location: str, error: str
    ) -> None:
        async with serving(targets.good(status="404 Not Found")) as port:
            target = location if location.startswith("http") else f"http://127.0.0.1:{port}{location}"
            raw = b"HTTP/1.1 302 Found\r\nLocation: " + target.encode("latin-1") + b"\r\nContent-Length: 0\r\n\r\n"
            _, judgement = await check_behaviour(probe_engine, targets.responding(raw), timeout_ms=5000)
        assert judgement.error_type == error

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://127.0.0.1/"])
    async def test_a_redirect_to_another_scheme_is_not_followed(self, probe_engine: Engine, location: str) -> None:
        redirect = targets.good(status="302 Found", headers=f"Location: {location}\r\n")
        _, judgement = await check_behaviour(probe_engine, redirect)
        assert judgement.error_type == "http_error"
        assert "invalid redirect: the scheme of the URL is " in (judgement.error_message or "")

    async def test_an_invalid_port_is_not_quoted(self, probe_engine: Engine) -> None:
        redirect = targets.good(status="302 Found", headers="Location: http://127.0.0.1:s3cret/\r\n")
        _, judgement = await check_behaviour(probe_engine, redirect)
        assert (judgement.error_type, judgement.error_message) == (
            "http_error",
            "invalid redirect: the port of the URL is invalid",
        )

    @pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "0xa9.254.43518"])
    async def test_a_redirect_to_a_denied_network_is_a_failure(self, probe_engine: Engine, host: str) -> None:
        redirect = targets.good(status="302 Found", headers=f"Location: http://{host}/latest/meta-data/\r\n")
        outcome, judgement = await check_behaviour(probe_engine, redirect)
        assert judgement.error_type == "connection_error"
        assert "169.254.169.254 (PROBE_DENY_NETWORKS)" in (judgement.error_message or "").replace(
            "a9fe:a9fe", "169.254.169.254"
        )
        assert outcome.total_ms < TIMEOUT_MS, "no connection was attempted"

    async def test_credentials_and_headers_are_not_sent_to_another_host(self, probe_engine: Engine) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.http_response())) as port:
            redirect = targets.http_response(status="307 Go", headers=f"Location: http://localhost:{port}/\r\n")
            async with serving(targets.recording(heads, redirect)) as first_port:
                _, judgement = await check(
                    probe_engine, f"http://alice:s3cret@127.0.0.1:{first_port}/", headers={"X-Api-Key": "k3y"}
                )
        assert judgement.success
        assert b"Authorization: Basic" in heads[0] and b"k3y" in heads[0]
        assert b"Authorization" not in heads[1] and b"k3y" not in heads[1]

    async def test_credentials_and_headers_are_sent_again_to_the_same_host(self, probe_engine: Engine) -> None:
        heads: list[bytes] = []
        raws = [targets.http_response(status="302 Found", headers="Location: /next\r\n"), targets.http_response()]

        async def twice(reader: Any, writer: Any) -> None:
            await targets.recording(heads, raws.pop(0))(reader, writer)

        async with serving(twice) as port:
            await check(probe_engine, f"http://alice:s3cret@127.0.0.1:{port}/", headers={"X-Api-Key": "k3y"})
        assert all(b"Authorization: Basic" in head and b"k3y" in head for head in heads) and len(heads) == 2

    async def test_a_reused_handle_keeps_no_credentials(self, probe_engine: Engine) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.http_response())) as port:
            await check(probe_engine, f"http://alice:s3cret@127.0.0.1:{port}/")
            await check(probe_engine, f"http://127.0.0.1:{port}/")
        assert b"Authorization" not in heads[1]
