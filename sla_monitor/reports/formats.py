"""The formats of a report. A renderer is imported when it is first used: the libraries of PDF and XLSX are large."""

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from sla_monitor.reports.structure import Report
from sla_monitor.reports.words import in_words
from sla_monitor.texts.languages import Language

Format = Literal["json", "csv", "xlsx", "html", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)
MEDIA_TYPES: Mapping[Format, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "pdf": "application/pdf",
}


def render(report: Report, form: Format, language: Language) -> bytes:
    """The report in a format. It may take seconds."""
    match form:
        case "csv":
            from sla_monitor.reports import service_table as renderer
        case "xlsx":
            from sla_monitor.reports import workbook as renderer  # type: ignore[no-redef]
        case "html":
            from sla_monitor.reports import page as renderer  # type: ignore[no-redef]
        case "pdf":
            from sla_monitor.reports import pdf as renderer  # type: ignore[no-redef]
        case _:
            return msgspec.json.encode(in_words(report, language))
    return renderer.render(report, language)


def file_name(report: Report, form: Format) -> str:
    """`sla-2026-10-01-2026-10-31.pdf`, with the revision of an issued report."""
    revision = "" if report.revision is None else f"-r{report.revision}"
    return f"sla-{report.from_}-{report.to}{revision}.{form}"
