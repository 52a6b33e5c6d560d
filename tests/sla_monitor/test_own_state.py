"""/health, /ready and /metrics of a program, with hostile clients."""

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack

import anyio
import anyio.to_thread
import httpx
import pytest

from prober.metrics import Metrics
from sla_monitor.serving import connections
from sla_monitor.serving.own_state import CONNECTION_LIMIT, Readiness, serve_own_state

PATIENCE_S = 120.0
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


class Listener:
    """A running server, its metrics and its clients."""

    def __init__(self, http: httpx.AsyncClient, port: int, metrics: Metrics, opened: ExitStack) -> None:
        self.http = http
        self._port = port
        self._metrics = metrics
        self._opened = opened

    def open(self, sent: bytes) -> socket.socket:
        """A connection that sends these bytes, stays open and reads nothing."""
        one = self._opened.enter_context(socket.create_connection(("127.0.0.1", self._port), PATIENCE_S))
        one.sendall(sent)
        return one

    async def wait_for_fault(self, fault: str, least: int = 1) -> None:
        """Waits until `least` faults of this kind are counted."""
        with anyio.fail_after(PATIENCE_S):
            while self.count(fault) < least:  # noqa: ASYNC110  # a count, not an event
                await anyio.sleep(0.01)

    def count(self, fault: str) -> float:
        return self._metrics.registry.get_sample_value("sla_prober_client_faults_total", {"fault": fault}) or 0.0


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listening, metrics = socket.create_server(("127.0.0.1", 0)), Metrics()
    port = listening.getsockname()[1]
    async with anyio.create_task_group() as tasks:
        readiness = Readiness(True, {"databaseAnswers": True})
        tasks.start_soon(serve_own_state, listening, metrics.registry, lambda: readiness, metrics.count_client_fault)
        base_url = f"http://127.0.0.1:{port}"
        with ExitStack() as opened:
            async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=PATIENCE_S, verify=False) as http:
                yield Listener(http, port, metrics, opened)
        tasks.cancel_scope.cancel()


async def test_incomplete_requests_do_not_block_other_clients(listener: Listener) -> None:
    for count in range(3 * CONNECTION_LIMIT):
        listener.open(HEALTH[: count % len(HEALTH)])
        if count % 10 == 0:
            assert (await listener.http.get("/health")).json() == {"status": "ok"}
    assert (await listener.http.get("/health")).status_code == 200
    assert listener.count("crowded_out") >= 2 * CONNECTION_LIMIT


async def test_an_incomplete_request_is_closed_at_the_deadline(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ARRIVAL_DEADLINE_S", 0.5)
    for sent in (b"", HEALTH[:-2], b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"):
        listener.open(sent)
    await listener.wait_for_fault("slow_request", 3)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (HEALTH[:-2] + b"A: ", b"a" * 16384),
        (HEALTH[:-2], b"A: b\r\n" * 2000),
        (
            b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"2000\r\n" + b"x" * 0x2000 + b"\r\n",
        ),
    ],
)
async def test_an_endless_request_is_closed(listener: Listener, start: bytes, more: bytes) -> None:
    async with await anyio.connect_tcp("127.0.0.1", listener.http.base_url.port or 0) as stream:
        with anyio.fail_after(PATIENCE_S), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.send(start)
            while True:
                await stream.send(more)
    await listener.wait_for_fault("too_large")
    assert (await listener.http.get("/health")).status_code == 200


async def test_bytes_that_are_not_http_get_a_response(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    one = listener.open(b"\x16\x03\x01 not http\r\n\r\n")
    response = await anyio.to_thread.run_sync(one.recv, 65536)
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"VALIDATION_ERROR"' in response
    await listener.wait_for_fault("not_http")
    assert not caplog.records
