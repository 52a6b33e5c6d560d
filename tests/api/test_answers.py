"""Answers from memory: as fast as bytes can be sent, never older than the event that ends them."""

from time import monotonic
from typing import Any

import anyio
import psycopg
import pytest

from api.cache import entries as answers_module
from api.cache import responses
from api.cache.entries import Cacheable
from api.cache.memory import MAX_ENTRIES, MAX_QUERIES
from api.metrics import Metrics
from sql import OperationalError
from tests.api.conftest import Api, Check, add_service, now, record, running_api, someone, until, until_heard
from tests.api.memory import EVERY_CHANGE, Counting, Given, Slow, ask, cache
from tests.api.relay import relay_before

Db = psycopg.AsyncConnection[Any]


async def test_what_is_asked_at_once_is_computed_once() -> None:
    slow = Slow()
    slow.go = anyio.Event()
    answers = cache(slow)
    sources: list[str] = []

    async def one() -> None:
        sources.append((await ask(answers))[1]["x-cache"])

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        slow.go.set()
    assert (slow.asked, set(sources)) == (1, {"MISS"})
    assert (await ask(answers))[1]["x-cache"] == "HIT"


async def test_an_answer_from_before_an_event_is_never_kept_after_it() -> None:
    slow = Slow()
    slow.go = anyio.Event()
    answers = cache(slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, answers)
        await anyio.wait_all_tasks_blocked()
        answers.forget("event")
        slow.body = b"second"
        later: list[bytes] = []

        async def asked_after_the_event() -> None:
            later.append((await ask(answers))[2])

        tasks.start_soon(asked_after_the_event)
        await anyio.wait_all_tasks_blocked()
        slow.go.set()
    assert (slow.asked, later) == (2, [b"second"])
    assert (await ask(answers))[2] == b"second"


async def test_who_writes_sees_it_with_the_next_request() -> None:
    """Before the database has told this process of it: nothing is told in this test."""
    answers = cache(slow := Slow(), Cacheable("/a", frozenset({"event"})), Cacheable("/list", frozenset({"services"})))
    for path in ("/a", "/list"):
        await ask(answers, path)
    slow.action, slow.status, slow.body = "incidents:write", 403, b"second"
    await ask(answers, method="PUT")
    assert (await ask(answers))[2] == b"first"  # nothing was changed
    slow.status = 200
    await ask(answers, method="PUT")
    assert ((await ask(answers))[2], (await ask(answers, "/list"))[2]) == (b"second", b"first")
    slow.action = "services:administer"
    await ask(answers, method="DELETE")
    assert (await ask(answers, "/list"))[2] == b"second"


@pytest.mark.parametrize("action", ["", "session:open", "drafts:write", "templates:write"])
async def test_what_changes_no_answer_ends_none(action: str) -> None:
    answers = cache(slow := Slow())
    await ask(answers)
    slow.action = action
    for method in ("OPTIONS", "POST"):
        await ask(answers, method=method)
        assert (await ask(answers))[1]["x-cache"] == "HIT"


@pytest.mark.one_engine
async def test_a_stranger_ends_no_answer(api: Api, db: Db) -> None:
    """Not by asking what they may ask either, which is answered with a success and counted by nobody."""
    await add_service(db, "shop")
    await until_heard(api, db)
    await api.http.get("/api/services")
    headers = {"Origin": "http://front.example", "Access-Control-Request-Method": "DELETE"}
    for method, path in (("OPTIONS", "/api/services/shop"), ("OPTIONS", "/services"), ("DELETE", "/api/services/shop")):
        assert (await api.http.request(method, path, headers=headers)).status_code in (204, 401)
        assert (await api.http.get("/api/services")).headers["x-cache"] == "HIT"


async def test_who_is_cancelled_leaves_the_work_to_the_next() -> None:
    slow = Slow()
    slow.go = anyio.Event()
    answers = cache(slow)
    got: list[bytes] = []

    async def patient() -> None:
        got.append((await ask(answers))[2])

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(ask, answers)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(patient)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        slow.go.set()
    assert got == [b"first"]


async def test_one_computation_is_counted_once_however_many_wait_for_it() -> None:
    slow, counting = Slow(), Counting()
    counting.go = anyio.Event()
    answers = cache(slow, admission=counting)
    told: list[dict[str, str]] = []

    async def one(client: str) -> None:
        told.append((await ask(answers, client=client))[1])

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, f"192.0.2.{number % 5}")
        await anyio.wait_all_tasks_blocked()
        counting.go.set()
    assert (slow.asked, len(counting.counted)) == (1, 1)
    assert {headers["x-cache"] for headers in told} == {"MISS"}
    assert [headers.get("ratelimit-remaining") for headers in told].count("7") == 1
    assert "ratelimit-remaining" not in (await ask(answers))[1]


async def test_the_refusal_of_one_client_is_not_that_of_those_who_wait_with_it() -> None:
    slow, counting = Slow(), Counting()
    slow.go, counting.go = anyio.Event(), anyio.Event()
    counting.over.add("192.0.2.66")
    answers = cache(slow, admission=counting)
    statuses: list[tuple[str, int]] = []

    async def one(client: str) -> None:
        statuses.append((client, (await ask(answers, client=client))[0]))

    async with anyio.create_task_group() as tasks:
        for client in ("192.0.2.66", "192.0.2.66", "192.0.2.1", "192.0.2.2"):
            tasks.start_soon(one, client)
            await anyio.wait_all_tasks_blocked()
        counting.go.set()
        await anyio.wait_all_tasks_blocked()
        slow.go.set()
    assert sorted(statuses) == [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.66", 429), ("192.0.2.66", 429)]
    assert (slow.asked, len(counting.counted)) == (1, 1)
    assert (await ask(answers, client="192.0.2.66"))[0] == 200  # from memory, which nobody counts


async def test_over_the_limit_what_is_in_memory_is_given_and_renewed_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow, counting = Slow(), Counting()
    answers = cache(slow, Cacheable("/a", EVERY_CHANGE, frozenset({"x"}), page=True), admission=counting)
    slow.body = b'<html data-snapshot="live">'
    await ask(answers)
    counting.over.add("192.0.2.1")
    answers.forget("event")
    status, headers, body = await ask(answers)
    assert (status, headers["x-cache"], headers["age"]) == (200, "STALE", "0")
    assert body == slow.body, "the database is not away"
    assert (await ask(answers, query=b"x=1"))[0] == 429, "what is not in memory"
    assert slow.asked == 1
    monkeypatch.setattr(responses, "AFTER_EVENT_S", 0.0)
    assert (await ask(answers))[1]["x-cache"] == "MISS"
    [kept] = [answer for _, answer in answers._memory.items()]
    kept.computed_at -= answers_module.MAX_AGE_S
    assert (await ask(answers))[1]["x-cache"] == "MISS"
    assert (slow.asked, counting.counted) == (3, ["192.0.2.1"])


async def test_a_change_of_a_service_locks_nobody_out() -> None:
    """It leaves no snapshot behind that could be given over the limit."""
    slow, counting = Slow(), Counting()
    answers = cache(slow, admission=counting)
    await ask(answers)
    counting.over.add("192.0.2.1")
    answers.forget("services")
    assert (await ask(answers))[1]["x-cache"] == "MISS"
    slow.status = 404
    answers.forget("services")
    assert [(await ask(answers))[0] for _ in range(2)] == [404, 429]


async def test_the_same_is_computed_about_once_a_second_whoever_asks() -> None:
    slow = Slow()
    answers = cache(slow)
    started = monotonic()
    while monotonic() - started < 2.5:
        slow.body = b"%d" % slow.asked
        answers.forget("event")
        assert (await ask(answers))[2] == slow.body, "who asks after an event never gets what was before it"
    assert slow.asked <= 6  # three at once, then one a second


async def test_new_checks_end_an_answer_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    answers_kept = cache(slow := Slow())
    for _ in range(20):
        answers_kept.forget("checks")
        await ask(answers_kept)
    assert slow.asked == 1
    monkeypatch.setattr(answers_module, "REST_S", 0.0)
    assert (await ask(answers_kept))[1]["x-cache"] == "MISS"


async def test_where_nothing_can_be_counted_the_last_snapshot_is_given_at_once() -> None:
    slow, counting = Slow(), Counting()
    answers = cache(slow, admission=counting)
    await ask(answers)
    answers.forget()
    counting.error = OperationalError()
    assert (await ask(answers))[1]["x-cache"] == "STALE"
    assert slow.asked == 1
    assert (await ask(answers, query=b"x=1"))[1]["x-cache"] == "MISS"


async def test_who_waits_for_a_silent_database_is_given_the_last_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The computation goes on meanwhile, for those who come after."""
    monkeypatch.setattr(responses, "STALE_AFTER_S", 0.05)
    answers = cache(slow := Slow())
    await ask(answers)
    answers.forget()
    slow.go, slow.body = anyio.Event(), b"second"
    async with anyio.create_task_group() as tasks:
        first = Given()
        tasks.start_soon(first.ask, answers)
        await first.given.wait()
        assert (await ask(answers))[1]["x-cache"] == "STALE"
        assert (first.source, slow.asked) == ("STALE", 2)
        slow.go.set()
    status, headers, body = await ask(answers)
    assert (status, headers["x-cache"], body, slow.asked) == (200, "HIT", b"second", 2)


async def test_who_has_no_snapshot_waits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "STALE_AFTER_S", 0.0)
    answers = cache(slow := Slow())
    slow.go = anyio.Event()
    bodies: list[bytes] = []

    async def one() -> None:
        bodies.append((await ask(answers))[2])

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        slow.go.set()
    assert (bodies, slow.asked) == ([b"first"] * 3, 1)


async def test_only_what_a_route_reads_makes_another_answer() -> None:
    slow = Slow()
    answers = cache(slow)
    for query in (b"", b"_=17", b"utm_source=x"):
        await ask(answers, query=query)
    assert slow.asked == 1
    for query in (b"x=1&y=2", b"y=2&x=1&z=9", b"y=2&x=%31"):
        await ask(answers, query=query)
    assert slow.asked == 2


async def test_changes_end_what_they_touch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers_module, "REST_S", 0.0)
    slow = Slow()
    names = Cacheable("/names", frozenset({"services"}))
    answers = cache(slow, names, Cacheable("/figures", EVERY_CHANGE))
    for path in ("/names", "/figures"):
        await ask(answers, path)
    answers.forget("checks")
    assert [(await ask(answers, path))[1]["x-cache"] for path in ("/names", "/figures")] == ["HIT", "MISS"]
    answers.forget("services")
    assert [(await ask(answers, path))[1]["x-cache"] for path in ("/names", "/figures")] == ["MISS", "MISS"]


async def test_memory_is_bounded() -> None:
    slow = Slow()
    answers = cache(slow, Cacheable("/many/", EVERY_CHANGE))
    for number in range(MAX_ENTRIES + 10):
        await ask(answers, f"/many/{number}")
    assert (await ask(answers, f"/many/{MAX_ENTRIES}"))[1]["x-cache"] == "HIT"
    assert (await ask(answers, "/many/0"))[1]["x-cache"] == "MISS"
    assert len(answers._memory) == MAX_ENTRIES


async def test_queries_that_anybody_can_make_up_drive_out_one_another_only() -> None:
    answers = cache(Slow(), Cacheable("/many/", EVERY_CHANGE, frozenset({"x"})))
    for path in ("/many/1", "/many/2"):
        await ask(answers, path)
    for number in range(MAX_QUERIES + 10):
        await ask(answers, "/many/1", f"x={number}".encode())
    assert len(answers._memory) == MAX_QUERIES + 2
    for path, query, source in (
        ("/many/1", b"", "HIT"),
        ("/many/2", b"", "HIT"),
        ("/many/1", f"x={MAX_QUERIES}".encode(), "HIT"),
        ("/many/1", b"x=0", "MISS"),
    ):
        assert (await ask(answers, path, query))[1]["x-cache"] == source, (path, query)


async def test_errors_are_given_but_not_kept() -> None:
    slow = Slow()
    slow.status, slow.body = 404, b"nothing"
    answers = cache(slow)
    for _ in range(2):
        assert (await ask(answers))[0] == 404
    assert slow.asked == 2


async def test_what_is_gone_leaves_no_snapshot_behind() -> None:
    slow = Slow()
    answers = cache(slow)
    await ask(answers)
    answers.forget()
    slow.status = 404
    assert (await ask(answers))[0] == 404
    slow.status, answers.database_away = 503, True
    assert (await ask(answers))[0] == 503
    assert answers._memory.bytes == 0


async def test_what_is_kept_is_counted_whatever_becomes_of_it() -> None:
    answers = cache(slow := Slow(), metrics=(metrics := Metrics()))

    def counted() -> tuple[float | None, bool]:
        figure = metrics.registry.get_sample_value
        return figure("sla_monitor_answer_cache_entries"), bool(figure("sla_monitor_answer_cache_bytes"))

    for query in (b"", b"x=1", b"x=2"):
        await ask(answers, query=query)
    assert counted() == (3, True)
    answers.forget()
    slow.status = 404
    await ask(answers, query=b"x=1")
    assert counted() == (2, True)
    answers.forget("services")
    assert counted() == (0, False)


async def test_over_http_hit_miss_and_not_modified(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    path = "/api/system-status"

    async def heard() -> bool:
        return len((await api.get(path))["services"]) == 1

    await until(heard)
    await api.get(path)
    first = await api.http.get(path)
    assert first.headers["x-cache"] == "HIT"
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    for asked in (etag, f'"other", W/{etag}', "*"):
        same = await api.http.get(path, headers={"if-none-match": asked})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert (await api.http.get(path, headers={"if-none-match": '"other"'})).status_code == 200
    await record(db, [Check("shop", now())])

    async def changed() -> bool:
        return (await api.http.get(path, headers={"if-none-match": etag})).status_code == 200

    await until(changed)  # whose patience ends long before it is too old
    assert (await api.http.get(path)).headers["etag"] != etag


@pytest.mark.one_engine
async def test_the_last_snapshot_is_served_while_the_database_is_away(database: str, db: Db) -> None:
    await add_service(db, "shop")
    async with relay_before(database) as relay, running_api(relay.url) as api:
        before = await api.http.get("/api/system-status")
        relay.cut()

        async def stale() -> bool:
            return (await api.http.get("/api/system-status")).headers["x-cache"] == "STALE"

        await until(stale)
        answer = await api.http.get("/api/system-status")
        assert (answer.status_code, answer.content) == (200, before.content)
        assert int(answer.headers["age"]) >= 0
        started = monotonic()
        for _ in range(20):
            assert (await api.http.get("/api/system-status")).headers["x-cache"] == "STALE"
        assert monotonic() - started < 15  # none waits for the database
        never_asked = await api.http.get("/api/uptime/shop")
        assert (never_asked.status_code, never_asked.json()["code"]) == (503, "SERVER_ERROR")
        assert int(never_asked.headers["retry-after"]) > 0
        assert (await api.http.get("/health")).status_code == 200
        ready = await api.http.get("/ready")
        assert ready.status_code == 503
        assert {problem["field"] for problem in ready.json()["details"]} == {"database", "feed"}

        await db.execute("UPDATE services SET name = 'Renamed'")
        relay.restore()
        await api.ready()

        async def renamed() -> bool:
            answer = await api.http.get("/api/system-status")
            return answer.headers["x-cache"] != "STALE" and answer.json()["services"][0]["name"] == "Renamed"

        await until(renamed)


@pytest.mark.one_engine
async def test_who_waits_while_the_database_is_silent_is_given_the_last_snapshot(database: str, db: Db) -> None:
    """Long before the silence counts as an outage."""
    async with relay_before(database) as relay, running_api(relay.url) as api:
        before = await api.http.get("/api/system-status")
        await until_heard(api, db)  # which ends it
        relay.silence()
        started = monotonic()
        for most_s in (4.5, 6):
            answer = await api.http.get("/api/system-status")
            assert (answer.status_code, answer.headers["x-cache"]) == (200, "STALE")
            assert answer.json()["services"] == before.json()["services"]
            assert monotonic() - started < most_s
        relay.restore()


@pytest.mark.one_engine
async def test_killed_connections_cost_nobody_an_answer(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    headers = (await someone(db, "admin")).headers
    for _ in range(3):
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert (await api.http.get("/api/services?details=true", headers=headers)).status_code == 200
        assert (await api.http.patch("/api/services/shop", json={"name": "X"}, headers=headers)).status_code == 200
