"""The limits of response bodies: PROBE_MAX_BYTES for each check, PROBE_BODIES_MAX_BYTES for all together."""

import asyncio
import gzip
import tracemalloc
import zlib
from typing import Any

import anyio
import pytest

from prober.judge import Judgement
from prober.outcome import ProberTrouble
from prober.probes import Engine, run_check
from prober.services import Service
from sla_monitor.settings import Settings
from tests.prober import targets
from tests.prober.encoders import BROTLI_BOMB, needs_brotli
from tests.prober.http_checks import MAX_BYTES
from tests.prober.metrics import TIMEOUT_S
from tests.prober.response_bodies import check, coded
from tests.prober.services import http_service
from tests.prober.targets import serving

FLOOD = targets.endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)


class TestOneBody:
    """PROBE_MAX_BYTES limits the encoded and the decoded body of a check."""

    @pytest.mark.parametrize("codings", [("gzip",), ("gzip", "gzip"), ("deflate", "raw", "gzip")], ids=" ".join)
    async def test_a_decompression_bomb_is_truncated(self, probe_engine: Engine, codings: tuple[str, ...]) -> None:
        raw = coded(bytes(60 * 1024 * 1024), *codings)
        tracemalloc.start()
        try:
            outcome, judgement = await check(probe_engine, raw, keyword="x-y-z")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert outcome.truncated and outcome.body == bytes(MAX_BYTES)
        assert judgement.error_message is not None
        assert judgement.error_message.endswith(f"(only the first {MAX_BYTES} bytes of the response were read)")
        assert peak < 2 * 1024 * 1024

    @needs_brotli
    async def test_a_brotli_bomb_is_truncated(self, probe_engine: Engine) -> None:
        raw = targets.http_response(BROTLI_BOMB, headers="Content-Encoding: br\r\n")
        outcome, judgement = await check(probe_engine, raw, keyword_absent="x-y-z")
        assert judgement.success and outcome.truncated and outcome.body == bytes(MAX_BYTES)

    async def test_an_encoded_body_above_the_limit(self, probe_engine: Engine) -> None:
        packed = gzip.compress(b"begin " + bytes(MAX_BYTES + 1000), compresslevel=0)
        raw = targets.http_response(packed, headers="Content-Encoding: gzip\r\n")
        outcome, judgement = await check(probe_engine, raw, keyword_absent="x-y-z")
        assert judgement.success and outcome.truncated and outcome.body.startswith(b"begin ")
        assert MAX_BYTES - 1000 < len(outcome.body) <= MAX_BYTES

    async def test_a_large_body_is_decoded_in_a_thread(self) -> None:
        noise = b"".join(zlib.crc32(number.to_bytes(4)).to_bytes(4) for number in range(50_000))
        async with Engine(Settings()) as probe_engine:
            raw = coded(noise + b"end", "gzip")
            outcome, judgement = await check(probe_engine, raw, keyword="end")
        assert judgement.success and outcome.body == noise + b"end"


class TestAllBodies:
    """PROBE_BODIES_MAX_BYTES limits the bodies of all checks together."""

    async def test_the_sum_is_limited_and_every_check_has_a_result(self) -> None:
        limit, checks = 1024 * 1024, 40
        reasons: list[str | None] = []
        waited: list[int] = []

        async def run(service: Service, probe_engine: Engine) -> None:
            _, judgement, _ = await run_check(service, probe_engine)
            reasons.append(judgement.error_message)
            waited.append(probe_engine.bodies_waiting)

        settings = Settings(probe_max_bytes=limit, probe_bodies_max_bytes=4 * limit)
        async with Engine(settings) as probe_engine, serving(FLOOD) as port:
            url = f"http://127.0.0.1:{port}/"
            flooded = http_service(id="flooded", endpoint_url=url, timeout_ms=60_000, keyword="needle")
            tracemalloc.start()
            try:
                async with anyio.create_task_group() as group:
                    for _ in range(checks):
                        group.start_soon(run, flooded, probe_engine)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert probe_engine.bodies_waiting == 0
        assert len(reasons) == checks
        assert {"does not contain" in str(reason) for reason in reasons} == {True}
        assert max(waited) > 0
        assert peak < 20 * limit, "twice the limit, the first 64 KiB of each body, and the memory of the target"

    async def test_a_check_without_space_in_time_is_unknown_and_space_is_freed(self) -> None:
        async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 70_000)
            await writer.drain()
            sent.set()
            await reader.read()  # until the client closes the connection

        sent = asyncio.Event()
        settings = Settings(probe_max_bytes=2 * MAX_BYTES, probe_bodies_max_bytes=MAX_BYTES)
        async with Engine(settings) as probe_engine, serving(stuck) as stuck_port, serving(FLOOD) as flood:
            fields: dict[str, Any] = {"keyword": "needle", "interval_seconds": 10}
            stuck_service = http_service(
                id="stuck", endpoint_url=f"http://127.0.0.1:{stuck_port}/", timeout_ms=5000, **fields
            )
            waiting = http_service(id="waiting", endpoint_url=f"http://127.0.0.1:{flood}/", timeout_ms=500, **fields)
            patient = http_service(id="patient", endpoint_url=f"http://127.0.0.1:{flood}/", timeout_ms=20_000, **fields)
            found: dict[str, Judgement] = {}

            async def run(service: Service) -> None:
                found[service.id] = (await run_check(service, probe_engine))[1]

            async with anyio.create_task_group() as group:
                group.start_soon(run, stuck_service)
                await sent.wait()
                with anyio.fail_after(TIMEOUT_S):
                    while probe_engine.large_bodies == 0:  # noqa: ASYNC110 - libcurl reads on its own
                        await anyio.sleep(0.01)
                group.start_soon(run, patient)
                with pytest.raises(ProberTrouble, match="raise PROBE_BODIES_MAX_BYTES"):
                    await run_check(waiting, probe_engine)
            assert found["stuck"].error_type == "timeout"
            assert found["patient"].error_type == "assertion_failed"
            assert (probe_engine.bodies_waiting, probe_engine.large_bodies) == (0, 0)
