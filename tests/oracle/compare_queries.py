"""Compares the queries of the API: status, calendars, windows and response times."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import sql
from tests.oracle.compare_figures import percent
from tests.oracle.differences import Difference, Near, differences
from tests.oracle.figures import ServiceDay, calendar, in_window, service_days, summed, uptime_of, windows
from tests.oracle.history import Lookup
from tests.oracle.local_days import DAY
from tests.oracle.model import Model
from tests.oracle.response_times import Point, series
from tests.oracle.rows import Check
from tests.sql.batches import Connection

STRIP = 90
HUNDREDTH = 0.0101
PERIODS = (1, 30)  # the page of a service has more


async def query(connection: Connection, name: str, columns: str, **values: object) -> list[tuple[Any, ...]]:
    """Runs a query and returns these columns of its rows."""
    cursor = await connection.execute(sql.query(name), values)
    assert cursor.description is not None
    places = {column.name: place for place, column in enumerate(cursor.description)}
    return [tuple(row[places[name]] for name in columns.split()) for row in await cursor.fetchall()]


async def system_status(connection: Connection, model: Model) -> list[Difference]:
    expected: dict[str, object] = {}
    today = model.days.date_of(model.present)
    days_by_service = service_days(model.checks, model.days)
    for service in model.services:
        strip = [days_by_service.get((service, today - number * DAY)) for number in reversed(range(STRIP))]
        present = model.state_history(model.all_services[service]).present
        expected[service] = (
            present[0] if present else "unknown",
            uptime_of(day.sums for day in strip if day),
            _bits(day is not None for day in strip),
            _bits(day is not None and day.sums.worst != "o" for day in strip),
            _bits(day is not None and day.sums.worst == "mo" for day in strip),
            today,
        )
    found = await query(connection, "status/system_status", "id status uptime known degraded failed today")
    rows = ((row[0], (row[1], percent(row[2]), *row[3:])) for row in found)
    return differences("status/system_status", expected, rows)


def _bits(days: Any) -> str:
    return "".join("1" if day else "0" for day in days)


async def calendars(
    connection: Connection, model: Model, wanted: Sequence[tuple[int, date | None]]
) -> list[Difference]:
    found_differences = []
    all_days = [day for day in service_days(model.checks, model.days).values() if day.service in model.services]
    for months, start in wanted:
        for service in (None, *sorted(model.services)):
            chosen = [day for day in all_days if service in (None, day.service)]
            found_differences += await _calendar(connection, model, (service, months, start), chosen)
    return found_differences


async def _calendar(
    connection: Connection, model: Model, lookup: tuple[str | None, int, date | None], chosen: Sequence[ServiceDay]
) -> list[Difference]:
    service, months, start = lookup
    cells = calendar(chosen, model.days, model.present, months, start)
    found = await query(
        connection,
        "uptime/months",
        "month day status uptime checks downtime_seconds",
        service_id=service,
        months=months,
        start_date=start,
        internal=False,
    )
    name = f"uptime/months of {service or 'all systems'}, months={months} startDate={start}"
    # The seconds of a day are a mean that may be cut to whole seconds.
    days = {cell.month: 1 + len({day.day for day in chosen}) for cell in cells}
    found_differences = differences(
        name,
        {
            (one.month, one.day): (
                one.status,
                one.uptime,
                one.checks,
                Near(one.downtime, 1 if one.day else days[one.month]),
            )
            for one in cells
        },
        (((row[0], row[1]), (row[2], percent(row[3]), *row[4:])) for row in found),
    )
    order = [(cell.month, cell.day) for cell in cells]
    if not found_differences and [row[:2] for row in found] != order:
        found_differences.append(Difference(name, "order", order, [row[:2] for row in found]))
    return found_differences


async def periods(connection: Connection, model: Model) -> list[Difference]:
    found_differences = []
    for count in PERIODS:
        for service in (None, *sorted(model.all_services)):
            chosen = model.services if service is None else model.services & {service}
            counted = in_window(
                [one for one in model.checks if one.service in chosen], model.days, model.present, count
            )
            expected = {} if service and not chosen else {count: uptime_of([summed(counted)] if counted else [])}
            found = await query(connection, "uptime/period", "uptime", service_id=service, days=count)
            found_differences += differences(
                f"uptime/period of {service or 'all systems'}", expected, ((count, percent(row[0])) for row in found)
            )
    for service in sorted(model.services):
        of_service = [one for one in model.checks if one.service == service]
        rows = await query(
            connection,
            "service_page/uptimes",
            "days starts_at uptime coverage downtime_seconds first_at",
            service_id=service,
        )
        found_differences += differences(
            f"service_page/uptimes of {service}",
            {
                one.days: (
                    *(one.starts_at, one.uptime, Near(one.coverage, 0.0001)),
                    *(Near(one.downtime, 1 + len(of_service)), one.first_at),
                )
                for one in windows(of_service, model.days, model.present)
            },
            ((row[0], (row[1], percent(row[2]), *row[3:])) for row in rows),
        )
    return found_differences


async def response_times(connection: Connection, model: Model, lookups: Sequence[Lookup]) -> list[Difference]:
    found_differences = []
    for lookup in lookups:
        if lookup.tier == "raw" and lookup.start < model.oldest:
            continue  # raw rows may be gone
        for service in sorted(model.all_services):
            checks = [one for one in model.checks if one.service == service]
            found_differences += await _response_times(connection, model, service, lookup, checks)
    return found_differences


async def query_response_times(
    connection: Connection, service: str, lookup: Lookup, columns: str
) -> list[tuple[Any, ...]]:
    """Runs the query for a lookup of response times and returns these columns."""
    name = "raw" if lookup.tier == "raw" else "rollups"
    return await query(connection, f"response_times/{name}", columns, service_id=service, **lookup._asdict())


async def _response_times(
    connection: Connection, model: Model, service: str, lookup: Lookup, checks: Sequence[Check]
) -> list[Difference]:
    tier, start, end, step = lookup
    expected_series = series(checks, tier, start, end, step, model.days)
    columns = "time low high checks errors avg min max p50 p95 p99 dns connect tls first_byte transfer"
    found = await query_response_times(connection, service, lookup, columns)
    expected: dict[object, tuple[object, ...]] = {time: _point(point) for time, point in expected_series.points.items()}
    expected["window"] = (expected_series.low, expected_series.high), *_point(expected_series.whole)
    rows = [(row[0], row[3:]) if row[0] else ("window", (row[1:3], *row[3:])) for row in found]
    return differences(f"response times ({tier}) of {service}, {start:%F %T} to {end:%F %T} by {step}", expected, rows)


def _point(point: Point) -> tuple[object, ...]:
    """Returns the columns of a point, rounded to hundredths."""
    figures = (point.avg, point.min, point.max, *(point.percentiles or (None,) * 3), *(point.phases or (None,) * 5))
    return point.checks, point.errors, *(None if ms is None else Near(ms, HUNDREDTH) for ms in figures)
