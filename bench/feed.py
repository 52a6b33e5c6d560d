"""The live feed: how fresh sockets and answers are, and one event to thousands of sockets."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from statistics import median

import anyio

from api.live.events import PUBLIC_STEP
from bench.children import Child, free_port, peer
from bench.databases import Connection
from bench.exposition import scrape, total
from bench.past import make_services
from bench.recording import Recorder, recorder
from bench.report import Line, absolute, compared, most
from bench.run import Run, query, until
from bench.served import Asker, api, asker
from bench.usage import cpu_seconds, rss_mib, send_queue_bytes, spent
from prober.store import Check

ROOM = "/ws?rooms=system-status"
STALLED_ROOM = "/ws?rooms=uptime,system-status"
STALL_EVENTS = 1000
FILES_BESIDE = 500
BETWEEN_CHANGES_S = 1.0
"""The API computes the same response about once a second; a change that comes sooner waits for its turn."""
LONG_PATIENCE = {"SOCKET_SEND_TIMEOUT": "600s", "SOCKET_QUEUE": "100000"}
"""The stalled client is kept for the whole measurement, which is harder on the hub than to dismiss it after 10 s."""


async def lines(run: Run) -> AsyncIterator[Line]:
    async for line in _freshness(run):
        yield line
    async for line in _fan_out(run):
        yield line


class Turns:
    """Checks that turn the state of service-1, one after the other: a failed one first."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._first = datetime.now(UTC) - timedelta(hours=1)
        self._made = 0

    async def turn(self) -> float:
        """Records the next one; when its COMMIT was sent."""
        at = self._first + timedelta(seconds=self._made)
        good = bool(self._made % 2)
        self._made += 1
        error = (None, None) if good else ("http_error", "expected status 200, got 500")
        verdict = (200, True, "o") if good else (500, False, "mo")
        check = Check("service-1", "bench", at, at, 86400, *verdict, 20.0, None, 1.0, None, 19.0, 1, *error)
        return (await self._recorder.record([check])).committed


async def _freshness(run: Run) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(run.databases.migrated())
        connection = await enter(await database.connect())
        await make_services(connection, run.scale.api_services)
        _, port = await enter(api(run, database))
        clients, _ = await enter(peer("sockets", run.folder))
        await clients.ask(what="connect", port=port, path=ROOM, count=1)
        client = await enter(asker(port))
        turns = Turns(await recorder(connection))
        frames, gets = [], []
        for _ in range(run.scale.changes + 2):
            await anyio.sleep(BETWEEN_CHANGES_S)
            await clients.ask(what="expect", frames=1)
            committed, answered = await _change(turns, client)
            arrived = (await clients.ask(what="arrived"))["at"]
            frames.append(1000 * (arrived - committed))
            gets.append(1000 * (answered - committed))
    note = f"{len(frames) - 2} changes by the recorder on {database.engine}, from just before COMMIT is sent"
    yield absolute("Freshness, to the frame on a socket", frames[2:], "ms", most(15, "ms"), note=note)
    yield absolute(
        "Freshness, to a changed GET", gets[2:], "ms", most(15, "ms"), note="asked again and again on one connection"
    )


async def _change(turns: Turns, client: Asker) -> tuple[float, float]:
    """One check that turns the service's state; when its COMMIT was sent, and when a GET had told of it."""
    before = await client.ask()
    committed = await turns.turn()
    with anyio.fail_after(10):
        while await client.ask() == before:
            pass
    return committed, time.monotonic()


async def _fan_out(run: Run) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(run.databases.migrated())
        connection = await enter(await database.connect())
        await make_services(connection, 1)
        server, port = await enter(api(run, database, **LONG_PATIENCE))
        clients, limits = await enter(peer("sockets", run.folder))
        count = min(run.scale.sockets, limits["most"] - FILES_BESIDE)
        await clients.ask(what="connect", port=port, path=ROOM, count=count - 1)
        fan_out = _FanOut(Turns(await recorder(connection)), clients, server.pid)
        await fan_out.event()
        free = [await fan_out.event() for _ in range(run.scale.events)]
        await clients.ask(what="stall", port=port, path=STALLED_ROOM)
        await _fill(connection, port, count)
        stalled = [await fan_out.event() for _ in range(run.scale.events)]
        memory = rss_mib(server.pid)
        cpu = await fan_out.cpu_per_frame(run.scale.events, count)
        theirs, their_cpu = await _broadcast(stack, run, count)
    what = f"Fan-out to {count:,} sockets"
    note = "from just before COMMIT is sent; the peer is websockets.broadcast to as many, from its call"
    yield absolute(f"{what}: the last one, one stalled", stalled, "ms", most(100, "ms"), peer=theirs, note=note)
    yield absolute(
        f"{what}: none stalled",
        free,
        "ms",
        note=f"the stalled one costs the others {median(stalled) - median(free):+.1f} ms",
    )
    yield compared(
        f"{what}: CPU a client and event", [cpu], [their_cpu], "us", most(0.7), note="against websockets.broadcast"
    )
    yield absolute(f"Memory: API with {count:,} sockets", [memory], "MiB", most(200, "MiB"))


MESSAGE = (
    '{"event":"status-update","data":{"serviceId":"service-1","status":"operational",'
    '"timestamp":"2026-01-01T00:00:00.000Z"},"seq":1000}'
)
"""What the peer sends: as long as ours."""


class _FanOut:
    """One event after the other to all sockets of the API."""

    def __init__(self, turns: Turns, clients: Child, server_pid: int) -> None:
        self._turns = turns
        self._clients = clients
        self._server_pid = server_pid

    async def event(self) -> float:
        """Milliseconds from COMMIT until the last one has it."""
        await self._clients.ask(what="expect", frames=1)
        committed = await self._turns.turn()
        told = await self._clients.ask(what="arrived")
        assert not told["lost"], told
        return 1000 * float(told["at"] - committed)

    async def cpu_per_frame(self, events: int, clients: int) -> float:
        """Microseconds of the server's CPU for one frame to one client."""
        before = cpu_seconds(self._server_pid)
        for _ in range(events):
            await self.event()
        return 1e6 * spent(self._server_pid, before) / events / clients


async def _fill(connection: Connection, port: int, clients: int) -> None:
    """Fills the buffers of the one that does not read, so that it is truly stalled."""

    async def all_there() -> bool:
        return total(await scrape(port), "sla_monitor_sockets") == clients

    await until(all_there, "the stalled socket")
    before = total(await scrape(port), "sla_monitor_event_seq")
    await connection.execute(query("stall_events"), {"count": STALL_EVENTS})

    async def all_read() -> bool:
        return total(await scrape(port), "sla_monitor_event_seq") >= before + STALL_EVENTS * PUBLIC_STEP

    await until(all_read, "the events that fill the stalled client")
    assert send_queue_bytes(port) > 0, "the client that does not read is not stalled"


async def _broadcast(stack: AsyncExitStack, run: Run, count: int) -> tuple[list[float], float]:
    """The peer's latencies in milliseconds, and its microseconds of CPU a frame."""
    port = free_port()
    server, _ = await stack.enter_async_context(peer("broadcast", run.folder, port=port))
    clients, _ = await stack.enter_async_context(peer("sockets", run.folder))
    await clients.ask(what="connect", port=port, path="/", count=count - 1)

    async def event() -> float:
        await clients.ask(what="expect", frames=1)
        sent = await server.ask(message=MESSAGE)
        return 1000 * float((await clients.ask(what="arrived"))["at"] - sent["at"])

    await event()
    before = cpu_seconds(server.pid)
    latencies = [await event() for _ in range(run.scale.events)]
    return latencies, 1e6 * spent(server.pid, before) / run.scale.events / (count - 1)
