"""The tables of a report in a language, as HTML, PDF and the terminal show them. All cells are plain texts.

The tables that several services have in common are here, those of one service in details.py.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Literal
from uuid import UUID

import msgspec

from sla_monitor.reports.structure import DayState, Report, ReportBudget, ReportDay, ServiceReport
from sla_monitor.reports.words import percentage, promised, span
from sla_monitor.texts.languages import Texts

MARKS: Mapping[DayState, str] = {
    "up": "·",
    "degraded": "▲",
    "down": "×",
    "maintenance": "=",
    "excluded": "○",
    "unknown": "?",
    "outside": "–",
    "none": "",
}
"""The mark of a state in the calendar, beside its colour."""
LEGEND: tuple[DayState, ...] = ("up", "degraded", "down", "maintenance", "excluded", "unknown", "outside", "none")
Tone = Literal["good", "bad", "uncertain", "neutral"]


class Column(msgspec.Struct):
    title: str
    number: bool = False


class Cell(msgspec.Struct):
    """A text. `value`: the exact number that it stands for. `bar`: the share of an error budget that is spent, from 0;
    above 1 the budget is exceeded."""

    text: str
    value: float | None = None
    tone: Tone | None = None
    bar: float | None = None


class Table(msgspec.Struct):
    """`heads`: the first cell of each row is its head."""

    caption: str
    columns: list[Column]
    rows: list[list[Cell]]


class CalendarCell(msgspec.Struct):
    state: DayState
    mark: str
    text: str


class CalendarRow(msgspec.Struct):
    name: str
    cells: list[CalendarCell]


class Month(msgspec.Struct):
    """`days`: the numbers of its days in the period."""

    caption: str
    title: str
    days: list[int]
    rows: list[CalendarRow]


def table(caption: str, columns: Sequence[str], rows: list[list[Cell]], numbers: Sequence[int] = ()) -> Table:
    """`numbers`: the positions of columns with numbers."""
    return Table(caption, [Column(name, n in numbers) for n, name in enumerate(columns)], rows)


def verdict(t: Texts, found: str | None) -> Cell:
    tones: dict[str | None, Tone] = {"met": "good", "missed": "bad", "insufficient_data": "uncertain"}
    return Cell(t(f"report.{found or 'no_data'}"), tone=tones.get(found, "neutral"))


def spent_share(budget: ReportBudget | None) -> float | None:
    """The spent share of a budget: 0 for nothing, 2 if the budget allows nothing and something is spent."""
    if budget is None:
        return None
    if budget.total_seconds <= 0:
        return 2.0 if budget.spent_seconds > 0 else 0.0
    return budget.spent_seconds / budget.total_seconds


def budget_cell(t: Texts, budget: ReportBudget | None) -> Cell:
    """What is left of a budget, with its bar."""
    if budget is None:
        return Cell("–")
    left = budget.left_seconds
    text = t("report.budget_exceeded", time=t.duration(-left)) if left <= -1 else t.duration(max(left, 0))
    return Cell(text, left, "bad" if left < 0 else None, spent_share(budget))


def uptime(t: Texts, service: ServiceReport) -> Cell:
    mark = f" ({t('report.estimated_mark')})" if service.estimated else ""
    return Cell(t.percent(service.uptime) + mark, service.uptime_percent)


def groups(report: Report, t: Texts) -> Table:
    names = ["group", "services", "method", "target", "uptime", "verdict", "outages", "budget_left"]
    rows = [
        [
            Cell(group.name if group.name is not None else t("report.all_systems")),
            Cell(t.number(group.services), group.services),
            Cell(t(f"report.method_{group.method}") if group.method else "–"),
            Cell(promised(group.target) if group.target is not None else "–", group.target),
            Cell(t.percent(group.uptime), group.uptime_percent),
            verdict(t, group.verdict),
            Cell(t.number(group.outages), group.outages),
            budget_cell(t, group.budget),
        ]
        for group in report.groups
    ]
    return table(t("report.groups"), [t(f"report.{name}") for name in names], rows, (1, 3, 4, 6))


def overview(report: Report, t: Texts) -> Table:
    names = ["service", "target", "uptime", "verdict", "downtime", "outages", "budget_left"]
    rows = [
        [
            Cell(service.name),
            Cell(promised(service.target), service.target),
            uptime(t, service),
            verdict(t, service.verdict),
            Cell(span(t, service.seconds.down), service.seconds.down),
            Cell(t.number(service.outages), service.outages),
            budget_cell(t, service.budget),
        ]
        for service in report.services
    ]
    return table(t("report.services"), [t(f"report.{name}") for name in names], rows, (1, 2, 4, 5))


def calendar(report: Report, t: Texts) -> list[Month]:
    """The months of the period. A row of a month has a cell for each of its days in the period."""
    months: dict[date, Month] = {}
    for service in report.services:
        for first, days in groupby(service.days, key=lambda day: day.date.replace(day=1)):
            listed = list(days)
            if first not in months:
                name = t.month(first)
                numbers = [day.date.day for day in listed]
                months[first] = Month(t("report.calendar_of", month=name), name, numbers, [])
            months[first].rows.append(CalendarRow(service.name, [_cell(day, t) for day in listed]))
    return [months[first] for first in sorted(months)]


def _cell(day: ReportDay, t: Texts) -> CalendarCell:
    state = t(f"report.{day.state}")
    name = t.short_day(day.date)
    if day.down_seconds:
        text = t("report.day_down", day=name, state=state, time=t.duration(day.down_seconds))
    else:
        text = t("report.day_of", day=name, state=state)
    return CalendarCell(day.state, MARKS[day.state], text)


def legend(t: Texts) -> list[CalendarCell]:
    return [CalendarCell(state, MARKS[state], t(f"report.{state}")) for state in LEGEND]


def incidents(report: Report, t: Texts, names: Mapping[str, str]) -> Table:
    columns = ["incident", "title_of", "services", "severity", "status", "from", "to"]
    rows = [
        [
            Cell(incident.id),
            Cell(incident.title),
            Cell(named(incident.services, names)),
            Cell(t(f"incidents.{incident.severity}")),
            Cell(t(f"incidents.{incident.status}")),
            Cell(t.moment(incident.starts_at)),
            Cell(t.moment(incident.ends_at) if incident.ends_at else t("report.goes_on")),
        ]
        for incident in report.incidents
    ]
    return table(t("report.incidents"), [t(f"report.{name}") for name in columns], rows)


def maintenance(report: Report, t: Texts, names: Mapping[str, str]) -> Table:
    columns = ["title_of", "services", "announced", "from", "to"]
    rows = [
        [
            Cell(window.title),
            Cell(named(window.services, names)),
            Cell(t.moment(window.announced_at) if window.announced_at else "–"),
            Cell(t.moment(window.starts_at)),
            Cell(t.moment(window.ends_at)),
        ]
        for window in report.maintenance
    ]
    return table(t("report.maintenance"), [t(f"report.{name}") for name in columns], rows)


def correction_numbers(report: Report, t: Texts) -> dict[UUID, str]:
    """The number by which the tables name each correction: C1 is the oldest one."""
    oldest = reversed(report.corrections)
    return {item.id: t("report.correction_number", number=str(n)) for n, item in enumerate(oldest, 1)}


def corrections(report: Report, t: Texts, names: Mapping[str, str]) -> Table:
    """The corrections, the oldest first. Reasons and authors only if the report has them."""
    columns = ["correction", "services", "effect", "category", "from", "to", "occurrences"]
    if not report.scope.public:
        columns += ["reason", "author"]
    numbers = correction_numbers(report, t)
    rows = []
    for item in reversed(report.corrections):
        row = [
            Cell(numbers[item.id]),
            Cell(named(item.services, names)),
            Cell(t(f"report.effect_{item.effect}")),
            Cell(t(f"report.category_{item.category}")),
            Cell(t.moment(item.starts_at)),
            Cell(t.moment(item.ends_at)),
            Cell(t.number(item.occurrences), item.occurrences),
        ]
        if not report.scope.public:
            row += [Cell(item.reason or "–"), Cell(item.author or "–")]
        rows.append(row)
    return table(t("report.corrections"), [t(f"report.{name}") for name in columns], rows, (6,))


def named(ids: Sequence[str], names: Mapping[str, str]) -> str:
    """The names of services, at most ten of them."""
    listed = [names.get(item, item) for item in ids]
    return ", ".join(listed[:10]) + (f" … (+{len(listed) - 10})" if len(listed) > 10 else "") if listed else "–"


def quoted_percentage(t: Texts, value: float | None) -> Cell:
    return Cell(percentage(t, value), value)
