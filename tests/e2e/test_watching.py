"""`sla-monitor up` checks twelve services: the rows, the aggregates, REST and the feed have the expected values.

The tests of this module share one program per engine. It uses the database of DATABASE_URL.
"""

import re
import time

import pytest

from tests.e2e.feed import listening
from tests.e2e.watch import Watch, counted, shared_database, watch
from tests.e2e.watched import EXPECTED_CHECKS, SLOW_S, STATES, service, services_toml
from tests.prober.targets import good, serving

__all__ = ["counted", "shared_database", "watch"]


# The rows


@pytest.mark.parametrize("service_id", EXPECTED_CHECKS)
async def test_each_row_has_the_result_of_its_target(watch: Watch, service_id: str) -> None:
    expected = EXPECTED_CHECKS[service_id]
    rows = await watch.fetch(
        "SELECT DISTINCT is_success, status_code, error_type, error_message FROM watch_server_logs "
        "WHERE service_id = %s",
        service_id,
    )
    found = {(row["is_success"], row["status_code"], row["error_type"]) for row in rows}
    assert found == {(expected.severity != "mo", expected.status_code, expected.error_type)}
    for row in rows:
        assert expected.message in (row["error_message"] or ""), row


async def test_each_row_has_the_duration_of_each_phase(watch: Watch) -> None:
    rows = await watch.fetch(
        "SELECT service_id, count(*) AS checks, count(connect_ms) AS connect, count(tls_ms) AS tls, "
        "count(first_byte_ms) AS first_byte, min(total_ms) AS shortest, max(attempts) AS attempts "
        "FROM checks GROUP BY 1"
    )
    phases = {
        row["service_id"]: {name for name in ("connect", "tls", "first_byte") if row[name] == row["checks"]}
        for row in rows
    }
    assert phases["good"] == {"connect", "first_byte"}
    assert phases["tls-good"] == {"connect", "tls", "first_byte"}
    assert phases["hanging"] == {"connect"}
    assert phases["refusing"] == phases["dead-name"] == set()
    shortest = {row["service_id"]: row["shortest"] for row in rows}
    assert shortest["slow"] >= SLOW_S * 1000
    assert shortest["hanging"] >= 390
    assert {row["attempts"] for row in rows} == {1}


async def test_the_start_of_the_program_is_no_outage(watch: Watch) -> None:
    assert await watch.fetch("SELECT * FROM outages WHERE service_id = 'sla-monitor'") == []


async def test_all_rows_of_a_service_are_on_one_grid(watch: Watch) -> None:
    """Also the rows of checks that took longer than their interval and cover several slots."""
    rows = await watch.fetch(
        "SELECT service_id, count(DISTINCT extract(epoch FROM scheduled_at)::numeric %% services.interval_seconds) "
        "AS phases FROM checks JOIN services ON services.id = service_id GROUP BY 1"
    )
    assert {row["phases"] for row in rows} == {1}


# The aggregates, and the same figures in REST


async def test_the_aggregates_count_every_row(watch: Watch) -> None:
    different = await watch.fetch(
        """
        WITH counted AS (
            SELECT service_id, location, count(*), count(*) FILTER (WHERE severity = 'o'),
                   count(*) FILTER (WHERE severity = 'po'), count(*) FILTER (WHERE severity = 'mo'), max(severity),
                   count(total_ms) FILTER (WHERE success), min(total_ms) FILTER (WHERE success),
                   max(total_ms) FILTER (WHERE success)
            FROM checks GROUP BY 1, 2
        ), aggregated AS (
            SELECT service_id, location, sum(checks)::bigint, sum(operational)::bigint, sum(degraded)::bigint,
                   sum(failed)::bigint, max(worst), sum(good)::bigint, min(min_ms), max(max_ms)
            FROM checks_daily GROUP BY 1, 2
        )
        (TABLE counted EXCEPT TABLE aggregated) UNION ALL (TABLE aggregated EXCEPT TABLE counted)
        """
    )
    assert different == []
    binned = await watch.fetch(
        "SELECT (SELECT sum(checks) FROM latency_daily) AS binned, (SELECT sum(good) FROM checks_daily) AS good"
    )
    assert binned[0]["binned"] == binned[0]["good"] > 0


@pytest.mark.parametrize("service_id", EXPECTED_CHECKS)
async def test_the_day_of_a_service_is_the_same_in_the_view_and_in_rest(watch: Watch, service_id: str) -> None:
    severity = EXPECTED_CHECKS[service_id].severity
    percent = "0.00" if severity == "mo" else "100.00"
    records = await watch.fetch(
        "SELECT DISTINCT status, uptime::text FROM uptime_records WHERE service_id = %s", service_id
    )
    assert records == [{"status": severity, "uptime": percent}]
    shown = {one["id"]: one for one in (await watch.program.get("/api/system-status"))["services"]}[service_id]
    assert (shown["status"], shown["uptime"]) == (STATES[severity], percent)
    assert len(shown["uptimeData"]) == 90
    assert set(shown["uptimeData"][:-2]) == {"nd"}
    assert shown["uptimeData"][-1] == severity
    calendar = await watch.program.get(f"/api/uptime/{service_id}?months=1")
    assert calendar["service"] == {"id": service_id, "name": service_id.title()}
    [month] = calendar["months"]
    today = month["details"][-1]
    assert (today["status"], today["uptime"], month["uptime"]) == (severity, percent, percent)
    assert today["incidents"] == 0  # an outage is no incident
    assert (today["downtimeSeconds"] > 0) == (severity == "mo")


# REST


async def test_system_status_has_all_services(watch: Watch) -> None:
    status = await watch.program.get("/api/system-status")
    assert status["overallStatus"] == "outage"
    states = {one["id"]: one["status"] for one in status["services"]}
    assert {service_id: states.pop(service_id) for service_id in EXPECTED_CHECKS} == {
        service_id: STATES[expected_check.severity] for service_id, expected_check in EXPECTED_CHECKS.items()
    }
    assert states.pop("sla-monitor") == "operational"
    assert states == dict.fromkeys(
        ("id-recognition", "face-liveness", "id-liveness", "face-compare", "curp-verifier"), "unknown"
    )


async def test_the_calendar_of_all_systems_has_the_worst_status(watch: Watch) -> None:
    calendar = await watch.program.get("/api/uptime/all-systems?months=2")
    today = calendar["months"][-1]["details"][-1]
    assert today["status"] == "mo"
    assert today["incidents"] == 0
    assert 0 < float(today["uptime"]) < 100


async def test_response_times_are_those_of_the_rows(watch: Watch) -> None:
    slow = await watch.program.get("/api/response-times/slow")
    assert slow["count"] >= 2
    assert slow["errors"] == 0
    assert SLOW_S * 1000 <= slow["min"] <= slow["p50"] <= slow["p95"] <= slow["p99"] <= slow["max"]
    assert sum(point["count"] for point in slow["series"]) == slow["count"]
    failing = await watch.program.get("/api/response-times/server-error")
    assert failing["errors"] == failing["count"] >= 2
    assert failing["p50"] is None


async def test_services_are_pairs_of_id_and_name_unless_details_are_requested(watch: Watch) -> None:
    services = (await watch.program.get("/api/services"))["services"]
    assert services[0] == {"id": "all-systems", "name": "All Systems"}
    assert {"id": "slow", "name": "Slow"} in services
    details = (await watch.program.get("/api/services?details=true"))["services"]
    hanging = next(one for one in details if one["id"] == "hanging")
    assert (hanging["timeoutMs"], hanging["intervalSeconds"], hanging["verifyTls"]) == (400, 1, True)
    again = await watch.program.api.get("/api/services")
    assert "X-Cache" not in again.headers
    unchanged = await watch.program.api.get("/api/services", headers={"If-None-Match": again.headers["ETag"]})
    assert unchanged.status_code == 304


async def test_an_invalid_service_is_refused_with_its_field_and_not_stored(watch: Watch) -> None:
    api = watch.program.api
    refused = await api.post("/api/services", json=service("hasty", "http://127.0.0.1/", intervalSeconds=0))
    assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION_ERROR")
    assert refused.json()["details"][0]["field"] == "intervalSeconds"
    assert (await api.get("/api/services/hasty")).json()["code"] == "NOT_FOUND"
    unknown = await api.get("/api/uptime/hasty")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NOT_FOUND")
    from_file = await api.patch("/api/services/good", json={"name": "Better"})
    assert (from_file.status_code, from_file.json()["code"]) == (409, "CONFLICT")
    assert "services.toml" in from_file.json()["error"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_api_and_prober_serve_health_ready_and_metrics(watch: Watch, path: str) -> None:
    for part in (watch.program.api, watch.program.prober):
        response = await part.get(path)
        assert response.status_code == 200
        assert response.text
    if path == "/metrics":
        assert await watch.program.metric('sla_prober_checks_total{severity="mo"}') > 0
        assert await watch.program.metric("sla_prober_services_unusable") == 0
        assert "sla_monitor_feed_alive 1.0" in (await watch.program.api.get(path)).text


async def test_the_documentation_loads_nothing_from_other_hosts(watch: Watch) -> None:
    described = await watch.program.get("/openapi.json")
    assert {"/api/system-status", "/api/uptime/{service_id}", "/api/services"} <= set(described["paths"])
    page = await watch.program.api.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text


# The feed


async def test_a_killed_target_is_an_outage_within_two_intervals(watch: Watch) -> None:
    interval_s = 4
    async with listening(watch.program.ws_url) as feed:
        await feed.join("system-status", "uptime")
        async with serving(good()) as port:
            await watch.add(service("mortal", f"http://127.0.0.1:{port}/", intervalSeconds=interval_s))
            await feed.wait_for("status-update", "mortal", "operational")
        killed = time.monotonic()
        await feed.wait_for("status-update", "mortal", "outage")
        assert time.monotonic() - killed < 2 * interval_s
        # A request after the frame gets the new state.
        assert (await watch.program.states())["mortal"] == "outage"
        async with serving(good(), port=port):
            await feed.wait_for("status-update", "mortal", "operational")
            assert (await watch.program.states())["mortal"] == "operational"
    states = [frame["data"]["status"] for frame in feed.received("status-update", "mortal")]
    assert states == ["operational", "outage", "operational"]
    days = [frame["data"] for frame in feed.received("uptime-updated", "mortal")]
    assert [day["status"] for day in days] == ["o", "mo"]

    first = feed.frames[0]["seq"]
    async with listening(watch.program.ws_url, since=first, rooms="system-status,uptime") as again:
        while sum(frame["event"] == "joined" for frame in again.frames) < 2:
            await again.next()
    for event in ("status-update", "uptime-updated"):
        assert again.received(event, "mortal") == feed.received(event, "mortal")

    outages = await watch.fetch("SELECT ended_at > started_at AS over FROM outages WHERE service_id = 'mortal'")
    assert outages == [{"over": True}]
    assert (await watch.program.api.delete("/api/services/mortal")).status_code == 204


async def test_a_reconnected_client_receives_missed_events(watch: Watch) -> None:
    async with serving(good()) as port, listening(watch.program.ws_url) as feed:
        await feed.join("system-status")
        await watch.add(service("missed", f"http://127.0.0.1:{port}/"))
        last = await feed.wait_for("status-update", "missed", "operational")

    async def has_outage() -> bool:
        return (await watch.program.states())["missed"] == "outage"

    await watch.program.until(has_outage)
    async with listening(watch.program.ws_url, since=last["seq"], rooms="system-status") as feed:
        outage = await feed.wait_for("status-update", "missed", "outage")
        assert outage["seq"] > last["seq"]
        async with serving(good(), port=port):
            back = await feed.wait_for("status-update", "missed", "operational")
        assert back["seq"] > outage["seq"]
    assert (await watch.program.api.delete("/api/services/missed")).status_code == 204


# services.toml


@pytest.mark.one_engine
async def test_a_changed_services_toml_is_applied_unless_it_is_invalid(watch: Watch) -> None:
    late = service("latecomer", watch.declared[0]["endpointUrl"])
    watch.services_file.write_text(services_toml([*watch.declared, {**late, "intervalSeconds": 0}]))
    await watch.program.wait_for_output(r"services\.toml: service 'latecomer': intervalSeconds: ")
    watch.services_file.write_text(services_toml([*watch.declared, late]))

    async def is_checked() -> bool:
        return (await watch.program.states()).get("latecomer") == "operational"

    await watch.program.until(is_checked)
    watch.services_file.write_text(services_toml(watch.declared))

    async def is_paused() -> bool:
        paused: bool = not (await watch.program.get("/api/services/latecomer"))["enabled"]
        return paused

    await watch.program.until(is_paused)
    assert (await watch.program.api.delete("/api/services/latecomer")).status_code == 204


# Service levels, at the end: a policy changes what other pages link to


async def test_a_policy_puts_its_service_on_the_page_of_service_levels(watch: Watch) -> None:
    policy = {"scope": "service", "subject": "server-error", "name": "Gold", "target": 99.9, "validFrom": "2000-01-01"}
    response = await watch.program.api.post("/api/sla/policies", json=policy)
    assert response.status_code == 201, response.text

    async def is_shown() -> bool:
        page = await watch.program.api.get("/sla", headers={"Accept": "text/html"})
        return re.search(r'data-service="server-error".*?>0\.00%<', page.text, re.DOTALL) is not None

    await watch.program.until(is_shown)
    level = await watch.program.get("/api/sla/services/server-error")
    assert (level["uptime"], level["verdict"]) == ("0.00", "missed")
