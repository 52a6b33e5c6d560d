"""The SLA report as tables of text for a terminal."""

import io
from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as TextTable
from rich.text import Text

from sla_monitor.formats.one_line import on_one_line
from sla_monitor.reports.details import Document, ServiceDetails, document
from sla_monitor.reports.structure import DayState, Report
from sla_monitor.reports.tables import Cell, Month, Table
from sla_monitor.texts.languages import Language

FILE_WIDTH = 160
"""The width of the tables, in characters, if they are not for a terminal."""
BAR_WIDTH = 10
_TONES: Mapping[str | None, str] = {"good": "green", "bad": "red", "uncertain": "yellow"}
_SIGNS: Mapping[str | None, str] = {"good": "✓ ", "bad": "× ", "uncertain": "? "}
_STATES: Mapping[DayState, str] = {"up": "green", "degraded": "yellow", "down": "bold red", "maintenance": "blue"}


def table(report: Report, language: Language, terminal: bool) -> str:
    """The report as text. `terminal`: with the colours and the width of this terminal."""
    written = io.StringIO()
    console = Console(
        file=written, force_terminal=terminal, width=None if terminal else FILE_WIDTH, highlight=False, markup=False
    )
    shown = document(report, language)
    for part in _parts(shown):
        console.print(part)
    return "\n".join(line.rstrip() for line in written.getvalue().split("\n"))


def _parts(shown: Document) -> Iterable[RenderableType]:
    yield _text(f"{shown.title} – {shown.site}", "bold")
    for fact in shown.head[1:]:
        yield _text(f"{fact.label}: {fact.cell.text}", "dim")
    yield ""
    yield _text("   ".join(f"{tile.label}: {tile.cell.text}" for tile in shown.tiles))
    for note in shown.notes:
        yield _text(note)
    for found in (shown.groups, shown.overview):
        if found is not None:
            yield from _titled(found.caption, _table(found))
    if shown.months:
        yield from _titled(shown.labels["calendar"], _legend(shown))
        for month in shown.months:
            yield _calendar(month)
    for service in shown.services:
        yield from _service(service)
    for found in (shown.incidents, shown.maintenance, shown.corrections):
        if found is not None:
            yield from _titled(found.caption, _table(found))
    for policy in shown.policies:
        yield from _titled(policy.name, Group(*(_text(f"- {sentence}") for sentence in policy.sentences)))


def _service(service: ServiceDetails) -> Iterable[RenderableType]:
    facts = TextTable.grid(padding=(0, 3, 0, 0))
    listed = [_text(f"{fact.label}: {fact.cell.text}") for fact in service.time + service.facts]
    for first in range(0, len(listed), 3):
        facts.add_row(*listed[first : first + 3])
    yield from _titled(f"{service.name}: {service.uptime.text}, {service.verdict.text}", facts)
    for note in service.notes:
        yield _text(note)
    for found in (service.parts, service.outages):
        if found is not None:
            yield ""
            yield _text(found.caption, "dim")
            yield _table(found)


def _titled(title: str, content: RenderableType) -> Iterable[RenderableType]:
    yield ""
    yield _text(title, "bold")
    yield content


def _table(found: Table) -> TextTable:
    drawn = TextTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in found.columns:
        drawn.add_column(_text(column.title), justify="right" if column.number else "left", overflow="fold")
    for row in found.rows:
        drawn.add_row(*map(_cell, row))
    return drawn


def _cell(cell: Cell) -> Text:
    text = _text(_SIGNS.get(cell.tone, "") + cell.text if cell.bar is None else cell.text, _TONES.get(cell.tone, ""))
    if cell.bar is not None:
        filled = min(round(cell.bar * BAR_WIDTH), BAR_WIDTH)
        bar = Text("█" * filled + "░" * (BAR_WIDTH - filled) + " ", "red" if cell.bar > 1 else "green")
        return bar + text
    return text


def _legend(shown: Document) -> Text:
    return Text("   ").join(
        _text(f"{item.mark or '␣'} {item.text}", _STATES.get(item.state, "")) for item in shown.legend
    )


def _calendar(month: Month) -> TextTable:
    drawn = TextTable(box=None, pad_edge=False, show_edge=False, show_header=True)
    drawn.add_column(_text(month.title), overflow="ellipsis", no_wrap=True)
    tens = "".join(str(day // 10) if day % 10 == 0 else " " for day in month.days)
    drawn.add_column(Text(tens + "\n" + "".join(str(day % 10) for day in month.days)), no_wrap=True)
    for row in month.rows:
        drawn.add_row(
            _text(row.name), Text.assemble(*((day.mark or " ", _STATES.get(day.state, "")) for day in row.cells))
        )
    return drawn


def _text(text: str, style: str = "") -> Text:
    """A text without control characters."""
    return Text(on_one_line(text, "?"), style)
