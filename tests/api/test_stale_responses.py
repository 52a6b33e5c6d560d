"""Stale responses: over the limit, during slow computations, and while the database is away."""

from time import monotonic
from typing import Any

import anyio
import psycopg
import pytest

from api.cache import computation, entries, responses
from api.cache.entries import Cacheable
from sql import OperationalError
from tests.api.conftest import (
    Api,
    add_service,
    create_user,
    running_api,
    until,
    until_events_processed,
)
from tests.api.memory import EVERY_CHANGE, Counting, OneRequest, Slow, cache, request
from tests.api.relay import relay_before

Db = psycopg.AsyncConnection[Any]


async def test_a_429_of_one_client_is_not_sent_to_others_that_wait() -> None:
    slow, counting = Slow(), Counting()
    slow.may_respond, counting.may_count = anyio.Event(), anyio.Event()
    counting.over_limit.add("192.0.2.66")
    app = cache(slow, admission=counting)
    statuses: list[tuple[str, int]] = []

    async def one(client: str) -> None:
        statuses.append((client, (await request(app, client=client))[0]))

    async with anyio.create_task_group() as tasks:
        for client in ("192.0.2.66", "192.0.2.66", "192.0.2.1", "192.0.2.2"):
            tasks.start_soon(one, client)
            await anyio.wait_all_tasks_blocked()
        counting.may_count.set()
        await anyio.wait_all_tasks_blocked()
        slow.may_respond.set()
    assert sorted(statuses) == [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.66", 429), ("192.0.2.66", 429)]
    assert (slow.requests, len(counting.counted)) == (1, 1)
    assert (await request(app, client="192.0.2.66"))[0] == 200  # cached responses are not counted


async def test_over_the_limit_a_client_gets_stale_responses_renewed_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow, counting = Slow(), Counting()
    app = cache(slow, Cacheable("/a", EVERY_CHANGE, frozenset({"x"}), page=True), admission=counting)
    slow.body = b'<html data-snapshot="live">'
    await request(app)
    counting.over_limit.add("192.0.2.1")
    app.invalidate("event")
    status, headers, body = await request(app)
    assert (status, headers["x-cache"], headers["age"]) == (200, "STALE", "0")
    assert body == slow.body, "the page is not marked as a snapshot"
    assert (await request(app, query=b"x=1"))[0] == 429, "not cached"
    assert slow.requests == 1
    monkeypatch.setattr(responses, "AFTER_EVENT_S", 0.0)
    assert (await request(app))[1]["x-cache"] == "MISS"
    [entry] = [response for _, response in app._store.items()]
    entry.computed_at -= entries.MAX_AGE_S
    assert (await request(app))[1]["x-cache"] == "MISS"
    assert (slow.requests, counting.counted) == (3, ["192.0.2.1"])


async def test_after_a_change_of_services_a_client_over_its_limit_gets_a_response() -> None:
    """The change removes the stale response, so a computation must be allowed."""
    slow, counting = Slow(), Counting()
    app = cache(slow, admission=counting)
    await request(app)
    counting.over_limit.add("192.0.2.1")
    app.invalidate("services")
    assert (await request(app))[1]["x-cache"] == "MISS"
    slow.status = 404
    app.invalidate("services")
    assert [(await request(app))[0] for _ in range(2)] == [404, 429]


async def test_a_response_is_computed_about_once_a_second() -> None:
    slow = Slow()
    app = cache(slow)
    started = monotonic()
    while monotonic() - started < 2.5:
        slow.body = b"%d" % slow.requests
        app.invalidate("event")
        assert (await request(app))[2] == slow.body, "a request after an event never gets the response before it"
    assert slow.requests <= 6  # three immediately, then one per second


async def test_new_checks_invalidate_a_response_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    app = cache(slow := Slow())
    for _ in range(20):
        app.invalidate("checks")
        await request(app)
    assert slow.requests == 1
    monkeypatch.setattr(entries, "CHECKS_MAX_AGE_S", 0.0)
    assert (await request(app))[1]["x-cache"] == "MISS"


async def test_while_requests_cannot_be_counted_stale_responses_are_sent() -> None:
    slow, counting = Slow(), Counting()
    app = cache(slow, admission=counting)
    await request(app)
    app.invalidate()
    counting.error = OperationalError()
    assert (await request(app))[1]["x-cache"] == "STALE"
    assert slow.requests == 1
    assert (await request(app, query=b"x=1"))[1]["x-cache"] == "MISS"


async def test_a_slow_computation_makes_waiting_requests_get_the_stale_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The computation continues, and its response is cached."""
    monkeypatch.setattr(computation, "STALE_AFTER_S", 0.05)
    app = cache(slow := Slow())
    await request(app)
    app.invalidate()
    slow.may_respond, slow.body = anyio.Event(), b"second"
    async with anyio.create_task_group() as tasks:
        first = OneRequest()
        tasks.start_soon(first.send_to, app)
        await first.received.wait()
        assert (await request(app))[1]["x-cache"] == "STALE"
        assert (first.source, slow.requests) == ("STALE", 2)
        slow.may_respond.set()
    status, headers, body = await request(app)
    assert (status, headers["x-cache"], body, slow.requests) == (200, "HIT", b"second", 2)


async def test_without_a_stale_response_requests_wait_for_the_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computation, "STALE_AFTER_S", 0.0)
    app = cache(slow := Slow())
    slow.may_respond = anyio.Event()
    bodies: list[bytes] = []

    async def one() -> None:
        bodies.append((await request(app))[2])

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        slow.may_respond.set()
    assert (bodies, slow.requests) == ([b"first"] * 3, 1)


@pytest.mark.one_engine
async def test_stale_responses_are_served_while_the_database_is_away(database: str, db: Db) -> None:
    await add_service(db, "shop")
    async with relay_before(database) as relay, running_api(relay.url) as api:
        before = await api.http.get("/api/system-status")
        relay.cut()

        async def stale() -> bool:
            return (await api.http.get("/api/system-status")).headers["x-cache"] == "STALE"

        await until(stale)
        response = await api.http.get("/api/system-status")
        assert (response.status_code, response.content) == (200, before.content)
        assert int(response.headers["age"]) >= 0
        started = monotonic()
        for _ in range(20):
            assert (await api.http.get("/api/system-status")).headers["x-cache"] == "STALE"
        assert monotonic() - started < 15  # no request waits for the database
        not_cached = await api.http.get("/api/uptime/shop")
        assert (not_cached.status_code, not_cached.json()["code"]) == (503, "SERVER_ERROR")
        assert int(not_cached.headers["retry-after"]) > 0
        assert (await api.http.get("/health")).status_code == 200
        ready = await api.http.get("/ready")
        assert ready.status_code == 503
        assert {problem["field"] for problem in ready.json()["details"]} == {"database", "feed"}

        await db.execute("UPDATE services SET name = 'Renamed'")
        relay.restore()
        await api.ready()

        async def renamed() -> bool:
            response = await api.http.get("/api/system-status")
            return response.headers["x-cache"] != "STALE" and response.json()["services"][0]["name"] == "Renamed"

        await until(renamed)


@pytest.mark.one_engine
async def test_stale_responses_are_served_while_the_database_does_not_respond(database: str, db: Db) -> None:
    """This includes the time before the feed detects that the database does not respond."""
    async with relay_before(database) as relay, running_api(relay.url) as api:
        before = await api.http.get("/api/system-status")
        await until_events_processed(api, db)  # which invalidates the response
        relay.silence()
        started = monotonic()
        for most_s in (4.5, 6):
            response = await api.http.get("/api/system-status")
            assert (response.status_code, response.headers["x-cache"]) == (200, "STALE")
            assert response.json()["services"] == before.json()["services"]
            assert monotonic() - started < most_s
        relay.restore()


@pytest.mark.one_engine
async def test_requests_succeed_after_database_connections_were_killed(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    headers = (await create_user(db, "admin")).headers
    for _ in range(3):
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert (await api.http.get("/api/services?details=true", headers=headers)).status_code == 200
        assert (await api.http.patch("/api/services/shop", json={"name": "X"}, headers=headers)).status_code == 200
