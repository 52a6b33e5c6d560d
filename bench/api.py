"""The API: requests a second of its cached status answer, against bare uvicorn sending the same bytes."""

import re
import shutil
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import anyio
import httpx

from bench.children import Child, free_port, peer
from bench.exposition import answers
from bench.past import load, make_services
from bench.report import Line, Target, compared, least
from bench.run import Run, alternate, until
from bench.served import STATUS, api
from bench.usage import cpu_seconds, spent

CONNECTIONS = 32
OWN_HEADERS = frozenset({"date", "content-length"})
"""Headers that uvicorn adds itself, or that are set explicitly."""
_REQUESTS = re.compile(r"(\d+) requests in")
_RATE = re.compile(r"Requests/sec: +([\d.]+)")


@dataclass(frozen=True)
class Request:
    """A request that is repeated."""

    path: str
    headers: Mapping[str, str]


async def lines(run: Run) -> AsyncIterator[Line]:
    services = run.scale.api_services
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(run.databases.migrated())
        async with await database.connect() as connection:
            await make_services(connection, services)
            await load(connection, database.engine, services=services, days=run.scale.past_days, checks_an_hour=4)
        child, port = await enter(api(run, database))
        what = f"API, cached status of {services} services: against bare uvicorn"
        for line in await against_bare(run, stack, child, port, Request(STATUS, {}), what, least(0.9)):
            yield line


async def against_bare(
    run: Run, stack: AsyncExitStack, child: Child, port: int, request: Request, what: str, target: Target
) -> list[Line]:
    """Requests a second for an answer from memory, of the API and of a bare uvicorn that sends the same bytes."""
    await fetched(port, request)
    before = await _hits(port)
    reported = await fetched(port, request)
    assert await _hits(port) > before, "it was not answered from memory"
    servers = [_Server(child.pid, port), await _bare(stack, run, reported)]
    rates = [partial(server.rate, await _load(stack, run, server.port, request)) for server in servers]
    await alternate(1, *rates)
    for server in servers:
        server.efficiency.clear()
    own, bare = await alternate(run.scale.rounds, *rates)
    again = await fetched(port, request)
    assert again.content == reported.content, "the answer changed while it was measured"
    by = "wrk" if _wrk(run.scale.api_seconds) else "an asyncio client"
    note = f"{len(reported.content):,} bytes, {CONNECTIONS} kept connections, load by {by}"
    ours, theirs = (server.efficiency for server in servers)
    return [
        compared(what, own, bare, "/s", target, note=note),
        compared(
            f"{what}, by CPU", ours, theirs, "/CPU s", note="the same per second of the server's CPU, whoever else runs"
        ),
    ]


class Answer(NamedTuple):
    """As it came over the wire: `content` is still compressed."""

    headers: httpx.Headers
    content: bytes


async def fetched(port: int, request: Request) -> Answer:
    headers = {"accept-encoding": "identity", **request.headers}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
        client.stream("GET", f"http://127.0.0.1:{port}{request.path}", headers=headers) as answer,
    ):
        assert answer.status_code == 200, answer.status_code
        return Answer(answer.headers, b"".join([part async for part in answer.aiter_raw()]))


async def _hits(port: int) -> float:
    """How many answers came from memory."""
    lines = (await fetched(port, Request("/metrics", {}))).content.decode().splitlines()
    [hits] = [line for line in lines if line.startswith('sla_monitor_cacheable_responses_total{source="HIT"}')]
    return float(hits.rpartition(" ")[2])


class _Server:
    """One of the two, and how many requests it has answered in a second of its CPU, round by round."""

    def __init__(self, pid: int, port: int) -> None:
        self.port = port
        self.efficiency: list[float] = []
        self._pid = pid

    async def rate(self, load: Callable[[], Awaitable[tuple[float, float]]]) -> float:
        cpu = cpu_seconds(self._pid)
        requests, rate = await load()
        self.efficiency.append(requests / spent(self._pid, cpu))
        return rate


async def _bare(stack: AsyncExitStack, run: Run, reported: Answer) -> _Server:
    """The same headers in the same order, the same body."""
    headers = [[name, value] for name, value in reported.headers.multi_items() if name not in OWN_HEADERS]
    headers.append(["content-length", str(len(reported.content))])
    port = free_port()
    arguments = {"port": port, "headers": headers, "body": b64encode(reported.content).decode()}
    child, _ = await stack.enter_async_context(peer("bare_uvicorn", run.folder, **arguments))
    await until(partial(answers, port), "bare uvicorn")
    return _Server(child.pid, port)


async def _load(
    stack: AsyncExitStack, run: Run, port: int, request: Request
) -> Callable[[], Awaitable[tuple[float, float]]]:
    """What loads a server for a while and tells how many requests were answered, and how many a second."""
    seconds = run.scale.api_seconds
    wrk = _wrk(seconds)
    if wrk is not None:
        url = f"http://127.0.0.1:{port}{request.path}"
        headers = [part for name, value in request.headers.items() for part in ("-H", f"{name}: {value}")]
        return partial(_run_wrk, [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", *headers, url])
    paths = [request.path]
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    arguments = {"host": "127.0.0.1", "port": port, "paths": paths, "concurrency": CONNECTIONS, "expect": "200 OK"}
    arguments["head"] = head
    client, _ = await stack.enter_async_context(peer("http_load", run.folder, **arguments))

    async def ask() -> tuple[float, float]:
        reported = await client.ask(seconds=seconds)
        assert not reported["failed"] and not reported["lost"], reported
        return reported["done"], reported["done"] / reported["seconds"]

    return ask


def _wrk(seconds: float) -> str | None:
    """It counts in whole seconds."""
    return shutil.which("wrk") if seconds >= 1 else None


async def _run_wrk(command: list[str]) -> tuple[float, float]:
    with anyio.fail_after(60):
        said = (await anyio.run_process(command, stderr=subprocess.STDOUT)).stdout.decode()
    requests, rate = _REQUESTS.search(said), _RATE.search(said)
    assert requests and rate and "Non-2xx" not in said and "Socket errors" not in said, said
    return float(requests[1]), float(rate[1])
