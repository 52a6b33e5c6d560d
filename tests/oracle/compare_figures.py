"""Compares the relations for analysts: rollups in three tiers, days of services, and the views of the requirements."""

from collections import Counter
from datetime import datetime
from typing import Any

from tests.oracle.differences import ANYTHING, Difference, OneOf, differences
from tests.oracle.figures import Sums, bucket_of, phases, rollup, service_days
from tests.oracle.model import Model
from tests.oracle.response_times import bin_of
from tests.sql.batches import Connection, fetch

ZERO = -100  # the bin of 0 ms
TIERS = ("15m", "hourly", "daily")
CASTS = {"worst": "worst::text", "min_ms": "min_ms::float8", "max_ms": "max_ms::float8"}
SUMS = ", ".join(CASTS.get(name, name) for name in Sums._fields)
PHASES = "checks, sum_ms, sum_dns_ms, sum_connect_ms, sum_tls_ms, sum_first_byte_ms"


async def figures(connection: Connection, model: Model) -> list[Difference]:
    found_differences = []
    for tier in TIERS:
        found_differences += await _rollups(connection, model, tier)
    return found_differences + await _days(connection, model)


async def _rollups(connection: Connection, model: Model, tier: str) -> list[Difference]:
    checks, days = model.checks, model.days
    found = await fetch(connection, f"SELECT bucket, service_id, location, {SUMS} FROM checks_{tier}")
    found_differences = differences(f"checks_{tier}", rollup(checks, tier, days), ((row[:3], row[3:]) for row in found))

    found = await fetch(connection, f"SELECT bucket, service_id, location, {PHASES} FROM phases_{tier}")
    found_differences += differences(
        f"phases_{tier}", phases(checks, tier, days), ((row[:3], row[3:]) for row in found)
    )

    start = bucket_of(tier, days)
    bins: dict[tuple[datetime, str, str, int], int] = Counter()
    for one in checks:
        if one.successful and one.total_ms is not None:
            number = bin_of(one.total_ms)
            bins[start(one.at), one.service, one.location, ZERO if number is None else number] += 1
    found = await fetch(connection, f"SELECT bucket, service_id, location, bin, checks FROM latency_{tier}")
    return found_differences + differences(f"latency_{tier}", bins, ((row[:4], row[4]) for row in found))


async def _days(connection: Connection, model: Model) -> list[Difference]:
    expected_days = service_days(model.checks, model.days)
    found = await fetch(connection, f"SELECT service_id, day, starts_at, locations, {SUMS_OF_DAYS} FROM service_days")
    found_differences = differences(
        "service_days",
        {key: (one.starts_at, one.locations, *one.sums) for key, one in expected_days.items()},
        ((row[:2], row[2:]) for row in found),
    )

    found = await fetch(
        connection,
        "SELECT service_id, date, created_at, status, uptime, response_time, error_message FROM uptime_records",
    )
    found_differences += differences(
        "uptime_records",
        {
            key: (
                one.starts_at,
                one.sums.worst,
                one.uptime,
                mean(one.sums),
                _error(model, one.starts_at, one.error_message),
            )
            for key, one in expected_days.items()
        },
        ((row[:2], (*row[2:4], percent(row[4]), *row[5:])) for row in found),
    )

    found = await fetch(
        connection,
        "SELECT service_id, date, created_at, total_calls, success_calls, error_calls, avg_response_time, "
        "max_response_time, min_response_time FROM api_call_logs",
    )
    found_differences += differences(
        "api_call_logs",
        {
            key: (
                *(one.starts_at, one.sums.checks, one.sums.checks - one.sums.failed, one.sums.failed),
                *(mean(one.sums), rounded(one.sums.max_ms), rounded(one.sums.min_ms)),
            )
            for key, one in expected_days.items()
        },
        ((row[:2], row[2:]) for row in found),
    )
    return found_differences


SUMS_OF_DAYS = SUMS.replace("worst::text", "status")


def mean(sums: Sums) -> Any:
    """Returns the mean in whole milliseconds. If it lies in the middle of two, both are accepted."""
    if not sums.good:
        return None
    exact = sums.sum_ms / sums.good
    return OneOf(frozenset({round(exact - 1e-6), round(exact + 1e-6)}))


def rounded(ms: float | None) -> int | None:
    return None if ms is None else round(ms)


def percent(found: object) -> str:
    """Returns an uptime as text. Some relations have it as a number."""
    if found is None:
        return "-"
    return found if isinstance(found, str) else f"{found:.2f}"


def _error(model: Model, starts_at: datetime, message: str | None) -> Any:
    """Returns the expected error message, or ANYTHING if the raw row may have been dropped."""
    return message if starts_at >= model.oldest else ANYTHING
