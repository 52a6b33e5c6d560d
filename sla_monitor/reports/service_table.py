"""CSV: one table of services, by RFC 4180. The names of the columns have units; times are in UTC."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

from sla_monitor.reports.figures import COLUMNS
from sla_monitor.reports.structure import Report
from sla_monitor.texts.languages import Language

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet program reads a text that begins with one of these as a formula."""


def render(report: Report, language: Language) -> bytes:
    """The table in UTF-8. It has the same column names in every language."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value(service, report)) for value in COLUMNS.values()] for service in report.services)
    return written.getvalue().encode()


def safe(text: str) -> str:
    """The text with an apostrophe before the start of a formula, as spreadsheet programs write it."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case str():
            return safe(value)
    return value
