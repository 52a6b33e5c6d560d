"""PDF: the template report.typ, set by Typst. The report is data for it: no text is read as markup.

The font is Noto Sans KR of the package pylopdf-fonts-ko. Fonts of the machine are not used, so that the document looks
the same everywhere.
"""

from pathlib import Path
from typing import Literal

import msgspec

from sla_monitor.reports.details import document
from sla_monitor.reports.structure import Report
from sla_monitor.texts.languages import Language

TEMPLATES = Path(__file__).parent / "templates"
STANDARD: Literal["ua-1"] = "ua-1"
"""PDF/UA-1: tagged, with title and language, for readers of all abilities."""


def render(report: Report, language: Language) -> bytes:
    """The document. It has the creation time of the report, so that the same figures give the same bytes."""
    import pylopdf_fonts_ko
    import typst

    compiler = typst.Compiler(
        TEMPLATES / "report.typ",
        root=TEMPLATES,
        font_paths=typst.Fonts(
            include_system_fonts=False, include_embedded_fonts=True, font_paths=[pylopdf_fonts_ko.sans_path().parent]
        ),
        sys_inputs={"report": msgspec.json.encode(document(report, language)).decode()},
    )
    rendered = compiler.compile(
        format="pdf", pdf_standards=STANDARD, timestamp=int(report.generated_at.timestamp()), pdf_tags=True
    )
    assert isinstance(rendered, bytes)
    return rendered
