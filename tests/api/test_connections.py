"""HTTP connections: open connections of one client have no effect on others."""

import ipaddress
import logging
import socket
from contextlib import suppress

import anyio
import anyio.to_thread
import pytest

from api.edge import connections as client_limits
from sla_monitor.serving import connections
from tests.api.conftest import Api, running_api, until
from tests.api.open_connections import (
    HEALTH,
    INCIDENTS,
    LARGE,
    OpenConnections,
    locked,
    metric,
    next_response,
    reset,
    status,
    until_counted,
    until_requests_arrived,
)

pytestmark = pytest.mark.one_engine


async def test_a_client_that_does_not_read_is_disconnected(any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALL_DEADLINE_S", 0.5)
    request = f"GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with running_api(any_database) as api:
        with OpenConnections(api.settings.api_port) as held:
            for requests in (request * 8, request * 8 + HEALTH[:20]):
                held.open(requests)
            await until_counted(api, "not_read", 2)
        assert await metric(api, 'sla_monitor_client_faults_total{fault="left"}') == 0


async def test_a_client_that_reads_slowly_is_disconnected(any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "DRAIN_DEADLINE_S", 1.0)
    request = f"GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with running_api(any_database) as api:
        with OpenConnections(api.settings.api_port) as held:
            one = held.open(request * 8)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_read_slowly, one)
                await until_counted(api, "not_read")
                tasks.cancel_scope.cancel()


async def _read_slowly(one: socket.socket) -> None:
    with suppress(OSError):
        while await anyio.to_thread.run_sync(one.recv, 4096):  # noqa: ASYNC110  # the pause is intended
            await anyio.sleep(0.02)


async def test_incomplete_requests_do_not_block_others(any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_limits, "HTTP_CONNECTIONS", 25)
    monkeypatch.setattr(client_limits, "CONNECTIONS_PER_CLIENT", 15)
    async with running_api(any_database, socket_limit=5) as api:
        port = api.settings.api_port
        with OpenConnections(port) as held, OpenConnections(port, "127.0.0.2") as others:
            for count in range(1, 41):
                held.open(HEALTH[:20])
                others.open(HEALTH[:20] if count % 2 else HEALTH)
                assert (await api.http.get("/health")).status_code == 200
            await until_counted(api, "crowded_out", 2 * 40 - 30)


async def test_the_connections_of_an_address_are_limited(any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_limits, "CONNECTIONS_PER_CLIENT", 4)
    async with running_api(any_database, sockets_per_address=1) as api:
        with OpenConnections(api.settings.api_port, "127.0.0.2") as held:
            async with locked(any_database):
                working = [held.open(INCIDENTS) for _ in range(5)]
                await until_requests_arrived(api)
                refused = await next_response(held.open(b""))
                assert refused.status == 429
                assert b'"code":"RATE_LIMITED"' in refused.body
                assert int(refused.headers["retry-after"]) > 0
                assert (await api.http.get("/health")).status_code == 200
                await until_counted(api, "too_many_connections")
            assert [await status(one) for one in working] == [200] * 5
            another = held.open(HEALTH)  # replaces a connection that waits for its next request
            assert await status(another) == 200


async def test_a_trusted_proxy_is_not_one_client(any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_limits, "CONNECTIONS_PER_CLIENT", 1)
    proxies = (ipaddress.ip_network("127.0.0.0/8"),)

    def forwarded(request: bytes, client: int) -> bytes:
        return request.replace(b"Host: x\r\n", b"Host: x\r\nX-Forwarded-For: 198.51.100.%d\r\n" % client)

    async with running_api(any_database, trusted_proxies=proxies, socket_limit=1) as api:
        with OpenConnections(api.settings.api_port) as held:
            async with locked(any_database):
                working = [held.open(forwarded(INCIDENTS, client)) for client in (1, 2, 3, 4, 5, 1)]
                await until_requests_arrived(api)
                assert await status(held.open(forwarded(HEALTH, 6))) == 200
                assert await status(held.open(forwarded(HEALTH, 1))) == 429
                await until_counted(api, "too_many_connections")
            assert [await status(one) for one in working] == [200] * 6
            for client in (1, 1, 1):  # these connections now count for the client of their next request
                one = working[client]
                one.sendall(forwarded(HEALTH, client))
                assert await status(one) == 200


async def test_a_client_that_disconnects_during_its_body_is_logged_at_level_debug(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sla_monitor.serving.connections")
    incomplete = (
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"
    )
    with OpenConnections(api.settings.api_port) as held:
        one = held.open(incomplete)
        await until_requests_arrived(api)
        reset(one)
        await until_counted(api, "left")
    login = '{method="POST",route="/api/auth/login",status="%s"}'

    async def has_status_499() -> bool:
        return await metric(api, "sla_monitor_requests_total" + login % 499) == 1

    await until(has_status_499)
    assert await metric(api, "sla_monitor_requests_total" + login % 500) == 0
    [line] = [record for record in caplog.records if record.name == "sla_monitor.serving.connections"]
    assert (line.levelno, line.getMessage()) == (logging.DEBUG, "client 127.0.0.1: left")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
