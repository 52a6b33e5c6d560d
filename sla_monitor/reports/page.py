"""HTML: one document without scripts and external files, in the look of the status page."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from sla_monitor.reports.details import document
from sla_monitor.reports.structure import Report
from sla_monitor.texts.languages import Language


def render(report: Report, language: Language) -> bytes:
    """The document in UTF-8."""
    return _environment().get_template("report.html").render(report=document(report, language)).encode()


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("sla_monitor.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
