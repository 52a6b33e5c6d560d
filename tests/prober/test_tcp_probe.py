"""TCP checks of small real servers."""

import asyncio
import socket
from typing import Any

import anyio
import msgspec
import pytest

from prober.outcome import TargetDenied
from prober.probes import Engine
from prober.probes.resolver import Resolver
from sla_monitor.checks.tcp import Tcp, unescaped
from tests.prober import targets
from tests.prober.targets import serving
from tests.prober.tcp_checks import SLACK_S, check, check_behaviour, close, greeting, responding_to_a_line


class TestConnections:
    async def test_an_open_port_is_a_success(self, probe_engine: Engine) -> None:
        outcome, judgement = await check_behaviour(probe_engine, targets.hang)
        assert (judgement.success, judgement.severity) == (True, "o"), judgement
        assert (outcome.dns_ms, outcome.tls_ms, outcome.first_byte_ms, outcome.status_code) == (None,) * 4
        assert outcome.connect_ms is not None and 0 < outcome.connect_ms <= outcome.total_ms
        assert outcome.address == "127.0.0.1"

    async def test_the_connection_is_closed_after_the_check(self, probe_engine: Engine) -> None:
        closed = asyncio.Event()

        async def behave(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            assert await reader.read() == b""
            closed.set()

        async with serving(behave) as port:
            assert (await check(probe_engine, port))[1].success
            with anyio.fail_after(SLACK_S):
                await closed.wait()

    async def test_a_name_is_looked_up(self, probe_engine: Engine) -> None:
        probe_engine.resolver.close()
        probe_engine.resolver = Resolver(
            look_up=lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
        )
        async with serving(targets.hang) as port:
            outcome, judgement = await check(probe_engine, port, "db.example")
        assert judgement.success, judgement
        assert outcome.dns_ms is not None and outcome.dns_ms <= outcome.total_ms

    async def test_ipv6(self, probe_engine: Engine) -> None:
        try:
            server = await asyncio.start_server(targets.hang, "::1", 0)
        except OSError:
            pytest.skip("this host has no IPv6")
        async with server:
            outcome, judgement = await check(probe_engine, server.sockets[0].getsockname()[1], "::1")
        assert (judgement.success, outcome.address) == (True, "::1"), judgement

    async def test_a_closed_port_is_an_outage(self, probe_engine: Engine) -> None:
        _, judgement = await check(probe_engine, targets.closed_port())
        assert (judgement.error_type, judgement.error_message) == ("connection_error", "connection refused")
        assert judgement.severity == "mo"

    async def test_a_name_that_does_not_exist(self, probe_engine: Engine) -> None:
        def nothing(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
            raise socket.gaierror(socket.EAI_NONAME, "not known")

        probe_engine.resolver.close()
        probe_engine.resolver = Resolver(look_up=nothing)
        _, judgement = await check(probe_engine, 5432, "db.example")
        assert (judgement.error_type, judgement.error_message) == ("dns_error", "name not found")

    async def test_an_address_that_does_not_respond_times_out_while_connecting(self, probe_engine: Engine) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
            first.connect(full.getsockname())  # fills the backlog: further packets are dropped
            second = socket.socket()
            second.setblocking(False)
            second.connect_ex(full.getsockname())
            with second:
                _, judgement = await check(probe_engine, full.getsockname()[1], timeout_ms=300)
        assert judgement.error_type == "timeout"
        assert judgement.error_message == "timed out after 300 ms while connecting"

    async def test_a_slow_connection_is_a_partial_outage(self, probe_engine: Engine) -> None:
        _, judgement = await check_behaviour(probe_engine, targets.hang, degraded_after_ms=0)
        assert (judgement.success, judgement.severity) == (True, "po")

    @pytest.mark.parametrize("host", ["169.254.169.254", "::ffff:169.254.1.1", "2852039166"])
    async def test_a_denied_network_is_not_connected_to(self, probe_engine: Engine, host: str) -> None:
        with pytest.raises(TargetDenied, match="PROBE_DENY_NETWORKS"):
            await check(probe_engine, 80, host)

    async def test_retries_are_made(self, probe_engine: Engine) -> None:
        connections = 0

        async def second_is_good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            writer.write(b"ok" if connections == 2 else b"no")
            await writer.drain()

        _, judgement = await check_behaviour(probe_engine, second_is_good, expect="ok", retries=1)
        assert judgement.success, judgement


class TestResponses:
    async def test_other_checks_do_not_close_the_connection_of_a_waiting_check(self, probe_engine: Engine) -> None:
        """libcurl looks for dead connections when it opens one. The waiting connection has data to read."""
        more = asyncio.Event()

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 ")
            await more.wait()
            writer.write(b"mail\r\n")
            await writer.drain()

        async with serving(behave) as port, serving(targets.hang) as other, asyncio.TaskGroup() as group:
            waiting = group.create_task(check(probe_engine, port, expect="mail", timeout_ms=20_000))
            for _ in range(30):
                assert (await check(probe_engine, other))[1].success
                await asyncio.sleep(0.1)
            more.set()
        assert waiting.result()[1].success, waiting.result()[1]

    async def test_a_text_is_sent_and_the_expected_one_received(self, probe_engine: Engine) -> None:
        received: list[bytes] = []
        outcome, judgement = await check_behaviour(
            probe_engine, responding_to_a_line(received, b"+PONG\r\n"), send=r"PING\r\n", expect="PONG"
        )
        assert (judgement.success, received) == (True, [b"PING\r\n"]), judgement
        assert outcome.first_byte_ms is not None and outcome.first_byte_ms <= outcome.total_ms

    async def test_a_response_in_pieces(self, probe_engine: Engine) -> None:
        _, judgement = await check_behaviour(
            probe_engine, greeting(b"220 mail ES", b"MTP", pause_s=0.05), expect="ESMTP"
        )
        assert judgement.success, judgement

    async def test_a_wrong_response(self, probe_engine: Engine) -> None:
        _, judgement = await check_behaviour(probe_engine, greeting(b"-ERR \x1b[31m\r\n", then=close), expect="+OK")
        assert judgement.error_type == "assertion_failed"
        assert judgement.error_message == (
            'the response does not contain "+OK" before the connection was closed; it begins with "-ERR �[31m��"'
        )

    async def test_a_wrong_response_on_a_connection_that_stays_open(self, probe_engine: Engine) -> None:
        _, judgement = await check_behaviour(probe_engine, greeting(b"-ERR"), expect="+OK", timeout_ms=300)
        assert judgement.error_type == "assertion_failed"
        assert "within 300 ms" in str(judgement.error_message)

    async def test_a_target_that_does_not_respond_times_out(self, probe_engine: Engine) -> None:
        _, judgement = await check_behaviour(probe_engine, targets.hang, expect="+OK", timeout_ms=300)
        assert (judgement.error_type, judgement.error_message) == (
            "timeout",
            "timed out after 300 ms while waiting for the first byte",
        )

    async def test_a_connection_that_is_closed_at_once(self, probe_engine: Engine) -> None:
        _, judgement = await check_behaviour(probe_engine, close, expect="+OK")
        assert judgement.error_type == "assertion_failed"
        assert "nothing was received" in str(judgement.error_message)

    async def test_a_slow_response_is_a_partial_outage(self, probe_engine: Engine) -> None:
        slow = greeting(b"", b"+OK", pause_s=0.2)
        outcome, judgement = await check_behaviour(probe_engine, slow, expect="+OK", degraded_after_ms=100)
        assert judgement.severity == "po"
        assert outcome.total_ms >= 200

    async def test_an_endless_response_is_read_up_to_the_limit(self, probe_engine: Engine) -> None:
        async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

        _, judgement = await check_behaviour(probe_engine, flood, expect="+OK")
        assert judgement.error_type == "assertion_failed"
        assert 'does not contain "+OK" in 64 KiB' in str(judgement.error_message)

    async def test_bytes_that_are_not_text(self, probe_engine: Engine) -> None:
        received: list[bytes] = []
        response = b"\x00\xff\x80ok"
        _, judgement = await check_behaviour(
            probe_engine, responding_to_a_line(received, response), send=r"\x00\xfe\n", expect=r"\xff\x80"
        )
        assert (judgement.success, received) == (True, [b"\x00\xfe\n"])


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
    def test_invalid_fields_are_named(self, fields: dict[str, Any], field: str) -> None:
        config = msgspec.structs.replace(Tcp(host="db.example", port=1), **fields)
        assert [problem.field for problem in config.problems()] == [field]

    @pytest.mark.parametrize("host", ["db.example", "127.0.0.1", "::1", "bücher.example", "LOCALHOST"])
    def test_valid_hosts(self, host: str) -> None:
        assert Tcp(host=host, port=1).problems() == []

    def test_escapes(self) -> None:
        assert unescaped(r"a\r\n\t\0\\n\x41é") == b"a\r\n\t\0\\nA\xc3\xa9"
