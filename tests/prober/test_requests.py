"""The requests of HTTP checks: body length, hosts and internationalized names."""

import socket
from typing import Any

import pytest

from prober.probes import Engine
from prober.probes.resolver import Resolver
from tests.prober import targets
from tests.prober.http_checks import check
from tests.prober.targets import serving


def resolve_to_loopback(probe_engine: Engine) -> list[str]:
    """Resolves every name to 127.0.0.1. Returns the list of names that are looked up."""
    looked_up: list[str] = []

    def look_up(name: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        looked_up.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    probe_engine.resolver.close()
    probe_engine.resolver = Resolver(look_up=look_up)
    return looked_up


def headers(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:-2]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


class TestLengths:
    """RFC 9110, 8.6: a request without a body has a Content-Length of 0 if its method defines a meaning for a body."""

    @pytest.mark.parametrize("body", [None, ""])
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    async def test_a_request_without_a_body_has_content_length_0(
        self, probe_engine: Engine, method: str, body: str | None
    ) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.http_response())) as port:
            _, judgement = await check(
                probe_engine, f"http://127.0.0.1:{port}/", method=method, body=body, timeout_ms=5000
            )
            await check(probe_engine, f"http://127.0.0.1:{port}/", timeout_ms=5000)
        assert judgement.success, judgement
        assert heads[0].startswith(method.encode() + b" / ")
        assert headers(heads[0])["content-length"] == "0"
        assert not {"content-type", "expect", "transfer-encoding"} & headers(heads[0]).keys()
        assert "content-length" not in headers(heads[1]), "a reused handle keeps nothing of the last request"

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
    async def test_other_methods_have_no_content_length(self, probe_engine: Engine, method: str) -> None:
        heads: list[bytes] = []
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        async with serving(targets.recording(heads, raw)) as port:
            await check(probe_engine, f"http://127.0.0.1:{port}/", method=method, timeout_ms=5000)
        assert heads[0].startswith(method.encode() + b" / ")
        assert "content-length" not in headers(heads[0])

    async def test_a_redirect_that_keeps_the_method_keeps_content_length_0(self, probe_engine: Engine) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.http_response())) as port:
            there = targets.http_response(status="307 Go", headers=f"Location: http://127.0.0.1:{port}/\r\n")
            async with serving(targets.recording(heads, there)) as first_port:
                await check(probe_engine, f"http://127.0.0.1:{first_port}/", method="PUT", timeout_ms=5000)
        assert [headers(head).get("content-length") for head in heads] == ["0", "0"]


class TestHosts:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("LocalHost", "localhost"),
            ("localhost", "LOCALHOST"),
            ("127.0.0.1", "127.1"),
            ("2130706433", "127.0.0.1"),
            ("Straße.Example", "xn--strae-oqa.example"),
            ("straße.example", "STRAßE.example"),
        ],
    )
    async def test_two_notations_of_one_host_keep_headers_and_credentials(
        self, probe_engine: Engine, first: str, second: str
    ) -> None:
        resolve_to_loopback(probe_engine)
        heads: list[bytes] = []
        raws: list[bytes] = []

        async def behave(reader: Any, writer: Any) -> None:
            await targets.recording(heads, raws.pop(0))(reader, writer)

        async with serving(behave) as port:
            location = f"Location: http://{second}:{port}/next\r\n"
            raws += [targets.http_response(status="302 Found", headers=location), targets.http_response()]
            url = f"http://alice:s3cret@{first}:{port}/"
            _, judgement = await check(probe_engine, url, headers={"X-Api-Key": "k3y"}, timeout_ms=5000)
        assert judgement.success, judgement
        assert all(b"Authorization: Basic" in head and b"k3y" in head for head in heads) and len(heads) == 2

    @pytest.mark.parametrize("plain", [True, False])
    async def test_another_port_is_another_origin(self, probe_engine: Engine, plain: bool) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.http_response())) as port:
            there = targets.http_response(status="302 Found", headers=f"Location: http://LOCALHOST:{port}/\r\n")
            async with serving(targets.recording(heads, there)) as first_port:
                url = f"http://LocalHost:{first_port}/{'' if plain else 'ß'}"
                await check(probe_engine, url, headers={"X-Api-Key": "k3y"}, timeout_ms=5000)
        assert b"k3y" in heads[0] and b"k3y" not in heads[1]


class TestInternationalNames:
    """The name that is looked up is that of browsers (UTS #46)."""

    @pytest.mark.parametrize(
        ("host", "domain"),
        [
            ("straße.example", "xn--strae-oqa.example"),
            ("ΒΌΛΟΣ.example", "xn--nxasmq6b.example"),
            ("نامه\u200cای.example", "xn--mgba3gch31f060k.example"),
            ("क्\u200dष.example", "xn--11b2ezcw70k.example"),
            ("☕.example", "xn--53h.example"),
            ("日本語。example", "xn--wgv71a119e.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
        ],
    )
    async def test_the_encoded_name_is_looked_up_and_sent(self, probe_engine: Engine, host: str, domain: str) -> None:
        looked_up = resolve_to_loopback(probe_engine)
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.http_response())) as port:
            _, judgement = await check(probe_engine, f"http://{host}:{port}/", timeout_ms=5000)
        assert judgement.success, judgement
        assert looked_up == [domain]
        assert headers(heads[0])["host"] == f"{domain}:{port}"

    @pytest.mark.parametrize("location", ["http://straße.example:{}/", "http://stra%C3%9Fe.example:{}/"])
    async def test_a_redirect_to_an_internationalized_name(self, probe_engine: Engine, location: str) -> None:
        looked_up = resolve_to_loopback(probe_engine)
        async with serving(targets.good()) as port:
            there = targets.good(status="302 Found", headers=f"Location: {location.format(port)}\r\n")
            async with serving(there) as first_port:
                _, judgement = await check(probe_engine, f"http://127.0.0.1:{first_port}/", timeout_ms=5000)
        assert judgement.success, judgement
        assert looked_up == ["xn--strae-oqa.example"]

    async def test_an_invalid_name(self, probe_engine: Engine) -> None:
        _, judgement = await check(probe_engine, "http://a\u200cb.example/", timeout_ms=5000)
        assert (judgement.error_type, judgement.error_message) == ("dns_error", "not a valid host name")
