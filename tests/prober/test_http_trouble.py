"""Errors of the prober itself: the result of a check is unknown, and not an outage."""

import errno
import resource
import socket
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from prober.judge import Judgement
from prober.outcome import Outcome, ProberTrouble
from prober.probes import Engine
from prober.probes.resolver import Resolver
from tests.prober import targets
from tests.prober.http_checks import TIMEOUT_MS, check, check_behaviour, settings
from tests.prober.targets import serving


class TestErrorsOfTheProber:
    async def test_an_unreadable_ca_file(self, certificates: targets.Certificates, tmp_path: Path) -> None:
        async with (
            serving(targets.good(), certificates.valid()) as port,
            Engine(settings(tmp_path / "missing.pem")) as probe_engine,
        ):
            with pytest.raises(ProberTrouble, match="SSL_CERT_FILE"):
                await check(probe_engine, f"https://127.0.0.1:{port}/")

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_no_file_descriptors(self, probe_engine: Engine, host: str) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        async with serving(targets.good()) as port:
            await check(probe_engine, f"http://{host}:{port}/")
            spare = socket.socket()
            lowest_free = spare.fileno()
            spare.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
            try:
                # glibc reports another reason if its resolver has no file descriptor.
                with pytest.raises(ProberTrouble, match=r"Too many open files|could not be looked up"):
                    await check(probe_engine, f"http://{host}:{port}/")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            _, judgement = await check(probe_engine, f"http://{host}:{port}/")
            assert judgement.success, "the next check succeeds when descriptors are available"

    async def test_no_route_to_the_target(self, probe_engine: Engine) -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("2001:db8::1", 9))
            except OSError as error:
                assert error.errno == errno.ENETUNREACH
            else:
                pytest.skip("this host has a route for IPv6")
        with pytest.raises(ProberTrouble, match="no route to 2001:db8::1"):
            await check(probe_engine, "http://[2001:db8::1]/")

    async def test_a_blocked_event_loop(self, probe_engine: Engine) -> None:
        async def block_the_loop(reader: Any, writer: Any) -> None:
            await reader.readuntil(b"\r\n\r\n")
            time.sleep(TIMEOUT_MS / 1000 + 0.5)  # noqa: ASYNC251 - the blocked loop is what is tested
            await targets.hang(reader, writer)

        async with serving(block_the_loop) as port:
            with pytest.raises(ProberTrouble, match="the event loop was blocked"):
                await check(probe_engine, f"http://127.0.0.1:{port}/")

    async def test_the_engine_works_after_a_cancelled_check(self, probe_engine: Engine) -> None:
        async with serving(targets.hang) as port:
            with anyio.move_on_after(0.1):
                await check(probe_engine, f"http://127.0.0.1:{port}/", timeout_ms=5000)
        _, judgement = await check_behaviour(probe_engine, targets.good())
        assert judgement.success


class TestSlowNameServers:
    async def test_fifty_slow_lookups_do_not_delay_other_names(self, probe_engine: Engine) -> None:
        release = threading.Event()

        def name_servers(name: str, *rest: Any, **more: Any) -> list[tuple[Any, ...]]:
            """The resolver of the system, but the name servers of one domain do not respond."""
            if name.endswith(".slow.example"):
                release.wait(120)
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return socket.getaddrinfo(name, *rest, **more)

        probe_engine.resolver.close()
        probe_engine.resolver = Resolver(look_up=name_servers)
        slow: list[Judgement] = []
        healthy: list[tuple[Outcome, Judgement]] = []

        async def check_name(url: str, results: list[Any]) -> None:
            outcome, judgement = await check(probe_engine, url, timeout_ms=1500 if results is slow else 15_000)
            results.append(judgement if results is slow else (outcome, judgement))

        try:
            async with serving(targets.good()) as port, anyio.create_task_group() as tasks:
                for number in range(50):
                    tasks.start_soon(check_name, f"http://host{number}.slow.example:{port}/", slow)
                for _ in range(50):
                    tasks.start_soon(check_name, f"http://localhost:{port}/", healthy)
        finally:
            release.set()
        assert all(judgement.success and (outcome.dns_ms or 0) < 1500 for outcome, judgement in healthy)
        assert {judgement.error_message for judgement in slow} == {"timed out after 1500 ms while looking up the name"}
        assert len(slow) == len(healthy) == 50

    async def test_a_lookup_without_a_free_thread_is_an_error_of_the_prober(self, probe_engine: Engine) -> None:
        started, release = threading.Event(), threading.Event()

        def blocked(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
            started.set()
            release.wait(120)
            return []

        probe_engine.resolver.close()
        probe_engine.resolver = Resolver(threads=1, look_up=blocked)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(check, probe_engine, "http://first.example/")
                assert await anyio.to_thread.run_sync(started.wait, 120)
                with pytest.raises(ProberTrouble, match="none ended in time"):
                    await check(probe_engine, "http://second.example/")
        finally:
            release.set()
