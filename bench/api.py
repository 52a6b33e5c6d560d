"""The API: requests a second of its cached status answer, against bare uvicorn sending the same bytes."""

import re
import shutil
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import anyio
import httpx

from bench.children import free_port, peer
from bench.exposition import answers
from bench.past import load, make_services
from bench.report import Line, compared, least
from bench.run import Run, alternate, until
from bench.served import STATUS, api, get
from bench.usage import cpu_seconds, spent

CONNECTIONS = 32
OWN_HEADERS = frozenset({"date", "content-length"})
"""uvicorn adds the date itself, the length is said anyway."""
_REQUESTS = re.compile(r"(\d+) requests in")
_RATE = re.compile(r"Requests/sec: +([\d.]+)")


async def lines(run: Run) -> AsyncIterator[Line]:
    services = run.scale.api_services
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(run.databases.migrated())
        async with await database.connect() as connection:
            await make_services(connection, services)
            await load(connection, database.engine, services=services, days=90, checks_an_hour=4)
        child, port = await enter(api(run, database))
        await get(port, STATUS)
        told = await get(port, STATUS)
        assert told.headers.get("x-cache") == "HIT", told.headers
        servers = [_Server(child.pid, port), await _bare(stack, run, told)]
        rates = [partial(server.rate, await _load(stack, run, server.port)) for server in servers]
        await alternate(1, *rates)
        for server in servers:
            server.efficiency.clear()
        own, bare = await alternate(run.scale.rounds, *rates)
        again = await get(port, STATUS)
        assert again.content == told.content, "the answer changed while it was measured"
    what = f"API, cached status of {services} services: against bare uvicorn"
    by = "wrk" if _wrk(run.scale.api_seconds) else "an asyncio client"
    note = f"{len(told.content):,} bytes, {CONNECTIONS} kept connections, load by {by}"
    yield compared(what, own, bare, "/s", least(0.9), note=note)
    ours, theirs = (server.efficiency for server in servers)
    yield compared(
        f"{what}, by CPU", ours, theirs, "/CPU s", note="the same per second of the server's CPU, whoever else runs"
    )


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


async def _bare(stack: AsyncExitStack, run: Run, told: httpx.Response) -> _Server:
    """The same headers in the same order, the same body."""
    headers = [[name, value] for name, value in told.headers.multi_items() if name not in OWN_HEADERS]
    headers.append(["content-length", str(len(told.content))])
    port = free_port()
    arguments = {"port": port, "headers": headers, "body": b64encode(told.content).decode()}
    child, _ = await stack.enter_async_context(peer("bare_uvicorn", run.folder, **arguments))
    await until(partial(answers, port), "bare uvicorn")
    return _Server(child.pid, port)


async def _load(stack: AsyncExitStack, run: Run, port: int) -> Callable[[], Awaitable[tuple[float, float]]]:
    """What loads a server for a while and tells how many requests were answered, and how many a second."""
    seconds = run.scale.api_seconds
    wrk = _wrk(seconds)
    if wrk is not None:
        command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", f"http://127.0.0.1:{port}{STATUS}"]
        return partial(_run_wrk, command)
    arguments = {"host": "127.0.0.1", "port": port, "paths": [STATUS], "concurrency": CONNECTIONS, "expect": "200 OK"}
    client, _ = await stack.enter_async_context(peer("http_load", run.folder, **arguments))

    async def ask() -> tuple[float, float]:
        told = await client.ask(seconds=seconds)
        assert not told["failed"] and not told["lost"], told
        return told["done"], told["done"] / told["seconds"]

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
