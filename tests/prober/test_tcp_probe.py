"""The TCP probe against real listeners: what each comes to, and that none outlives the deadline."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from prober.judge import Judgement
from prober.outcome import Outcome, TargetDenied
from prober.probes import Engine, run_check
from prober.probes.resolver import Resolver
from prober.services import Service
from sla_monitor.checks.tcp import Tcp, unescaped
from sla_monitor.settings import Settings
from tests.prober import targets
from tests.prober.targets import Behaviour, serving

SLACK_S = 10.0  # of a busy machine; what never ended would take longer still


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> targets.Certificates:
    return targets.Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def prober(certificates: targets.Certificates) -> AsyncIterator[Engine]:
    async with Engine(Settings(ca_file=certificates.ca_file), certificates_every_s=0) as engine:
        yield engine


async def check(
    prober: Engine, port: int, host: str = "127.0.0.1", timeout_ms: int = 5000, **fields: Any
) -> tuple[Outcome, Judgement]:
    times = {name: fields.pop(name) for name in ("retries", "degraded_after_ms") if name in fields}
    config = Tcp(host=host, port=port, **fields)
    service = Service(id="target", check_config=config, timeout_ms=timeout_ms, **times)
    with anyio.fail_after((1 + service.retries) * timeout_ms / 1000 + service.retries + SLACK_S):
        outcome, judgement, _ = await run_check(service, prober)
    return outcome, judgement


async def check_behaviour(
    prober: Engine, behaviour: Behaviour, tls: ssl.SSLContext | None = None, **fields: Any
) -> tuple[Outcome, Judgement]:
    async with serving(behaviour, tls) as port:
        return await check(prober, port, tls=tls is not None, **fields)


def answering(received: list[bytes], reply: bytes) -> Behaviour:
    """Reads a line, notes it, replies, and waits for the client to leave."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readline())
        writer.write(reply)
        await writer.drain()
        await targets.hang(reader, writer)

    return behave


def greeting(*pieces: bytes, pause_s: float = 0.0, then: Callable[..., Any] = targets.hang) -> Behaviour:
    """Sends the pieces with a pause between them."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, piece in enumerate(pieces):
            await asyncio.sleep(pause_s if number else 0)
            writer.write(piece)
            await writer.drain()
        await then(reader, writer)

    return behave


async def leave(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Closes the connection."""


class TestConnections:
    async def test_an_open_port_is_good(self, prober: Engine) -> None:
        outcome, judgement = await check_behaviour(prober, targets.hang)
        assert (judgement.success, judgement.severity) == (True, "o"), judgement
        assert (outcome.dns_ms, outcome.tls_ms, outcome.first_byte_ms, outcome.status_code) == (None,) * 4
        assert outcome.connect_ms is not None and 0 < outcome.connect_ms <= outcome.total_ms
        assert outcome.address == "127.0.0.1"

    async def test_the_connection_is_closed_after_the_check(self, prober: Engine) -> None:
        gone = asyncio.Event()

        async def behave(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            assert await reader.read() == b""
            gone.set()

        async with serving(behave) as port:
            assert (await check(prober, port))[1].success
            with anyio.fail_after(SLACK_S):
                await gone.wait()

    async def test_a_name_is_looked_up(self, prober: Engine) -> None:
        prober.resolver.close()
        prober.resolver = Resolver(
            look_up=lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
        )
        async with serving(targets.hang) as port:
            outcome, judgement = await check(prober, port, "db.example")
        assert judgement.success, judgement
        assert outcome.dns_ms is not None and outcome.dns_ms <= outcome.total_ms

    async def test_ipv6(self, prober: Engine) -> None:
        try:
            server = await asyncio.start_server(targets.hang, "::1", 0)
        except OSError:
            pytest.skip("this host has no IPv6")
        async with server:
            outcome, judgement = await check(prober, server.sockets[0].getsockname()[1], "::1")
        assert (judgement.success, outcome.address) == (True, "::1"), judgement

    async def test_a_closed_port_is_an_outage(self, prober: Engine) -> None:
        _, judgement = await check(prober, targets.closed_port())
        assert (judgement.error_type, judgement.error_message) == ("connection_error", "connection refused")
        assert judgement.severity == "mo"

    async def test_a_name_that_is_not_there(self, prober: Engine) -> None:
        def nothing(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
            raise socket.gaierror(socket.EAI_NONAME, "not known")

        prober.resolver.close()
        prober.resolver = Resolver(look_up=nothing)
        _, judgement = await check(prober, 5432, "db.example")
        assert (judgement.error_type, judgement.error_message) == ("dns_error", "name not found")

    async def test_an_address_that_does_not_respond_times_out_while_connecting(self, prober: Engine) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
            first.connect(full.getsockname())  # fills the queue: further packets are dropped
            second = socket.socket()
            second.setblocking(False)
            second.connect_ex(full.getsockname())
            with second:
                _, judgement = await check(prober, full.getsockname()[1], timeout_ms=300)
        assert judgement.error_type == "timeout"
        assert judgement.error_message == "timed out after 300 ms while connecting"

    async def test_a_slow_connection_is_a_partial_outage(self, prober: Engine) -> None:
        _, judgement = await check_behaviour(prober, targets.hang, degraded_after_ms=0)
        assert (judgement.success, judgement.severity) == (True, "po")

    @pytest.mark.parametrize("host", ["169.254.169.254", "::ffff:169.254.1.1", "2852039166"])
    async def test_a_denied_network_is_not_connected_to(self, prober: Engine, host: str) -> None:
        with pytest.raises(TargetDenied, match="PROBE_DENY_NETWORKS"):
            await check(prober, 80, host)

    async def test_retries_are_made(self, prober: Engine) -> None:
        connections = 0

        async def second_is_good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            writer.write(b"ok" if connections == 2 else b"no")
            await writer.drain()

        _, judgement = await check_behaviour(prober, second_is_good, expect="ok", retries=1)
        assert judgement.success, judgement


class TestResponses:
    async def test_connections_of_other_checks_do_not_end_this_one(self, prober: Engine) -> None:
        """libcurl looks for dead connections whenever it begins one: this one has something to read, and waits."""
        more = asyncio.Event()

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 ")
            await more.wait()
            writer.write(b"mail\r\n")
            await writer.drain()

        async with serving(behave) as port, serving(targets.hang) as other, asyncio.TaskGroup() as group:
            waiting = group.create_task(check(prober, port, expect="mail", timeout_ms=20_000))
            for _ in range(30):
                assert (await check(prober, other))[1].success
                await asyncio.sleep(0.1)
            more.set()
        assert waiting.result()[1].success, waiting.result()[1]

    async def test_what_is_sent_and_expected(self, prober: Engine) -> None:
        received: list[bytes] = []
        outcome, judgement = await check_behaviour(
            prober, answering(received, b"+PONG\r\n"), send=r"PING\r\n", expect="PONG"
        )
        assert (judgement.success, received) == (True, [b"PING\r\n"]), judgement
        assert outcome.first_byte_ms is not None and outcome.first_byte_ms <= outcome.total_ms

    async def test_a_response_in_pieces(self, prober: Engine) -> None:
        _, judgement = await check_behaviour(prober, greeting(b"220 mail ES", b"MTP", pause_s=0.05), expect="ESMTP")
        assert judgement.success, judgement

    async def test_a_wrong_response(self, prober: Engine) -> None:
        _, judgement = await check_behaviour(prober, greeting(b"-ERR \x1b[31m\r\n", then=leave), expect="+OK")
        assert judgement.error_type == "assertion_failed"
        assert judgement.error_message == (
            'the response does not contain "+OK" before the connection was closed; it begins with "-ERR �[31m��"'
        )

    async def test_a_wrong_response_of_a_connection_that_stays(self, prober: Engine) -> None:
        _, judgement = await check_behaviour(prober, greeting(b"-ERR"), expect="+OK", timeout_ms=300)
        assert judgement.error_type == "assertion_failed"
        assert "within 300 ms" in str(judgement.error_message)

    async def test_a_silent_listener_times_out(self, prober: Engine) -> None:
        _, judgement = await check_behaviour(prober, targets.hang, expect="+OK", timeout_ms=300)
        assert (judgement.error_type, judgement.error_message) == (
            "timeout",
            "timed out after 300 ms while waiting for the first byte",
        )

    async def test_a_connection_that_is_closed_at_once(self, prober: Engine) -> None:
        _, judgement = await check_behaviour(prober, leave, expect="+OK")
        assert judgement.error_type == "assertion_failed"
        assert "nothing came" in str(judgement.error_message)

    async def test_a_slow_response_is_a_partial_outage(self, prober: Engine) -> None:
        slow = greeting(b"", b"+OK", pause_s=0.2)
        outcome, judgement = await check_behaviour(prober, slow, expect="+OK", degraded_after_ms=100)
        assert judgement.severity == "po"
        assert outcome.total_ms >= 200

    async def test_an_endless_response_is_read_as_far_as_its_bound(self, prober: Engine) -> None:
        async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

        _, judgement = await check_behaviour(prober, flood, expect="+OK")
        assert judgement.error_type == "assertion_failed"
        assert 'does not contain "+OK" in 64 KiB' in str(judgement.error_message)

    async def test_bytes_that_are_no_text(self, prober: Engine) -> None:
        received: list[bytes] = []
        reply = b"\x00\xff\x80ok"
        _, judgement = await check_behaviour(prober, answering(received, reply), send=r"\x00\xfe\n", expect=r"\xff\x80")
        assert (judgement.success, received) == (True, [b"\x00\xfe\n"])


class TestTls:
    async def test_a_good_certificate_and_its_expiry(self, prober: Engine, certificates: targets.Certificates) -> None:
        received: list[bytes] = []
        outcome, judgement = await check_behaviour(
            prober, answering(received, b"+OK\r\n"), certificates.valid(), send=r"HI\n", expect="+OK"
        )
        assert (judgement.success, received) == (True, [b"HI\n"]), judgement
        assert outcome.tls_ms is not None and 0 < outcome.tls_ms <= outcome.total_ms
        assert outcome.inspected and outcome.certificate is not None

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ("expired", "the certificate has expired"),
            ("untrusted", "the certificate's issuer is not trusted, or an intermediate certificate is missing"),
            ("wrong_host", "the certificate is for another host"),
            ("self_signed", "self-signed certificate"),
        ],
    )
    async def test_a_bad_certificate(
        self, prober: Engine, certificates: targets.Certificates, tmp_path: Path, kind: str, message: str
    ) -> None:
        context = certificates.self_signed(tmp_path) if kind == "self_signed" else getattr(certificates, kind)()
        _, judgement = await check_behaviour(prober, targets.hang, context)
        assert (judgement.error_type, judgement.error_message) == ("tls_error", message)
        outcome, judgement = await check_behaviour(prober, targets.hang, context, verify_tls=False)
        assert judgement.success and outcome.certificate is not None

    async def test_a_listener_without_tls(self, prober: Engine) -> None:
        async with serving(greeting(b"220 mail\r\n", then=leave)) as port:
            _, judgement = await check(prober, port, tls=True)
        assert judgement.error_type == "tls_error"
        assert judgement.error_message == "what answers at that port does not speak TLS"

    async def test_a_silent_listener_times_out_during_the_handshake(self, prober: Engine) -> None:
        async with serving(targets.hang) as port:
            _, judgement = await check(prober, port, tls=True, timeout_ms=300)
        assert judgement.error_message == "timed out after 300 ms during the TLS handshake"


class TestConfiguration:
    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"host": "a b"}, "host"),
            ({"host": "[::1]"}, "host"),
            ({"host": "db.example/x"}, "host"),
            ({"host": "::g"}, "host"),
            ({"send": "\\q"}, "send"),
            ({"send": "a\\"}, "send"),
            ({"send": "a\nb"}, "send"),
            ({"expect": "\\x0"}, "expect"),
        ],
    )
    def test_what_no_type_can_say_is_found(self, fields: dict[str, Any], field: str) -> None:
        config = msgspec.structs.replace(Tcp(host="db.example", port=1), **fields)
        assert [problem.field for problem in config.problems()] == [field]

    @pytest.mark.parametrize("host", ["db.example", "127.0.0.1", "::1", "bücher.example", "LOCALHOST"])
    def test_good_hosts(self, host: str) -> None:
        assert Tcp(host=host, port=1).problems() == []

    def test_escapes(self) -> None:
        assert unescaped(r"a\r\n\t\0\\n\x41é") == b"a\r\n\t\0\\nA\xc3\xa9"
