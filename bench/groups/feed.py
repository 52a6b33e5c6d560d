"""The delay of the live feed: for one WebSocket client, for one GET response, and for thousands of sockets."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from statistics import median

import anyio

from api.live.events import PUBLIC_STEP
from bench.api_server import PersistentConnection, persistent_connection, running_api
from bench.checks import LOCATION
from bench.databases import Connection
from bench.history import create_services
from bench.metrics import scrape, total
from bench.processes import Child, running_program
from bench.recording import Recorder, recorder
from bench.report import Result, at_most, comparison, figure
from bench.run import Run, query, wait_until
from bench.usage import cpu_seconds, cpu_seconds_since, memory_mib, send_queue_bytes
from prober.store import Check
from tests.ports import free_port

SOCKET = "/ws?rooms=system-status"
STALLED_SOCKET = "/ws?rooms=uptime,system-status"
FILLER_EVENTS = 1000
OTHER_FILES = 500
"""Open files of the client process that are not sockets of clients, with a margin."""
BETWEEN_CHANGES_S = 1.0
"""The API computes one response about once a second. A change that comes sooner waits for the next computation."""
KEEP_STALLED = {"SOCKET_SEND_TIMEOUT": "600s", "SOCKET_QUEUE": "100000"}
"""Settings that keep the stalled client connected. By default the API would disconnect it after 10 s and have less
work."""
WARM_UP_CHANGES = 2
MESSAGE = (
    '{"event":"status-update","data":{"serviceId":"service-1","status":"operational",'
    '"timestamp":"2026-01-01T00:00:00.000Z"},"seq":1000}'
)
"""The message that the reference sends. It is as long as the API's message."""


async def measure(run: Run) -> AsyncIterator[Result]:
    for result in await _measure_freshness(run):
        yield result
    for result in await _measure_fan_out(run):
        yield result


class Changes:
    """Records checks of service-1 that fail and succeed alternately, so that each changes its state."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._first = datetime.now(UTC) - timedelta(hours=1)
        self._made = 0

    async def record_next(self) -> float:
        """Returns the time.monotonic() at which COMMIT was sent."""
        at = self._first + timedelta(seconds=self._made)
        good = bool(self._made % 2)
        self._made += 1
        error = (None, None) if good else ("http_error", "expected status 200, got 500")
        verdict = (200, True, "o") if good else (500, False, "mo")
        check = Check("service-1", LOCATION, at, at, 86400, *verdict, 20.0, None, 1.0, None, 19.0, 1, *error)
        return (await self._recorder.record([check])).committed


async def _measure_freshness(run: Run) -> list[Result]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(run.databases.migrated())
        connection = await enter(await database.connect())
        await create_services(connection, run.scale.api_services)
        _, port = await enter(running_api(run, database))
        clients, _ = await enter(running_program("websocket_clients", run.folder))
        await clients.request(action="connect", port=port, path=SOCKET, count=1)
        client = await enter(persistent_connection(port))
        changes = Changes(await recorder(connection))
        frames_ms, gets_ms = [], []
        for _ in range(run.scale.freshness_changes + WARM_UP_CHANGES):
            await anyio.sleep(BETWEEN_CHANGES_S)
            await clients.request(action="expect", frames=1)
            committed, responded = await _change_and_get(changes, client)
            arrived = (await clients.request(action="arrived"))["at"]
            frames_ms.append(1000 * (arrived - committed))
            gets_ms.append(1000 * (responded - committed))
    count, target = run.scale.freshness_changes, at_most(15, "ms")
    note = f"{count} changes on {database.engine}; the time starts just before COMMIT is sent"
    note_get = "the client repeats the request on one connection until the response has changed"
    return [
        figure("Freshness: COMMIT to WebSocket frame", frames_ms[WARM_UP_CHANGES:], "ms", target, note=note),
        figure("Freshness: COMMIT to changed GET response", gets_ms[WARM_UP_CHANGES:], "ms", target, note=note_get),
    ]


async def _change_and_get(changes: Changes, client: PersistentConnection) -> tuple[float, float]:
    """Records a check that changes the service's state. Returns the time.monotonic() at which COMMIT was sent, and at
    which a GET returned a changed response."""
    before = await client.get_status()
    committed = await changes.record_next()
    with anyio.fail_after(10):
        while await client.get_status() == before:
            pass
    return committed, time.monotonic()


async def _measure_fan_out(run: Run) -> list[Result]:
    events = run.scale.fan_out_events
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(run.databases.migrated())
        connection = await enter(await database.connect())
        await create_services(connection, 1)
        api, port = await enter(running_api(run, database, **KEEP_STALLED))
        clients, limits = await enter(running_program("websocket_clients", run.folder))
        count = min(run.scale.fan_out_sockets, limits["max_files"] - OTHER_FILES)
        await clients.request(action="connect", port=port, path=SOCKET, count=count - 1)
        fan_out = _FanOut(Changes(await recorder(connection)), clients, api.pid)
        await fan_out.event_ms()
        none_stalled = [await fan_out.event_ms() for _ in range(events)]
        await clients.request(action="stall", port=port, path=STALLED_SOCKET)
        await _fill_stalled_client(connection, port, count)
        one_stalled = [await fan_out.event_ms() for _ in range(events)]
        memory = memory_mib(api.pid)
        cpu_us = await fan_out.cpu_us_per_frame(events, count)
        reference_ms, reference_cpu_us = await _measure_broadcast(stack, run, count)
    title = f"Fan-out to {count:,} sockets"
    last = f"{title}: COMMIT to the frame on the last socket"
    note = "one client does not read; the reference is websockets.broadcast to as many sockets"
    note_none = f"one stalled client adds {median(one_stalled) - median(none_stalled):+.1f} ms for the others"
    target, cpu_target = at_most(100, "ms"), at_most(0.7)
    cpu = f"{title}: CPU time per frame, vs websockets.broadcast"
    return [
        figure(f"{last}, one client stalled", one_stalled, "ms", target, reference=reference_ms, note=note),
        figure(f"{last}, no client stalled", none_stalled, "ms", note=note_none),
        comparison(cpu, [cpu_us], [reference_cpu_us], "us", cpu_target, note="one frame is one event to one client"),
        figure(f"Memory: API with {count:,} sockets", [memory], "MiB", at_most(200, "MiB")),
    ]


class _FanOut:
    """Makes one event after the other, each of which goes to all clients of the API."""

    def __init__(self, changes: Changes, clients: Child, api_pid: int) -> None:
        self._changes = changes
        self._clients = clients
        self._api_pid = api_pid

    async def event_ms(self) -> float:
        """Milliseconds from COMMIT until the last client has the frame."""
        await self._clients.request(action="expect", frames=1)
        committed = await self._changes.record_next()
        arrived = await self._clients.request(action="arrived")
        assert not arrived["lost"], arrived
        return 1000 * float(arrived["at"] - committed)

    async def cpu_us_per_frame(self, events: int, clients: int) -> float:
        """Microseconds of the API's CPU time for one frame to one client."""
        before = cpu_seconds(self._api_pid)
        for _ in range(events):
            await self.event_ms()
        return 1e6 * cpu_seconds_since(self._api_pid, before) / events / clients


async def _fill_stalled_client(connection: Connection, port: int, clients: int) -> None:
    """Sends events to the client that does not read until its buffers are full. Raises AssertionError if they are not.

    Only this client has joined the room of these events.
    """

    async def all_connected() -> bool:
        return total(await scrape(port), "sla_monitor_sockets") == clients

    await wait_until(all_connected, "the connection of the stalled client")
    before = total(await scrape(port), "sla_monitor_event_seq")
    await connection.execute(query("filler_events"), {"count": FILLER_EVENTS})

    async def all_read() -> bool:
        return total(await scrape(port), "sla_monitor_event_seq") >= before + FILLER_EVENTS * PUBLIC_STEP

    await wait_until(all_read, "the events for the stalled client")
    assert send_queue_bytes(port) > 0, "the client that does not read is not stalled"


async def _measure_broadcast(stack: AsyncExitStack, run: Run, count: int) -> tuple[list[float], float]:
    """The reference: milliseconds until the last client has each event, and microseconds of CPU time per frame."""
    port = free_port()
    server, _ = await stack.enter_async_context(running_program("websockets_broadcast", run.folder, port=port))
    clients, _ = await stack.enter_async_context(running_program("websocket_clients", run.folder))
    await clients.request(action="connect", port=port, path="/", count=count - 1)

    async def event_ms() -> float:
        await clients.request(action="expect", frames=1)
        sent = await server.request(message=MESSAGE)
        return 1000 * float((await clients.request(action="arrived"))["at"] - sent["at"])

    await event_ms()
    before = cpu_seconds(server.pid)
    latencies = [await event_ms() for _ in range(run.scale.fan_out_events)]
    return latencies, 1e6 * cpu_seconds_since(server.pid, before) / run.scale.fan_out_events / (count - 1)
