"""XLSX: a sheet for each section. Times are in UTC, lengths in seconds, and no text is read as a formula."""

import io
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sla_monitor.reports import tables, words
from sla_monitor.reports.details import document
from sla_monitor.reports.figures import COLUMNS, policy_name
from sla_monitor.reports.structure import Report
from sla_monitor.reports.words import rounded_down
from sla_monitor.texts.languages import Language, Texts, texts

WIDEST = 60
"""The widest column, in characters."""
PERCENT = "_percent"
ROUNDED = "uptime"
"""The column with the uptime as other formats show it, rounded down to two decimals."""
_FORMATS = {
    "head": {"bold": True, "font_color": "#545c69", "bottom": 1, "bottom_color": "#868e9b", "valign": "top"},
    "title": {"bold": True, "font_size": 16},
    "text": {"valign": "top", "text_wrap": True},
    "time": {"num_format": "yyyy-mm-dd hh:mm:ss", "align": "left"},
    "day": {"num_format": "yyyy-mm-dd", "align": "left"},
    "percent": {"num_format": "0.00%"},
    "exact": {"num_format": "0.0##############%"},
    "number": {"num_format": "#,##0.######"},
}


def render(report: Report, language: Language) -> bytes:
    """The workbook."""
    import xlsxwriter

    written = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    t = texts(language, "UTC")
    with xlsxwriter.Workbook(written, options) as workbook:
        workbook.set_properties(
            {"title": words.title(report, t), "author": report.site, "created": report.generated_at}
        )
        sheets = _Sheets(workbook)
        _summary(sheets, report, t)
        _services(sheets, report, t)
        _days(sheets, report, t)
        _spans(sheets, report, t)
        _events(sheets, report, t)
        _texts(sheets, report, t)
    return written.getvalue()


class _Sheets:
    """Adds sheets with a header that stays in view."""

    def __init__(self, workbook: Any) -> None:
        self._workbook = workbook
        self.formats = {name: workbook.add_format(style) for name, style in _FORMATS.items()}

    def add(self, name: str, heads: Sequence[str], rows: Sequence[Sequence[Any]], first_row: int = 0) -> Any:
        """A sheet with a table that begins in `first_row`. Columns whose heads end in `_percent` are percentages."""
        sheet = self._workbook.add_worksheet(name[:31])
        widths = [len(head) for head in heads]
        for column, head in enumerate(heads):
            sheet.write_string(first_row, column, head, self.formats["head"])
        for number, row in enumerate(rows, first_row + 1):
            for column, value in enumerate(row):
                self.write(sheet, number, column, value, heads[column])
                widths[column] = max(widths[column], _width(value))
        for column, width in enumerate(widths):
            sheet.set_column(column, column, min(width + 2, WIDEST))
        sheet.freeze_panes(first_row + 1, 1)
        return sheet

    def write(self, sheet: Any, row: int, column: int, value: Any, head: str = "") -> None:
        """Writes a cell of the type of its value. Times become UTC, which their heads say."""
        match value:
            case None:
                return
            case bool():
                sheet.write_boolean(row, column, value)
            case int() | float() if head == ROUNDED:
                sheet.write_number(row, column, value / 100, self.formats["percent"])
            case int() | float() if head.endswith(PERCENT):
                sheet.write_number(row, column, value / 100, self.formats["exact"])
            case int() | float():
                sheet.write_number(row, column, value, self.formats["number"])
            case datetime():
                sheet.write_datetime(row, column, value.astimezone(UTC).replace(tzinfo=None), self.formats["time"])
            case date():
                sheet.write_datetime(row, column, value, self.formats["day"])
            case _:
                sheet.write_string(row, column, str(value), self.formats["text"])


def _width(value: Any) -> int:
    match value:
        case datetime():
            return 19
        case str():
            return sum(2 if ord(letter) > 0x1100 else 1 for letter in value)
    return min(len(str(value)), 14)


def _summary(sheets: _Sheets, report: Report, t: Texts) -> None:
    """The head of the report, the numbers of services by verdict, and the groups."""
    shown = document(report, t.language)
    head = [(fact.label, fact.cell.text) for fact in shown.head]
    facts = [*head[:2], (t("report.zone"), report.zone), *_times(report, t), head[-1]]
    counts = [(fact.label, fact.cell.value) for fact in shown.tiles]
    sheet = sheets.add(t("report.sheet_period"), [shown.title, report.site], [*facts, *counts])
    sheet.write_string(0, 0, shown.title, sheets.formats["title"])
    row = len(facts) + len(counts) + 2
    for note in (t("report.sheet_utc"), *shown.notes, *shown.basis):
        sheets.write(sheet, row, 0, note)
        row += 1
    heads = ["group", "services", "method", "target_percent", "uptime", "uptime_percent", "coverage_percent", "verdict"]
    heads += ["outages", "budget_seconds", "budget_spent_seconds", "budget_left_seconds"]
    rows = []
    for group in report.groups:
        name = group.name if group.name is not None else t("report.all_systems")
        rounded = None if group.uptime_percent is None else rounded_down(group.uptime_percent, 2)
        values = [name, group.services, group.method, group.target, rounded, group.uptime_percent, group.coverage]
        budget = group.budget
        seconds = (budget.total_seconds, budget.spent_seconds, budget.left_seconds) if budget else (None, None, None)
        rows.append([*values, group.verdict, group.outages, *seconds])
    sheets.add(t("report.groups"), heads, rows)


def _times(report: Report, t: Texts) -> list[tuple[str, datetime]]:
    return [
        (f"{t('report.generated')} (UTC)", report.generated_at),
        (f"{t('report.as_of')} (UTC)", report.as_of or report.generated_at),
    ]


def _services(sheets: _Sheets, report: Report, t: Texts) -> None:
    """All figures, by the columns of CSV. The uptime is also there as the other formats show it."""
    columns: dict[str, Callable[..., Any]] = {}
    for name, value in COLUMNS.items():
        if name == "uptime_percent":
            columns[ROUNDED] = lambda service, _: None if service.uptime == "-" else float(service.uptime)
        columns[name] = value
    rows = [[value(service, report) for value in columns.values()] for service in report.services]
    sheets.add(t("report.services"), list(columns), rows)


def _days(sheets: _Sheets, report: Report, t: Texts) -> None:
    rows = [[service.id, service.name, *(day.state for day in service.days)] for service in report.services]
    days = [day.date.isoformat() for day in report.services[0].days] if report.services else []
    sheets.add(t("report.calendar"), ["service_id", "service", *days], rows)


def _spans(sheets: _Sheets, report: Report, t: Texts) -> None:
    """The parts and the outages of all services."""
    policies = {(terms.id, terms.version): terms.name for terms in report.policies}
    heads = ["service_id", "service", "policy", "policy_version", "from_utc", "to_utc", "target_percent"]
    heads += ["down_seconds", "budget_seconds", "budget_spent_seconds"]
    rows = [
        [
            *(
                service.id,
                service.name,
                policies.get((part.policy_id, part.version)),
                part.version,
                part.from_,
                part.to,
            ),
            *(part.target, part.seconds.down, part.budget_seconds, part.spent_seconds),
        ]
        for service in report.services
        for part in service.parts
    ]
    sheets.add(t("report.parts"), heads, rows)
    numbers = tables.correction_numbers(report, t)
    outages = [
        [
            *(service.id, service.name, outage.starts_at, outage.ends_at, outage.seconds),
            ", ".join(numbers[item] for item in outage.corrections if item in numbers),
        ]
        for service in report.services
        for outage in service.outage_list
    ]
    heads = ["service_id", "service", "from_utc", "to_utc", "seconds", "corrections"]
    sheets.add(t("report.outages"), heads, outages)


def _events(sheets: _Sheets, report: Report, t: Texts) -> None:
    heads = ["incident", "title", "services", "severity", "status", "from_utc", "to_utc"]
    incidents = [
        [item.id, item.title, ", ".join(item.services), item.severity, item.status, item.starts_at, item.ends_at]
        for item in report.incidents
    ]
    sheets.add(t("report.incidents"), heads, incidents)
    windows = [
        [item.title, ", ".join(item.services), item.announced_at, item.starts_at, item.ends_at]
        for item in report.maintenance
    ]
    sheets.add(t("report.maintenance"), ["title", "services", "announced_utc", "from_utc", "to_utc"], windows)
    heads = ["correction", "services", "effect", "category", "from_utc", "to_utc", "occurrences", "created_utc"]
    numbers = tables.correction_numbers(report, t)
    corrections = [
        [
            *(numbers[item.id], ", ".join(item.services), item.effect, item.category, item.starts_at, item.ends_at),
            *(item.occurrences, item.created_at, item.reason, item.author),
        ][: 8 if report.scope.public else None]
        for item in reversed(report.corrections)
    ]
    heads += [] if report.scope.public else ["reason", "author"]
    sheets.add(t("report.corrections"), heads, corrections)


def _texts(sheets: _Sheets, report: Report, t: Texts) -> None:
    """The policies in words, and the SQL of the figures."""
    rows = [
        [terms.name, terms.version, sentence] for terms in report.policies for sentence in words.sentences(terms, t)
    ]
    sheets.add(t("report.policies"), ["policy", "policy_version", "terms"], rows)
    queries = [[service.id, policy_name(service, report), service.sql] for service in report.services]
    sheets.add(t("report.sql"), ["service_id", "policy", "sql"], queries)
