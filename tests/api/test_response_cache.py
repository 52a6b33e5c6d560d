"""The response cache: one computation for all waiting requests, and no response from before an event after it."""

from typing import Any

import anyio
import psycopg
import pytest

from api.cache import entries
from api.cache.entries import Cacheable
from api.cache.memory import MAX_ENTRIES, MAX_QUERY_ENTRIES
from api.metrics import Metrics
from tests.api.conftest import (
    Api,
    Check,
    add_service,
    now,
    record,
    until,
    until_events_processed,
)
from tests.api.memory import EVERY_CHANGE, Counting, Slow, cache, request

Db = psycopg.AsyncConnection[Any]


async def test_concurrent_requests_share_one_computation() -> None:
    slow = Slow()
    slow.may_respond = anyio.Event()
    app = cache(slow)
    sources: list[str] = []

    async def one() -> None:
        sources.append((await request(app))[1]["x-cache"])

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        slow.may_respond.set()
    assert (slow.requests, set(sources)) == (1, {"MISS"})
    assert (await request(app))[1]["x-cache"] == "HIT"


async def test_a_response_computed_before_an_event_is_not_stored_after_it() -> None:
    slow = Slow()
    slow.may_respond = anyio.Event()
    app = cache(slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request, app)
        await anyio.wait_all_tasks_blocked()
        app.invalidate("event")
        slow.body = b"second"
        later: list[bytes] = []

        async def request_after_the_event() -> None:
            later.append((await request(app))[2])

        tasks.start_soon(request_after_the_event)
        await anyio.wait_all_tasks_blocked()
        slow.may_respond.set()
    assert (slow.requests, later) == (2, [b"second"])
    assert (await request(app))[2] == b"second"


async def test_a_change_is_in_the_response_to_the_next_request_of_its_client() -> None:
    """This does not depend on the feed."""
    app = cache(slow := Slow(), Cacheable("/a", frozenset({"event"})), Cacheable("/list", frozenset({"services"})))
    for path in ("/a", "/list"):
        await request(app, path)
    slow.action, slow.status, slow.body = "incidents:write", 403, b"second"
    await request(app, method="PUT")
    assert (await request(app))[2] == b"first"  # the request failed
    slow.status = 200
    await request(app, method="PUT")
    assert ((await request(app))[2], (await request(app, "/list"))[2]) == (b"second", b"first")
    slow.action = "services:administer"
    await request(app, method="DELETE")
    assert (await request(app, "/list"))[2] == b"second"


@pytest.mark.parametrize("action", ["", "session:open", "drafts:write", "templates:write"])
async def test_actions_without_public_changes_invalidate_nothing(action: str) -> None:
    app = cache(slow := Slow())
    await request(app)
    slow.action = action
    for method in ("OPTIONS", "POST"):
        await request(app, method=method)
        assert (await request(app))[1]["x-cache"] == "HIT"


@pytest.mark.one_engine
async def test_an_anonymous_client_cannot_invalidate_a_response(api: Api, db: Db) -> None:
    """Neither a failed request nor a successful one, such as a CORS preflight, invalidates it."""
    await add_service(db, "shop")
    await until_events_processed(api, db)
    await api.http.get("/api/services")
    headers = {"Origin": "http://front.example", "Access-Control-Request-Method": "DELETE"}
    for method, path in (("OPTIONS", "/api/services/shop"), ("OPTIONS", "/services"), ("DELETE", "/api/services/shop")):
        assert (await api.http.request(method, path, headers=headers)).status_code in (204, 401)
        assert (await api.http.get("/api/services")).headers["x-cache"] == "HIT"


async def test_a_cancelled_request_leaves_the_computation_to_the_next_one() -> None:
    slow = Slow()
    slow.may_respond = anyio.Event()
    app = cache(slow)
    bodies: list[bytes] = []

    async def second_request() -> None:
        bodies.append((await request(app))[2])

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as cancelled:
            cancelled.start_soon(request, app)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(second_request)
            await anyio.wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()
        slow.may_respond.set()
    assert bodies == [b"first"]


async def test_a_computation_is_counted_once_for_all_waiting_requests() -> None:
    slow, counting = Slow(), Counting()
    counting.may_count = anyio.Event()
    app = cache(slow, admission=counting)
    received: list[dict[str, str]] = []

    async def one(client: str) -> None:
        received.append((await request(app, client=client))[1])

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, f"192.0.2.{number % 5}")
        await anyio.wait_all_tasks_blocked()
        counting.may_count.set()
    assert (slow.requests, len(counting.counted)) == (1, 1)
    assert {headers["x-cache"] for headers in received} == {"MISS"}
    assert [headers.get("ratelimit-remaining") for headers in received].count("7") == 1
    assert "ratelimit-remaining" not in (await request(app))[1]


async def test_only_parameters_of_the_route_are_part_of_the_key() -> None:
    slow = Slow()
    app = cache(slow)
    for query in (b"", b"_=17", b"utm_source=x"):
        await request(app, query=query)
    assert slow.requests == 1
    for query in (b"x=1&y=2", b"y=2&x=1&z=9", b"y=2&x=%31"):
        await request(app, query=query)
    assert slow.requests == 2


async def test_a_change_invalidates_only_routes_that_depend_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "CHECKS_MAX_AGE_S", 0.0)
    slow = Slow()
    names = Cacheable("/names", frozenset({"services"}))
    app = cache(slow, names, Cacheable("/figures", EVERY_CHANGE))
    for path in ("/names", "/figures"):
        await request(app, path)
    app.invalidate("checks")
    assert [(await request(app, path))[1]["x-cache"] for path in ("/names", "/figures")] == ["HIT", "MISS"]
    app.invalidate("services")
    assert [(await request(app, path))[1]["x-cache"] for path in ("/names", "/figures")] == ["MISS", "MISS"]


async def test_the_number_of_entries_is_bounded() -> None:
    slow = Slow()
    app = cache(slow, Cacheable("/many/", EVERY_CHANGE))
    for number in range(MAX_ENTRIES + 10):
        await request(app, f"/many/{number}")
    assert (await request(app, f"/many/{MAX_ENTRIES}"))[1]["x-cache"] == "HIT"
    assert (await request(app, "/many/0"))[1]["x-cache"] == "MISS"
    assert len(app._store) == MAX_ENTRIES


async def test_responses_with_a_query_evict_only_each_other() -> None:
    app = cache(Slow(), Cacheable("/many/", EVERY_CHANGE, frozenset({"x"})))
    for path in ("/many/1", "/many/2"):
        await request(app, path)
    for number in range(MAX_QUERY_ENTRIES + 10):
        await request(app, "/many/1", f"x={number}".encode())
    assert len(app._store) == MAX_QUERY_ENTRIES + 2
    for path, query, source in (
        ("/many/1", b"", "HIT"),
        ("/many/2", b"", "HIT"),
        ("/many/1", f"x={MAX_QUERY_ENTRIES}".encode(), "HIT"),
        ("/many/1", b"x=0", "MISS"),
    ):
        assert (await request(app, path, query))[1]["x-cache"] == source, (path, query)


async def test_errors_are_not_cached() -> None:
    slow = Slow()
    slow.status, slow.body = 404, b"nothing"
    app = cache(slow)
    for _ in range(2):
        assert (await request(app))[0] == 404
    assert slow.requests == 2


async def test_a_404_removes_the_stale_response() -> None:
    slow = Slow()
    app = cache(slow)
    await request(app)
    app.invalidate()
    slow.status = 404
    assert (await request(app))[0] == 404
    slow.status, app.database_away = 503, True
    assert (await request(app))[0] == 503
    assert app._store.bytes == 0


async def test_the_metrics_count_entries_and_bytes() -> None:
    app = cache(slow := Slow(), metrics=(metrics := Metrics()))

    def counted() -> tuple[float | None, bool]:
        figure = metrics.registry.get_sample_value
        return figure("sla_monitor_response_cache_entries"), bool(figure("sla_monitor_response_cache_bytes"))

    for query in (b"", b"x=1", b"x=2"):
        await request(app, query=query)
    assert counted() == (3, True)
    app.invalidate()
    slow.status = 404
    await request(app, query=b"x=1")
    assert counted() == (2, True)
    app.invalidate("services")
    assert counted() == (0, False)


async def test_hit_miss_and_not_modified_over_http(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    path = "/api/system-status"

    async def shows_the_service() -> bool:
        return len((await api.get(path))["services"]) == 1

    await until(shows_the_service)
    await api.get(path)
    first = await api.http.get(path)
    assert first.headers["x-cache"] == "HIT"
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    for condition in (etag, f'"other", W/{etag}', "*"):
        same = await api.http.get(path, headers={"if-none-match": condition})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert (await api.http.get(path, headers={"if-none-match": '"other"'})).status_code == 200
    await record(db, [Check("shop", now())])

    async def changed() -> bool:
        return (await api.http.get(path, headers={"if-none-match": etag})).status_code == 200

    await until(changed)  # before the response expires by age
    assert (await api.http.get(path)).headers["etag"] != etag
