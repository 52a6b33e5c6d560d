"""The answers of the API's queries: status, calendars, windows and response times."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import sql
from tests.oracle.compare_figures import percent
from tests.oracle.differences import Difference, Near, differences
from tests.oracle.figures import ServiceDay, calendar, in_window, service_days, summed, uptime_of, windows
from tests.oracle.history import Lookup
from tests.oracle.local_days import DAY
from tests.oracle.response_times import Point, series
from tests.oracle.rows import Check
from tests.oracle.world import World
from tests.sql.batches import Connection

STRIP = 90
HUNDREDTH = 0.0101
PERIODS = (1, 30)  # the page of a service has more of them


async def asked(connection: Connection, query: str, columns: str, **values: object) -> list[tuple[Any, ...]]:
    """Some columns of the rows of a query."""
    cursor = await connection.execute(sql.query(query), values)
    assert cursor.description is not None
    places = {column.name: place for place, column in enumerate(cursor.description)}
    return [tuple(row[places[name]] for name in columns.split()) for row in await cursor.fetchall()]


async def system_status(connection: Connection, world: World) -> list[Difference]:
    expected: dict[str, object] = {}
    today = world.days.date_of(world.present)
    known = service_days(world.checks, world.days)
    for service in world.services:
        strip = [known.get((service, today - number * DAY)) for number in reversed(range(STRIP))]
        said = world.story(world.all_services[service]).present
        expected[service] = (
            said[0] if said else "unknown",
            uptime_of(day.sums for day in strip if day),
            _bits(day is not None for day in strip),
            _bits(day is not None and day.sums.worst != "o" for day in strip),
            _bits(day is not None and day.sums.worst == "mo" for day in strip),
            today,
        )
    found = await asked(connection, "status/system_status", "id status uptime known degraded failed today")
    rows = ((row[0], (row[1], percent(row[2]), *row[3:])) for row in found)
    return differences("status/system_status", expected, rows)


def _bits(days: Any) -> str:
    return "".join("1" if day else "0" for day in days)


async def calendars(
    connection: Connection, world: World, wanted: Sequence[tuple[int, date | None]]
) -> list[Difference]:
    wrong = []
    known = [day for day in service_days(world.checks, world.days).values() if day.service in world.services]
    for months, start in wanted:
        for service in (None, *sorted(world.services)):
            chosen = [day for day in known if service in (None, day.service)]
            wrong += await _calendar(connection, world, (service, months, start), chosen)
    return wrong


async def _calendar(
    connection: Connection, world: World, question: tuple[str | None, int, date | None], chosen: Sequence[ServiceDay]
) -> list[Difference]:
    service, months, start = question
    cells = calendar(chosen, world.days, world.present, months, start)
    found = await asked(
        connection,
        "uptime/months",
        "month day status uptime checks downtime_seconds",
        service_id=service,
        months=months,
        start_date=start,
        internal=False,
    )
    name = f"uptime/months of {service or 'all systems'}, months={months} startDate={start}"
    # Seconds of a day are a mean that may be cut to whole ones.
    days = {cell.month: 1 + len({day.day for day in chosen}) for cell in cells}
    wrong = differences(
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
    if not wrong and [row[:2] for row in found] != order:
        wrong.append(Difference(name, "order", order, [row[:2] for row in found]))
    return wrong


async def periods(connection: Connection, world: World) -> list[Difference]:
    wrong = []
    for count in PERIODS:
        for service in (None, *sorted(world.all_services)):
            chosen = world.services if service is None else world.services & {service}
            counted = in_window(
                [one for one in world.checks if one.service in chosen], world.days, world.present, count
            )
            expected = {} if service and not chosen else {count: uptime_of([summed(counted)] if counted else [])}
            found = await asked(connection, "uptime/period", "uptime", service_id=service, days=count)
            wrong += differences(
                f"uptime/period of {service or 'all systems'}", expected, ((count, percent(row[0])) for row in found)
            )
    for service in sorted(world.services):
        of_service = [one for one in world.checks if one.service == service]
        rows = await asked(
            connection,
            "service_page/uptimes",
            "days starts_at uptime coverage downtime_seconds first_at",
            service_id=service,
        )
        wrong += differences(
            f"service_page/uptimes of {service}",
            {
                one.days: (
                    *(one.starts_at, one.uptime, Near(one.coverage, 0.0001)),
                    *(Near(one.downtime, 1 + len(of_service)), one.first_at),
                )
                for one in windows(of_service, world.days, world.present)
            },
            ((row[0], (row[1], percent(row[2]), *row[3:])) for row in rows),
        )
    return wrong


async def response_times(connection: Connection, world: World, questions: Sequence[Lookup]) -> list[Difference]:
    wrong = []
    for question in questions:
        if question.tier == "raw" and question.start < world.oldest:
            continue  # raw rows may be gone
        for service in sorted(world.all_services):
            checks = [one for one in world.checks if one.service == service]
            wrong += await _response_times(connection, world, service, question, checks)
    return wrong


async def asked_times(connection: Connection, service: str, question: Lookup, columns: str) -> list[tuple[Any, ...]]:
    """The columns of what the database says to a question."""
    name = "raw" if question.tier == "raw" else "rollups"
    return await asked(connection, f"response_times/{name}", columns, service_id=service, **question._asdict())


async def _response_times(
    connection: Connection, world: World, service: str, question: Lookup, checks: Sequence[Check]
) -> list[Difference]:
    tier, start, end, step = question
    answer = series(checks, tier, start, end, step, world.days)
    columns = "time low high checks errors avg min max p50 p95 p99 dns connect tls first_byte transfer"
    found = await asked_times(connection, service, question, columns)
    expected: dict[object, tuple[object, ...]] = {time: _point(point) for time, point in answer.points.items()}
    expected["window"] = (answer.low, answer.high), *_point(answer.whole)
    rows = [(row[0], row[3:]) if row[0] else ("window", (row[1:3], *row[3:])) for row in found]
    return differences(f"response times ({tier}) of {service}, {start:%F %T} to {end:%F %T} by {step}", expected, rows)


def _point(point: Point) -> tuple[object, ...]:
    """The columns of a point, all of them rounded to hundredths."""
    figures = (point.avg, point.min, point.max, *(point.percentiles or (None,) * 3), *(point.phases or (None,) * 5))
    return point.checks, point.errors, *(None if ms is None else Near(ms, HUNDREDTH) for ms in figures)
