"""The WebSocket `/ws`: clients that stop reading, and floods of fragments and pings."""

import contextlib
import resource
import socket as sockets
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest

from api.edge import websocket
from tests.api.conftest import Api, add_service, running_api, until
from tests.api.feed_clients import append_padded, frame, joined

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def test_fragments_and_pings_are_bounded(api: Api) -> None:
    with stalled_socket(api.settings.api_port) as fragments, stalled_socket(api.settings.api_port) as pings:

        async def both_are_open() -> bool:
            return 'sla_monitor_sockets{transport="ws"} 2.0' in (await api.http.get("/metrics")).text

        await until(both_are_open)
        fragments.sendall(b"\x01\x81\0\0\0\0{" + b"\0\x80\0\0\0\0" * 1000)
        await anyio.to_thread.run_sync(read_to_the_end, fragments)
        million = (b"\x89\xfd\0\0\0\0" + b"a" * 125) * 8000
        before = resident_bytes()
        pings.settimeout(120)
        for _ in range(40):
            await anyio.to_thread.run_sync(pings.sendall, million)
        await api.get("/health")
        assert resident_bytes() - before < 16 * 2**20


def read_to_the_end(raw: sockets.socket) -> None:
    raw.settimeout(5)
    with contextlib.suppress(ConnectionError):
        while raw.recv(4096):
            pass


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_a_client_that_stops_reading_does_not_delay_others(database: str, db: Db) -> None:
    await add_service(db, "shop")
    async with running_api(database, socket_queue=50) as api, joined(api) as quick:
        raw = stalled_socket(api.settings.api_port)
        try:

            async def two_sockets() -> bool:
                return 'sla_monitor_sockets{transport="ws"} 2.0' in (await api.http.get("/metrics")).text

            await until(two_sockets)
            big = "x" * 100_000
            for number in range(300):
                await db.execute(
                    "INSERT INTO events (event, room, data) VALUES "
                    "('status-update', 'system-status', jsonb_build_object('n', %s::int, 'pad', %s::text))",
                    [number, big],
                )
                assert (await frame(quick, 5))["data"]["n"] == number
            text = (await api.http.get("/metrics")).text
            assert 'sla_monitor_sockets_refused_total{reason="slow"} 1.0' in text
            assert 'sla_monitor_sockets{transport="ws"} 1.0' in text
        finally:
            raw.close()


def stalled_socket(port: int) -> sockets.socket:
    """Returns the connection of a client that joins a room by its URL and never reads."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", port))
    raw.sendall(
        b"GET /ws?rooms=system-status HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return raw


async def test_a_client_that_closes_and_does_not_read_is_disconnected(
    database: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a deadline the connection would stay open: the client never reads the close frame."""
    monkeypatch.setattr(websocket, "CLOSE_WITHIN_S", 0.3)
    close_frame = bytes([0x88, 0x80, 0, 0, 0, 0])  # masked, as frames of clients are
    async with running_api(database, socket_queue=3) as api:
        for dismissed in (True, False):
            raw = stalled_socket(api.settings.api_port)
            try:
                await until(lambda: _open_sockets(api, 1))
                for _ in range(80 if dismissed else 3):
                    await append_padded(db, "system-status", 1, 100_000 if dismissed else 2_000_000)
                if dismissed:
                    await until(lambda: _open_sockets(api, 0))
                raw.sendall(close_frame)
                await until(partial(_is_cut, api.settings.api_port, raw.getsockname()[1]))
            finally:
                raw.close()


async def _open_sockets(api: Api, count: int) -> bool:
    return f'sla_monitor_sockets{{transport="ws"}} {count}.0' in (await api.http.get("/metrics")).text


async def _is_cut(port: int, peer: int) -> bool:
    """Returns whether the server has closed the connection. The kernel may still keep it in a closing state."""
    return all(inode == "0" for inode in _inodes(f":{port:04X}", f":{peer:04X}"))


def _inodes(local: str, remote: str) -> list[str]:
    """Returns the inodes of the connections between two ports, from /proc/net/tcp: 0 for one that no process has
    open."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()]
    return [row[9] for row in rows if row[1].endswith(local) and row[2].endswith(remote)]
