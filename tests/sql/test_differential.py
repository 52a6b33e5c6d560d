"""Both engines are given the same rows, late, repeated and out of order, and must give the same answers; and these must
be the ones that are computed from the rows without SQL."""

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
    ask,
    connected,
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
    Story,
    batches,
    clock_changes,
    day_start,
    figures,
    history,
    phases,
    story,
)

RELATIONS = {
    **dict.fromkeys(AGGREGATES, "*"),
    "service_days": "*",
    "service_status": "*",
    "watch_server_logs": "*",
    "api_response_times": "*",
    "uptime_records": "*",
    # updated_at is now() for the running day
    "api_call_logs": "id, service_id, date, total_calls, success_calls, error_calls, avg_response_time, "
    "max_response_time, min_response_time, created_at",
    "checks": "*",
    "outages": "*",
    "service_states": "*",
    "latest_checks": "*",
    "announced_days": "*",
}
FIGURES = ", ".join(Figures._fields)


class Fed(NamedTuple):
    """A database of each engine, the rows both were given, and the zone whose days they count."""

    engines: Mapping[str, Connection]
    rows: Sequence[Row]
    zone: str


@pytest.fixture(params=ZONES)
async def fed(request: pytest.FixtureRequest, databases: dict[str, str]) -> AsyncIterator[Fed]:
    zone = str(request.param)
    dice = random.Random(f"differential {zone}")
    rows = history(zone, dice)
    runs = batches(rows, dice)
    async with AsyncExitStack() as stack:
        engines = {}
        for name, url in databases.items():
            await migrate(url, Settings(time_zone=zone))
            engines[name] = await stack.enter_async_context(connected(url))
            await add_locations(engines[name], *LOCATIONS)
            await add_services(engines[name], *SERVICES)
        for number, run in enumerate(runs):
            told = {await record(connection, run) for connection in engines.values()}
            assert len(told) == 1, "the engines counted differently"
            if number in (1, len(runs) // 2):
                assert all([await refresh(connection) for connection in engines.values()])
        for connection in engines.values():
            assert await refresh(connection)
            await ask(connection, "SELECT expire_states()")
        yield Fed(engines, rows, zone)


async def everything(connection: Connection, relation: str) -> list[TupleRow]:
    return sorted(await ask(connection, f"SELECT {RELATIONS[relation]} FROM {relation}"), key=repr)


async def test_the_engines_agree_with_each_other_and_with_the_rows(fed: Fed) -> None:
    """One test for all questions, since feeding takes the time."""
    for connection in fed.engines.values():
        await aggregates_are_those_of_the_rows(fed, connection)
        await days_of_services_are_those_of_the_rows(fed, connection)
        await full_days_have_their_true_length(fed, connection)
        await percentiles_are_close(fed, connection)
        await phases_are_those_of_the_rows(fed, connection)
        await certificates_are_the_last_ones_seen(fed, connection)
        await outages_are_those_of_the_rows(fed, connection)
    if len(fed.engines) < 2:
        pytest.skip(f"ONLY ONE ENGINE FOUND ({', '.join(fed.engines)}): THE TWO WERE NOT COMPARED")
    one, other = fed.engines.values()
    for relation in RELATIONS:
        found, expected = await everything(one, relation), await everything(other, relation)
        assert found, relation
        assert found == expected, relation


async def aggregates_are_those_of_the_rows(fed: Fed, connection: Connection) -> None:
    for relation, bucket in (("checks_15m", "quarter"), ("checks_hourly", "hour"), ("checks_daily", "day")):
        found = await ask(connection, f"SELECT bucket, service_id, location, {FIGURES} FROM {relation}")
        assert {tuple(key): Figures(*rest) for *key, rest in ((*one[:3], one[3:]) for one in found)} == figures(
            fed.rows, bucket, fed.zone
        ), relation
    for relation in ("checks_15m", "checks_hourly", "checks_daily"):
        assert await ask(
            connection,
            f"SELECT sum(checks), sum(down_seconds), sum(covered_seconds), sum(sum_ms) FROM {relation}",
        ) == await ask(
            connection,
            "SELECT count(*), sum(interval_seconds) FILTER (WHERE NOT success), sum(interval_seconds), "
            "sum(total_ms::float8) FILTER (WHERE success) FROM checks",
        ), relation


async def days_of_services_are_those_of_the_rows(fed: Fed, connection: Connection) -> None:
    days = defaultdict(list)
    for (starts_at, service, _), one in figures(fed.rows, "day", fed.zone).items():
        days[service, starts_at.astimezone(ZoneInfo(fed.zone)).date(), starts_at].append(one)
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
    found = await ask(
        connection,
        "SELECT service_id, day, starts_at, checks, failed, status, covered_seconds, down_seconds, sum_ms "
        "FROM service_days",
    )
    assert {(service, day, starts_at): tuple(rest) for service, day, starts_at, *rest in found} == expected


async def full_days_have_their_true_length(fed: Fed, connection: Connection) -> None:
    """The seconds covered and those not covered by a missing check are together the 23, 24 or 25 hours of the day."""
    for turned in clock_changes(fed.zone):
        day = turned.astimezone(ZoneInfo(fed.zone)).date()
        start, end = day_start(day, fed.zone), day_start(day + timedelta(days=1), fed.zone)
        slots = int((end - start).total_seconds()) // INTERVAL_S
        for location in LOCATIONS:
            [(checks, covered)] = await ask(
                connection,
                "SELECT checks, covered_seconds FROM checks_daily "
                "WHERE service_id = 'web' AND location = %s AND bucket = %s",
                (location, start),
            )
            assert covered == checks * INTERVAL_S
            assert 0.85 * slots < checks <= slots


async def percentiles_are_close(fed: Fed, connection: Connection) -> None:
    """Within 2 %, from the bins of all the days together."""
    for relation in ("latency_15m", "latency_hourly", "latency_daily"):
        for service in SERVICES:
            times = sorted(
                one.total_ms for one in fed.rows if one.service_id == service and one.success and one.total_ms
            )
            bins = await ask(
                connection,
                f"SELECT bin, sum(checks)::bigint FROM {relation} WHERE service_id = %s GROUP BY 1 ORDER BY 1",
                (service,),
            )
            assert sum(count for _, count in bins) == len(times)
            for percent in (0, 50, 95, 99, 100):
                rank = max(1, math.ceil(len(times) * percent / 100))
                assert middle_of_bin(bins, rank) == pytest.approx(times[rank - 1], rel=0.02), relation


def middle_of_bin(bins: Sequence[TupleRow], rank: int) -> float:
    seen = 0
    for number, count in bins:
        seen += count
        if seen >= rank:
            return float(1.04 ** (number - 0.5))
    raise AssertionError("the bins hold fewer checks than the rows")


async def phases_are_those_of_the_rows(fed: Fed, connection: Connection) -> None:
    for relation, bucket in (("phases_15m", "quarter"), ("phases_hourly", "hour"), ("phases_daily", "day")):
        found = await ask(
            connection,
            "SELECT bucket, service_id, location, checks, sum_ms, sum_dns_ms, sum_connect_ms, sum_tls_ms, "
            f"sum_first_byte_ms FROM {relation}",
        )
        assert {(at, service, location): tuple(sums) for at, service, location, *sums in found} == phases(
            fed.rows, bucket, fed.zone
        ), relation


async def certificates_are_the_last_ones_seen(fed: Fed, connection: Connection) -> None:
    """Whatever the order the checks came in."""
    last: dict[tuple[str | None, str | None], Row] = {}
    for one in sorted(fed.rows, key=lambda one: one.scheduled_at or now()):
        if one.certificate_expires_at is not None:
            last[one.service_id, one.location] = one
    found = await ask(
        connection,
        "SELECT service_id, location, certificate_expires_at, certificate_issuer, certificate_seen_at "
        "FROM latest_checks",
    )
    assert {(service, location): tuple(rest) for service, location, *rest in found} == {
        key: (one.certificate_expires_at, one.certificate_issuer, one.scheduled_at) for key, one in last.items()
    }


async def outages_are_those_of_the_rows(fed: Fed, connection: Connection) -> None:
    for service in SERVICES:
        expected = story((one for one in fed.rows if one.service_id == service), now())
        assert Story(await outages(connection, service), (await state(connection, service))[0]) == expected
