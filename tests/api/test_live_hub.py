"""The hub and its clients, without a database: rooms, slow clients, recent events."""

import anyio
import pytest

from api.edge.websocket import TRY_AGAIN_LATER
from api.live import events
from api.live.client import Client
from api.live.events import Event, Frames, Transport
from api.live.hub import Hub
from api.metrics import Metrics
from tests.api.recording_socket import RecordingSocket

pytestmark = pytest.mark.one_engine


def event(seq: int, room: str | None = "uptime", origin: str | None = None) -> Event:
    return Event(seq, room, Frames(b"ws %d" % seq, b"socketio %d" % seq), origin)


def connected(hub: Hub, transport: Transport = Transport.WS) -> tuple[Client, RecordingSocket]:
    """A client in the room `uptime`."""
    socket = RecordingSocket()
    client = hub.connect(socket, transport)
    hub.join(client, "uptime")
    return client, socket


def slow_clients(metrics: Metrics) -> float:
    """Returns the number of clients that were disconnected because they did not read."""
    return float(metrics.sockets_refused.labels("slow")._value.get())


async def test_an_event_is_sent_to_its_room_in_the_encoding_of_each_client() -> None:
    metrics = Metrics()
    hub = Hub(metrics, queue_limit=10, send_timeout_s=10)
    (ws, ws_socket), (_, socketio), (left, left_socket) = (
        connected(hub),
        connected(hub, Transport.SOCKETIO),
        connected(hub),
    )
    hub.leave(left, "uptime")
    hub.publish(event(1))
    hub.publish(event(2, "system-status"))
    hub.publish(event(3, origin=ws.id))
    assert ws_socket.written == [b"ws 1"]
    assert socketio.written == [b"socketio 1", b"socketio 3"]
    assert left_socket.written == []
    assert metrics.frames._value.get() == 3


async def test_frames_for_a_client_that_does_not_read_are_queued_and_written_in_order() -> None:
    hub = Hub(Metrics(), queue_limit=10, send_timeout_s=10)
    client, socket = connected(hub)
    _, other = connected(hub)
    socket.pause_after = 2
    for seq in range(1, 7):
        hub.publish(event(seq))
    assert (len(socket.written), client.queued, len(other.written)) == (2, 4, 6)
    socket.resume(pause_after=4)
    assert (len(socket.written), client.queued) == (4, 2)
    hub.publish(event(7))
    socket.resume(pause_after=7)  # the last queued frame pauses writing again
    assert (len(socket.written), client.queued) == (7, 0)
    hub.publish(event(8))
    assert client.queued == 1
    socket.resume()
    hub.publish(event(9))
    assert socket.written == other.written == [b"ws %d" % seq for seq in range(1, 10)]
    assert socket.closed is None


async def test_a_client_with_a_full_queue_is_disconnected() -> None:
    metrics = Metrics()
    hub = Hub(metrics, queue_limit=2, send_timeout_s=10)
    client, socket = connected(hub)
    _, other = connected(hub)
    socket.pause()
    for seq in range(1, 5):
        hub.publish(event(seq))
    assert socket.closed == (TRY_AGAIN_LATER, "too many frames are queued")
    assert (client.queued, client.disconnected, len(hub), slow_clients(metrics)) == (0, True, 1, 1)
    assert (len(socket.written), len(other.written)) == (0, 4)


async def test_frames_for_a_socket_that_connects_while_writing_is_paused_are_queued() -> None:
    hub = Hub(Metrics(), queue_limit=10, send_timeout_s=10)
    socket = RecordingSocket()
    socket.pause()
    client = hub.connect(socket, Transport.WS)
    hub.join(client, "uptime")
    hub.publish(event(1))
    assert (socket.written, client.queued) == ([], 1)
    socket.resume()
    assert (socket.written, client.queued) == ([b"ws 1"], 0)


async def test_a_client_has_the_send_timeout_for_each_time_that_writing_is_paused() -> None:
    metrics = Metrics()
    hub = Hub(metrics, queue_limit=10, send_timeout_s=0.2)
    slow, slow_socket = connected(hub)
    _, stalled = connected(hub)
    idle, idle_socket = connected(hub)
    hub.leave(idle, "uptime")
    closed = anyio.Event()
    stalled.dismiss = lambda *_: closed.set()  # type: ignore[method-assign]
    for socket in (idle_socket, slow_socket, stalled):
        socket.pause()
    hub.publish(event(1))
    slow_socket.resume()
    with anyio.fail_after(30):
        await closed.wait()
    assert (slow_socket.closed, slow_socket.written, slow.queued) == (None, [b"ws 1"], 0)
    assert idle_socket.closed is None, "no frame is queued for it"
    assert (len(hub), slow_clients(metrics)) == (2, 1)


async def test_nothing_is_written_after_a_connection_has_begun_to_close() -> None:
    hub = Hub(Metrics(), queue_limit=10, send_timeout_s=10)
    closing, socket = connected(hub)
    closing.writing_ended()
    stalled, stalled_socket = connected(hub)
    stalled_socket.pause()
    hub.publish(event(1))
    stalled.writing_ended()
    for each in (socket, stalled_socket):
        each.pause()
        each.resume()
    hub.publish(event(2))
    assert (socket.written, stalled_socket.written, closing.queued, stalled.queued) == ([], [], 0, 0)


async def test_recent_events_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "RECENT_BYTES", 1000)
    hub = Hub(Metrics(), queue_limit=10, send_timeout_s=1)
    published = [Event(seq, None, Frames(b"x" * 100, b"x" * 100)) for seq in range(1, 21)]
    hub.restart(published[:10], 10)
    for each in published[10:]:
        hub.publish(each)
    assert hub.recent_after(15) == published[15:]
    assert hub.recent_after(14) is None
