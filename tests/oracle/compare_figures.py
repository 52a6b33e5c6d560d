"""The relations that analysts read: rollups in three tiers, days of services, and the views of the requirements."""

from collections import Counter
from datetime import datetime
from typing import Any

from tests.oracle.differences import ANYTHING, Difference, OneOf, differences
from tests.oracle.figures import Sums, bucket_of, phases, rollup, service_days
from tests.oracle.response_times import bin_of
from tests.oracle.world import World
from tests.sql.batches import Connection, ask

ZERO = -100  # the bin of what took no time at all
TIERS = ("15m", "hourly", "daily")
CASTS = {"worst": "worst::text", "min_ms": "min_ms::float8", "max_ms": "max_ms::float8"}
SUMS = ", ".join(CASTS.get(name, name) for name in Sums._fields)
PHASES = "checks, sum_ms, sum_dns_ms, sum_connect_ms, sum_tls_ms, sum_first_byte_ms"


async def figures(connection: Connection, world: World) -> list[Difference]:
    wrong = []
    for tier in TIERS:
        wrong += await _rollups(connection, world, tier)
    return wrong + await _days(connection, world)


async def _rollups(connection: Connection, world: World, tier: str) -> list[Difference]:
    checks, days = world.checks, world.days
    found = await ask(connection, f"SELECT bucket, service_id, location, {SUMS} FROM checks_{tier}")
    wrong = differences(f"checks_{tier}", rollup(checks, tier, days), ((row[:3], row[3:]) for row in found))

    found = await ask(connection, f"SELECT bucket, service_id, location, {PHASES} FROM phases_{tier}")
    wrong += differences(f"phases_{tier}", phases(checks, tier, days), ((row[:3], row[3:]) for row in found))

    start = bucket_of(tier, days)
    bins: dict[tuple[datetime, str, str, int], int] = Counter()
    for one in checks:
        if one.good and one.total_ms is not None:
            number = bin_of(one.total_ms)
            bins[start(one.at), one.service, one.location, ZERO if number is None else number] += 1
    found = await ask(connection, f"SELECT bucket, service_id, location, bin, checks FROM latency_{tier}")
    return wrong + differences(f"latency_{tier}", bins, ((row[:4], row[4]) for row in found))


async def _days(connection: Connection, world: World) -> list[Difference]:
    known = service_days(world.checks, world.days)
    found = await ask(connection, f"SELECT service_id, day, starts_at, locations, {SUMS_OF_DAYS} FROM service_days")
    wrong = differences(
        "service_days",
        {key: (one.starts_at, one.locations, *one.sums) for key, one in known.items()},
        ((row[:2], row[2:]) for row in found),
    )

    found = await ask(
        connection,
        "SELECT service_id, date, created_at, status, uptime, response_time, error_message FROM uptime_records",
    )
    wrong += differences(
        "uptime_records",
        {
            key: (
                one.starts_at,
                one.sums.worst,
                one.uptime,
                mean(one.sums),
                _error(world, one.starts_at, one.error_message),
            )
            for key, one in known.items()
        },
        ((row[:2], (*row[2:4], percent(row[4]), *row[5:])) for row in found),
    )

    found = await ask(
        connection,
        "SELECT service_id, date, created_at, total_calls, success_calls, error_calls, avg_response_time, "
        "max_response_time, min_response_time FROM api_call_logs",
    )
    wrong += differences(
        "api_call_logs",
        {
            key: (
                *(one.starts_at, one.sums.checks, one.sums.checks - one.sums.failed, one.sums.failed),
                *(mean(one.sums), rounded(one.sums.max_ms), rounded(one.sums.min_ms)),
            )
            for key, one in known.items()
        },
        ((row[:2], row[2:]) for row in found),
    )
    return wrong


SUMS_OF_DAYS = SUMS.replace("worst::text", "status")


def mean(sums: Sums) -> Any:
    """In whole milliseconds; where the mean lies in the middle of two, either."""
    if not sums.good:
        return None
    exact = sums.sum_ms / sums.good
    return OneOf(frozenset({round(exact - 1e-6), round(exact + 1e-6)}))


def rounded(ms: float | None) -> int | None:
    return None if ms is None else round(ms)


def percent(found: object) -> str:
    """An uptime as text, also where the database has a number."""
    if found is None:
        return "-"
    return found if isinstance(found, str) else f"{found:.2f}"


def _error(world: World, starts_at: datetime, message: str | None) -> Any:
    """While the raw row is kept: it may be gone once it is older than the retention."""
    return message if starts_at >= world.oldest else ANYTHING
