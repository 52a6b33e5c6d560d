"""The request log: one line for each request, in JSON or text, without queries and secrets."""

import ipaddress
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from api.edge.request_log import MAX_WAITING, RequestLog
from api.metrics import Metrics
from tests.api.conftest import Api, create_user, running_api
from tests.api.test_response_cache import Db
from tests.api.transports import socket_client

pytestmark = pytest.mark.one_engine

PROXY = (ipaddress.ip_network("127.0.0.1/32"),)
FIELDS = ["time", "method", "route", "status", "durationMs", "address", "userAgent", "requestId"]


@asynccontextmanager
async def logging_api(database: str, form: str) -> AsyncIterator[Api]:
    """An API with a request log, which is complete when the block ends."""
    async with running_api(database, request_log=form, trusted_proxies=PROXY) as api:
        api.http.headers["User-Agent"] = "test"
        yield api


async def test_each_request_is_one_line_of_json(database: str, db: Db, capfd: pytest.CaptureFixture[str]) -> None:
    ann = await create_user(db, "viewer")
    requests: list[tuple[str, str, str, int]] = [
        ("GET", "/api/uptime/all-systems?months=2&token=secret-1", "/api/uptime/{service_id}", 200),
        ("GET", "/api/uptime/all-systems?months=2&token=secret-1", "/api/uptime/{service_id}", 200),
        ("HEAD", "/api/uptime/all-systems?months=2", "/api/uptime/{service_id}", 200),
        ("HEAD", "/api/users/secret-2", "/api/users/{user_id}", 403),
        ("GET", "/api/incidents/secret-3/draft", "/api/incidents/{incident_id}/draft", 403),
        ("GET", "/secret-4", "unmatched", 404),
        ("POST", "/api/auth/login?password=secret-5", "/api/auth/login", 400),
        ("GET", "/socket.io/?EIO=4&token=secret-6", "/socket.io", 400),
    ]
    ids: list[str | None] = []
    headers = {"X-Forwarded-For": b"192.0.2.7", "User-Agent": 'x" \u00e9'.encode("latin-1")}
    headers |= {"Authorization": ann.headers["Authorization"].encode()}
    async with logging_api(database, "json") as api:
        for method, path, _, status in requests:
            response = await api.http.request(method, path, headers=[(k.encode(), v) for k, v in headers.items()])
            assert response.status_code == status, response.text
            ids.append(response.headers.get("x-request-id"))
        async with socket_client(api, "ws", ann.token, "token=secret-7"):
            pass
    out = capfd.readouterr().out
    assert "secret" not in out and ann.token not in out
    lines = [json.loads(line) for line in out.splitlines()]
    assert all(list(line) == FIELDS for line in lines)
    from_client = [line for line in lines if line["address"] == "192.0.2.7"]
    assert [(line["method"], line["route"], line["status"]) for line in from_client] == [
        (method, route, status) for method, _, route, status in requests
    ]
    assert [line["requestId"] for line in from_client] == ids
    assert ids[1] is None and all(ids[3:7])
    assert {line["userAgent"] for line in from_client} == {'x" \u00e9'}
    assert all(0 <= line["durationMs"] < 20_000 and line["time"].endswith("Z") for line in lines)
    [socket] = [line for line in lines if line["route"] == "/ws"]
    assert (socket["method"], socket["status"]) == ("GET", 101)
    assert socket["userAgent"].startswith("Python/"), "the headers are dropped while the socket is open"


async def test_each_request_is_one_line_of_text(database: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with logging_api(database, "text") as api:
        forged = [(b"User-Agent", 'a"\x85b\x9bc'.encode("latin-1")), (b"X-Forwarded-For", b"192.0.2.7")]
        response = await api.http.get("/api/nowhere", headers=forged)
    [line] = [line for line in capfd.readouterr().out.split("\n") if " 192.0.2.7 " in line]
    time, rest = line.split(" ", 1)
    assert time.endswith("Z")
    before, _, after = rest.partition(" ms ")
    assert before.startswith("GET unmatched 404 ")
    assert after == f'192.0.2.7 "a\\"\\u0085b\\u009bc" {response.headers["x-request-id"]}'


async def test_the_log_is_off_by_default(database: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with running_api(database) as api:
        await api.http.get("/api/services")
    assert capfd.readouterr().out == ""


async def test_blocked_standard_output_does_not_delay_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        pass

    reader, writer = os.pipe()
    metrics = Metrics()
    log = RequestLog(app, "json", (), metrics)
    scope = {"type": "http", "method": "GET", "headers": [(b"user-agent", b"x" * 300)], "client": ("192.0.2.1", 1)}
    stuck = os.fdopen(writer, "w")
    monkeypatch.setattr("sys.stdout", stuck)
    with anyio.fail_after(120), log.writing():
        for _ in range(MAX_WAITING + 1000):
            await log(scope, anyio.sleep_forever, send)
    monkeypatch.undo()
    dropped = metrics.registry.get_sample_value("sla_monitor_request_log_dropped_total")
    assert dropped is not None and 0 < dropped <= 1000
    os.close(reader)
    with suppress(BrokenPipeError):
        stuck.close()
