"""Compares the request rate of a cached response with that of uvicorn, which sends the same response from a
constant."""

import re
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import anyio
import httpx

from bench.metrics import accepts_connections, scrape, total
from bench.processes import Child, running_program
from bench.report import Result, Target, comparison
from bench.run import Run, alternate, wait_until
from bench.usage import cpu_seconds, cpu_seconds_since
from tests.ports import free_port

CONNECTIONS = 32
UVICORN_HEADERS = frozenset({"date", "content-length"})
"""Headers that uvicorn adds, or that the benchmark sets itself."""
HITS = 'sla_monitor_cacheable_responses_total{source="HIT"}'
_REQUESTS = re.compile(r"(\d+) requests in")
_RATE = re.compile(r"Requests/sec: +([\d.]+)")


@dataclass(frozen=True)
class Request:
    """A GET request that is repeated."""

    path: str
    headers: Mapping[str, str]


class Response(NamedTuple):
    """The headers and the body of a response. The body is not decompressed."""

    headers: httpx.Headers
    content: bytes


class Load(NamedTuple):
    """The result of one load test."""

    requests: float
    per_second: float


async def compare_with_uvicorn(
    run: Run, stack: AsyncExitStack, api: Child, port: int, request: Request, title: str, target: Target
) -> list[Result]:
    """Measures the requests per second, and per second of the server's CPU time, of the API and of uvicorn.

    Raises AssertionError if the API does not send the response from its cache, or if the response changes.
    """
    await fetch(port, request)
    before = total(await scrape(port), HITS)
    response = await fetch(port, request)
    assert total(await scrape(port), HITS) > before, "the response does not come from the cache"
    servers = [_Server(api.pid, port), await _uvicorn(stack, run, response)]
    loads = [partial(server.request_rate, await _load(stack, run, server.port, request)) for server in servers]
    await alternate(1, *loads)
    for server in servers:
        server.requests_per_cpu_second.clear()
    rate, uvicorn_rate = await alternate(run.scale.rounds, *loads)
    assert (await fetch(port, request)).content == response.content, "the response changed during the measurement"
    client = "wrk" if _wrk(run.scale.api_seconds) else "an asyncio client"
    note = f"{len(response.content):,} bytes, {CONNECTIONS} persistent connections, load by {client}"
    per_cpu_second, uvicorn_per_cpu_second = (server.requests_per_cpu_second for server in servers)
    title_cpu, note_cpu = (
        f"{title}: requests per CPU second, vs bare uvicorn",
        "CPU time of the server, not of the client",
    )
    return [
        comparison(f"{title}: request rate, vs bare uvicorn", rate, uvicorn_rate, "/s", target, note=note),
        comparison(title_cpu, per_cpu_second, uvicorn_per_cpu_second, "/CPU s", note=note_cpu),
    ]


async def fetch(port: int, request: Request) -> Response:
    headers = {"accept-encoding": "identity", **request.headers}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
        client.stream("GET", f"http://127.0.0.1:{port}{request.path}", headers=headers) as response,
    ):
        assert response.status_code == 200, response.status_code
        return Response(response.headers, b"".join([part async for part in response.aiter_raw()]))


class _Server:
    """A server under load, and its requests per second of CPU time, one figure per round."""

    def __init__(self, pid: int, port: int) -> None:
        self.port = port
        self.requests_per_cpu_second: list[float] = []
        self._pid = pid

    async def request_rate(self, load: Callable[[], Awaitable[Load]]) -> float:
        before = cpu_seconds(self._pid)
        done = await load()
        self.requests_per_cpu_second.append(done.requests / cpu_seconds_since(self._pid, before))
        return done.per_second


async def _uvicorn(stack: AsyncExitStack, run: Run, response: Response) -> _Server:
    """Starts uvicorn with the body and the headers of the response, in the same order."""
    headers = [[name, value] for name, value in response.headers.multi_items() if name not in UVICORN_HEADERS]
    headers.append(["content-length", str(len(response.content))])
    port = free_port()
    arguments = {"port": port, "headers": headers, "body": b64encode(response.content).decode()}
    child, _ = await stack.enter_async_context(running_program("uvicorn_static", run.folder, **arguments))
    await wait_until(partial(accepts_connections, port), "bare uvicorn")
    return _Server(child.pid, port)


async def _load(stack: AsyncExitStack, run: Run, port: int, request: Request) -> Callable[[], Awaitable[Load]]:
    """Returns a function that runs one load test: with wrk if it is installed, otherwise with programs/http_load.py."""
    seconds = run.scale.api_seconds
    if (wrk := _wrk(seconds)) is not None:
        url = f"http://127.0.0.1:{port}{request.path}"
        headers = [part for name, value in request.headers.items() for part in ("-H", f"{name}: {value}")]
        return partial(_run_wrk, [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", *headers, url])
    client, _ = await stack.enter_async_context(
        running_program(
            "http_load",
            run.folder,
            host="127.0.0.1",
            port=port,
            paths=[request.path],
            concurrency=CONNECTIONS,
            expect="200 OK",
            headers="".join(f"{name}: {value}\r\n" for name, value in request.headers.items()),
        )
    )

    async def run_client() -> Load:
        done = await client.request(seconds=seconds)
        assert not done["failed"] and not done["lost"], done
        return Load(done["done"], done["done"] / done["seconds"])

    return run_client


def _wrk(seconds: float) -> str | None:
    """The path of wrk; None if it is not installed, or if the test is shorter than a second, which wrk does not
    support."""
    return shutil.which("wrk") if seconds >= 1 else None


async def _run_wrk(command: list[str]) -> Load:
    with anyio.fail_after(60):
        output = (await anyio.run_process(command, stderr=subprocess.STDOUT)).stdout.decode()
    requests, rate = _REQUESTS.search(output), _RATE.search(output)
    assert requests and rate and "Non-2xx" not in output and "Socket errors" not in output, output
    return Load(float(requests[1]), float(rate[1]))
