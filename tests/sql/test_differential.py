"""Both engines record the same rows, some of them late, repeated and out of order. Their relations must be equal, and
equal to the figures that Python computes from the rows."""

import math
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from psycopg.rows import TupleRow

from sla_monitor.settings import Settings
from sql.aggregates import refresh
from sql.migrate import migrate
from tests.sql.batches import (
    AGGREGATES,
    Connection,
    Row,
    add_locations,
    add_services,
    connected,
    fetch,
    now,
    outages,
    record,
    state,
)
from tests.sql.histories import (
    INTERVAL_S,
    LOCATIONS,
    SERVICES,
    ZONES,
    Figures,
    StateHistory,
    batches,
    clock_changes,
    day_start,
    figures,
    history,
    phases,
    state_history,
)

RELATIONS = {
    **dict.fromkeys(AGGREGATES, "*"),
    "service_days": "*",
    "service_status": "*",
    "watch_server_logs": "*",
    "api_response_times": "*",
    "uptime_records": "*",
    # updated_at is the current time for the running day
    "api_call_logs": "id, service_id, date, total_calls, success_calls, error_calls, avg_response_time, "
    "max_response_time, min_response_time, created_at",
    "checks": "*",
    "outages": "*",
    "service_states": "*",
    "latest_checks": "*",
    "announced_days": "*",
}
FIGURES = ", ".join(Figures._fields)


class Recorded(NamedTuple):
    """A database of each engine, the recorded rows, and the reporting time zone."""

    engines: Mapping[str, Connection]
    rows: Sequence[Row]
    zone: str


@pytest.fixture(params=ZONES)
async def recorded(request: pytest.FixtureRequest, databases: dict[str, str]) -> AsyncIterator[Recorded]:
    zone = str(request.param)
    rng = random.Random(f"differential {zone}")
    rows = history(zone, rng)
    runs = batches(rows, rng)
    async with AsyncExitStack() as stack:
        engines = {}
        for name, url in databases.items():
            await migrate(url, Settings(time_zone=zone))
            engines[name] = await stack.enter_async_context(connected(url))
            await add_locations(engines[name], *LOCATIONS)
            await add_services(engines[name], *SERVICES)
        for number, run in enumerate(runs):
            results = {await record(connection, run) for connection in engines.values()}
            assert len(results) == 1, "the engines returned different counts"
            if number in (1, len(runs) // 2):
                assert all([await refresh(connection) for connection in engines.values()])
        for connection in engines.values():
            assert await refresh(connection)
            await fetch(connection, "SELECT expire_states()")
        yield Recorded(engines, rows, zone)


async def rows_of(connection: Connection, relation: str) -> list[TupleRow]:
    return sorted(await fetch(connection, f"SELECT {RELATIONS[relation]} FROM {relation}"), key=repr)


async def test_the_engines_agree_with_each_other_and_with_the_rows(recorded: Recorded) -> None:
    """One test for all relations, because recording takes most of the time."""
    for connection in recorded.engines.values():
        await assert_aggregates_equal_the_rows(recorded, connection)
        await assert_days_of_services_equal_the_rows(recorded, connection)
        await assert_full_days_have_their_length(recorded, connection)
        await assert_percentiles_are_close(recorded, connection)
        await assert_phases_equal_the_rows(recorded, connection)
        await assert_certificates_are_of_the_latest_checks(recorded, connection)
        await assert_outages_equal_the_rows(recorded, connection)
    if len(recorded.engines) < 2:
        pytest.skip(f"ONLY ONE ENGINE FOUND ({', '.join(recorded.engines)}): THE TWO WERE NOT COMPARED")
    one, other = recorded.engines.values()
    for relation in RELATIONS:
        found, expected = await rows_of(one, relation), await rows_of(other, relation)
        assert found, relation
        assert found == expected, relation


async def assert_aggregates_equal_the_rows(recorded: Recorded, connection: Connection) -> None:
    for relation, bucket in (("checks_15m", "quarter"), ("checks_hourly", "hour"), ("checks_daily", "day")):
        found = await fetch(connection, f"SELECT bucket, service_id, location, {FIGURES} FROM {relation}")
        assert {tuple(key): Figures(*rest) for *key, rest in ((*one[:3], one[3:]) for one in found)} == figures(
            recorded.rows, bucket, recorded.zone
        ), relation
    for relation in ("checks_15m", "checks_hourly", "checks_daily"):
        assert await fetch(
            connection,
            f"SELECT sum(checks), sum(down_seconds), sum(covered_seconds), sum(sum_ms) FROM {relation}",
        ) == await fetch(
            connection,
            "SELECT count(*), sum(interval_seconds) FILTER (WHERE NOT success), sum(interval_seconds), "
            "sum(total_ms::float8) FILTER (WHERE success) FROM checks",
        ), relation


async def assert_days_of_services_equal_the_rows(recorded: Recorded, connection: Connection) -> None:
    days = defaultdict(list)
    for (starts_at, service, _), one in figures(recorded.rows, "day", recorded.zone).items():
        days[service, starts_at.astimezone(ZoneInfo(recorded.zone)).date(), starts_at].append(one)
    expected = {
        key: (
            sum(one.checks for one in locations),
            sum(one.failed for one in locations),
            max((one.worst for one in locations), key=("o", "po", "mo").index),
            sum(one.covered_seconds for one in locations),
            sum(one.down_seconds for one in locations),
            sum(one.sum_ms for one in locations),
        )
        for key, locations in days.items()
    }
    found = await fetch(
        connection,
        "SELECT service_id, day, starts_at, checks, failed, status, covered_seconds, down_seconds, sum_ms "
        "FROM service_days",
    )
    assert {(service, day, starts_at): tuple(rest) for service, day, starts_at, *rest in found} == expected


async def assert_full_days_have_their_length(recorded: Recorded, connection: Connection) -> None:
    """The covered seconds and the slots without a check add up to the 23, 24 or 25 hours of the day."""
    for change in clock_changes(recorded.zone):
        day = change.astimezone(ZoneInfo(recorded.zone)).date()
        start, end = day_start(day, recorded.zone), day_start(day + timedelta(days=1), recorded.zone)
        slots = int((end - start).total_seconds()) // INTERVAL_S
        for location in LOCATIONS:
            [(checks, covered)] = await fetch(
                connection,
                "SELECT checks, covered_seconds FROM checks_daily "
                "WHERE service_id = 'web' AND location = %s AND bucket = %s",
                (location, start),
            )
            assert covered == checks * INTERVAL_S
            assert 0.85 * slots < checks <= slots


async def assert_percentiles_are_close(recorded: Recorded, connection: Connection) -> None:
    """Percentiles from the bins of all days together are within 2 %."""
    for relation in ("latency_15m", "latency_hourly", "latency_daily"):
        for service in SERVICES:
            times = sorted(
                one.total_ms for one in recorded.rows if one.service_id == service and one.success and one.total_ms
            )
            bins = await fetch(
                connection,
                f"SELECT bin, sum(checks)::bigint FROM {relation} WHERE service_id = %s GROUP BY 1 ORDER BY 1",
                (service,),
            )
            assert sum(count for _, count in bins) == len(times)
            for percent in (0, 50, 95, 99, 100):
                rank = max(1, math.ceil(len(times) * percent / 100))
                assert middle_of_bin(bins, rank) == pytest.approx(times[rank - 1], rel=0.02), relation


def middle_of_bin(bins: Sequence[TupleRow], rank: int) -> float:
    counted = 0
    for number, count in bins:
        counted += count
        if counted >= rank:
            return float(1.04 ** (number - 0.5))
    raise AssertionError("the bins hold fewer checks than the rows")


async def assert_phases_equal_the_rows(recorded: Recorded, connection: Connection) -> None:
    for relation, bucket in (("phases_15m", "quarter"), ("phases_hourly", "hour"), ("phases_daily", "day")):
        found = await fetch(
            connection,
            "SELECT bucket, service_id, location, checks, sum_ms, sum_dns_ms, sum_connect_ms, sum_tls_ms, "
            f"sum_first_byte_ms FROM {relation}",
        )
        assert {(at, service, location): tuple(sums) for at, service, location, *sums in found} == phases(
            recorded.rows, bucket, recorded.zone
        ), relation


async def assert_certificates_are_of_the_latest_checks(recorded: Recorded, connection: Connection) -> None:
    """The order of recording has no effect."""
    last: dict[tuple[str | None, str | None], Row] = {}
    for one in sorted(recorded.rows, key=lambda one: one.scheduled_at or now()):
        if one.certificate_expires_at is not None:
            last[one.service_id, one.location] = one
    found = await fetch(
        connection,
        "SELECT service_id, location, certificate_expires_at, certificate_issuer, certificate_seen_at "
        "FROM latest_checks",
    )
    assert {(service, location): tuple(rest) for service, location, *rest in found} == {
        key: (one.certificate_expires_at, one.certificate_issuer, one.scheduled_at) for key, one in last.items()
    }


async def assert_outages_equal_the_rows(recorded: Recorded, connection: Connection) -> None:
    for service in SERVICES:
        expected = state_history((one for one in recorded.rows if one.service_id == service), now())
        assert StateHistory(await outages(connection, service), (await state(connection, service))[0]) == expected
