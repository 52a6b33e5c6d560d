"""Events reach every client of every process after COMMIT, in order and each once."""

from datetime import timedelta
from time import monotonic
from typing import Any

import psycopg
import pytest

import sql
from api.live import feed
from api.live.events import MAX_SEQ, PUBLIC_STEP
from tests.api.conftest import Api, Check, add_service, midday, now, record, running_api, until
from tests.api.feed_clients import STATES, frame, joined, set_state
from tests.worker.working import working

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def test_changes_by_sql_reach_every_client_of_two_processes_once_in_order(database: str, db: Db) -> None:
    await add_service(db, "shop")
    states = [STATES[n % 5] for n in range(25)]
    async with (
        running_api(database) as first,
        running_api(database) as second,
        joined(first) as one,
        joined(first) as two,
        joined(second) as three,
    ):
        for state in states:
            await set_state(db, "shop", state)
        received = [[await frame(socket) for _ in states] for socket in (one, two, three)]
    assert received[0] == received[1] == received[2]
    assert [event["data"]["status"] for event in received[0]] == states
    assert {event["event"] for event in received[0]} == {"status-update"}
    assert set(received[0][0]["data"]) == {"serviceId", "status", "timestamp"}
    seqs = [event["seq"] for event in received[0]]
    assert seqs == sorted(set(seqs))


async def test_a_changed_name_invalidates_responses_of_two_processes(database: str, db: Db) -> None:
    await add_service(db, "shop")
    async with running_api(database) as first, running_api(database) as second:
        for api in (first, second):
            await api.get("/api/services")
        await db.execute("UPDATE services SET name = 'Renamed'")
        for api in (first, second):

            async def renamed(api: Api = api) -> bool:
                return bool((await api.get("/api/services"))["services"][1]["name"] == "Renamed")

            await until(renamed)


async def test_a_request_after_an_event_gets_the_new_response(
    database: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request waits at most for the pause between two computations of one response, not for the next poll."""
    monkeypatch.setattr(feed, "POLL_S", 4.0)
    await add_service(db, "shop")
    async with running_api(database) as api, joined(api) as socket:
        delays = []
        for number in range(10):
            await api.get("/api/system-status")
            state = STATES[number % 4]  # not `maintenance`: there is no maintenance window
            started = monotonic()
            await set_state(db, "shop", state)
            assert (await frame(socket))["data"]["status"] == state
            assert (await api.get("/api/system-status"))["services"][0]["status"] == state
            delays.append(monotonic() - started)
    assert sorted(delays)[len(delays) // 2] < feed.POLL_S / 2


@pytest.mark.engines("timescaledb", "postgresql")
async def test_recorded_checks_reach_both_rooms(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await add_service(db, "private", public=False)
    zone = await midday(db)
    at = now() - timedelta(minutes=1)
    async with joined(api) as socket:
        await record(db, [Check("shop", at, ms=None), Check("private", at, ms=None)])
        events = [await frame(socket) for _ in range(2)]
        by_name = {event["event"]: event["data"] for event in events}
        assert by_name["status-update"]["serviceId"] == by_name["uptime-updated"]["serviceId"] == "shop"
        assert by_name["uptime-updated"] == {
            "serviceId": "shop",
            "date": at.astimezone(zone).date().isoformat(),
            "status": "mo",
        }
        await set_state(db, "private", "degraded")
        await set_state(db, "shop", "maintenance")
        assert (await frame(socket))["data"]["serviceId"] == "shop"


async def test_events_are_read_in_pages(db: Db) -> None:
    for room in ("uptime", None, "staff", "uptime", "uptime"):
        await db.execute("SELECT append_event('e', %s, jsonb_build_object('pad', repeat('x', 1000)))", [room])

    async def page(**values: Any) -> list[Any]:
        parameters = {
            "after": 0,
            "upto": MAX_SEQ,
            "limit": 100,
            "bytes": 10**6,
            "rooms": None,
            "everyone": True,
        } | values
        rows = await (await db.execute(sql.query("events/between"), parameters)).fetchall()
        return [row[0] / PUBLIC_STEP for row in rows]

    internal = 2 + 1 / PUBLIC_STEP
    assert await page() == [1, 2, internal, 3, 4]
    assert await page(limit=2) == [1, 2]
    assert await page(bytes=1500) == [1, 2]
    assert await page(bytes=1) == [1]
    assert await page(upto=2 * PUBLIC_STEP) == [1, 2]
    assert await page(rooms=["uptime"]) == [1, 2, 3, 4]
    assert await page(rooms=["uptime"], everyone=False) == [1, 3, 4]
    assert await page(rooms=[]) == [2]


@pytest.mark.engines("timescaledb", "postgresql")
async def test_a_service_whose_checks_stopped_becomes_unknown(database: str, api: Api, db: Db) -> None:
    await add_service(db, "shop", interval_seconds=1, timeout_ms=1000, degraded_after_ms=500)
    await record(db, [Check("shop", now() - timedelta(seconds=61), interval_s=1)])
    async with joined(api, "?rooms=system-status") as socket, working(database, "expiry"):
        states = []
        while "unknown" not in states:
            states.append((await frame(socket))["data"]["status"])
    assert (await api.get("/api/system-status"))["services"][0]["status"] == "unknown"


async def test_the_metrics_of_the_feed(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    async with joined(api) as socket:
        await set_state(db, "shop", "outage")
        seq = (await frame(socket))["seq"]
        text = (await api.http.get("/metrics")).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["sla_monitor_event_seq"]) == seq
    assert float(values["sla_monitor_feed_alive"]) == 1
    assert float(values['sla_monitor_sockets{transport="ws"}']) == 1
    assert 0 <= float(values["sla_monitor_feed_lag_seconds"]) < 5
    assert 'sla_monitor_requests_total{method="GET",route="/ready",status="200"}' in values
