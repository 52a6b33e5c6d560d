"""What requests say of their body, and which host is which."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from prober.probes import Engine
from prober.probes.resolver import Resolver
from sla_monitor.settings import Settings
from tests.prober import targets
from tests.prober.targets import serving
from tests.prober.test_http_probe import check


@pytest.fixture
async def prober() -> AsyncIterator[Engine]:
    async with Engine(Settings()) as engine:
        yield engine


def names(prober: Engine) -> list[str]:
    """Lets every name lead to this machine; what is asked for is noted."""
    asked: list[str] = []

    def look_up(name: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        asked.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    prober.resolver.close()
    prober.resolver = Resolver(look_up=look_up)
    return asked


def fields(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:-2]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


class TestLengths:
    """RFC 9110, 8.6: where a method means something by its body, a request without one says so."""

    @pytest.mark.parametrize("body", [None, ""])
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    async def test_a_request_without_a_body_has_a_length(self, prober: Engine, method: str, body: str | None) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.answer())) as port:
            _, judgement = await check(prober, f"http://127.0.0.1:{port}/", method=method, body=body, timeout_ms=5000)
            await check(prober, f"http://127.0.0.1:{port}/", timeout_ms=5000)
        assert judgement.success, judgement
        assert heads[0].startswith(method.encode() + b" / ")
        assert fields(heads[0])["content-length"] == "0"
        assert not {"content-type", "expect", "transfer-encoding"} & fields(heads[0]).keys()
        assert "content-length" not in fields(heads[1]), "a reused handle forgets the last request"

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
    async def test_other_methods_have_none(self, prober: Engine, method: str) -> None:
        heads: list[bytes] = []
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        async with serving(targets.recording(heads, raw)) as port:
            await check(prober, f"http://127.0.0.1:{port}/", method=method, timeout_ms=5000)
        assert heads[0].startswith(method.encode() + b" / ")
        assert "content-length" not in fields(heads[0])

    async def test_a_redirect_that_keeps_the_method_keeps_the_length(self, prober: Engine) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.answer())) as port:
            there = targets.answer(status="307 Go", headers=f"Location: http://127.0.0.1:{port}/\r\n")
            async with serving(targets.recording(heads, there)) as first_port:
                await check(prober, f"http://127.0.0.1:{first_port}/", method="PUT", timeout_ms=5000)
        assert [fields(head).get("content-length") for head in heads] == ["0", "0"]


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
    async def test_one_host_written_in_two_ways_keeps_headers_and_credentials(
        self, prober: Engine, first: str, second: str
    ) -> None:
        names(prober)
        heads: list[bytes] = []
        raws: list[bytes] = []

        async def behave(reader: Any, writer: Any) -> None:
            await targets.recording(heads, raws.pop(0))(reader, writer)

        async with serving(behave) as port:
            location = f"Location: http://{second}:{port}/next\r\n"
            raws += [targets.answer(status="302 Found", headers=location), targets.answer()]
            url = f"http://alice:s3cret@{first}:{port}/"
            _, judgement = await check(prober, url, headers={"X-Api-Key": "k3y"}, timeout_ms=5000)
        assert judgement.success, judgement
        assert all(b"Authorization: Basic" in head and b"k3y" in head for head in heads) and len(heads) == 2

    @pytest.mark.parametrize("plain", [True, False])
    async def test_another_port_is_another_origin(self, prober: Engine, plain: bool) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.answer())) as port:
            there = targets.answer(status="302 Found", headers=f"Location: http://LOCALHOST:{port}/\r\n")
            async with serving(targets.recording(heads, there)) as first_port:
                url = f"http://LocalHost:{first_port}/{'' if plain else 'ß'}"
                await check(prober, url, headers={"X-Api-Key": "k3y"}, timeout_ms=5000)
        assert b"k3y" in heads[0] and b"k3y" not in heads[1]


class TestInternationalNames:
    """The domain that is asked for is the one that browsers ask for."""

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
    async def test_it_is_looked_up_and_named(self, prober: Engine, host: str, domain: str) -> None:
        asked = names(prober)
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.answer())) as port:
            _, judgement = await check(prober, f"http://{host}:{port}/", timeout_ms=5000)
        assert judgement.success, judgement
        assert asked == [domain]
        assert fields(heads[0])["host"] == f"{domain}:{port}"

    @pytest.mark.parametrize("location", ["http://straße.example:{}/", "http://stra%C3%9Fe.example:{}/"])
    async def test_a_redirect_to_one(self, prober: Engine, location: str) -> None:
        asked = names(prober)
        async with serving(targets.good()) as port:
            there = targets.good(status="302 Found", headers=f"Location: {location.format(port)}\r\n")
            async with serving(there) as first_port:
                _, judgement = await check(prober, f"http://127.0.0.1:{first_port}/", timeout_ms=5000)
        assert judgement.success, judgement
        assert asked == ["xn--strae-oqa.example"]

    async def test_a_name_that_cannot_be(self, prober: Engine) -> None:
        _, judgement = await check(prober, "http://a\u200cb.example/", timeout_ms=5000)
        assert (judgement.error_type, judgement.error_message) == ("dns_error", "not a valid host name")
