"""Every format of a report has all its figures, and no text of a user is a formula, markup or code."""

import csv
import io
import os
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio
import msgspec
import openpyxl
import pypdf
import pytest

from sla_monitor.command.report_table import table
from sla_monitor.reports import words
from sla_monitor.reports.figures import COLUMNS
from sla_monitor.reports.formats import file_name, render
from sla_monitor.reports.rendering import AT_ONCE, MOST_WAITING, Renderer, RendererBusy, RenderingFailed
from sla_monitor.reports.structure import Report, ReportCredit
from sla_monitor.texts.languages import LANGUAGES, Language, texts
from tests.pauses import pauses
from tests.reports import END, HOSTILE, START, hostile_report, policy

REPORT = hostile_report()


class Page(HTMLParser):
    """The texts of a page, the values of its `data` elements, its tags, and the heads of its tables."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.values: list[float] = []
        self.tags: set[str] = set()
        self.language: str | None = None
        self.tables = self.captions = 0
        self.heads_without_scope = 0
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.heads_without_scope += tag == "th" and found.get("scope") not in ("row", "col")
        if tag == "data":
            self.values.append(float(found["value"] or ""))
        if tag == "html":
            self.language = found["lang"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def pdf_text(content: bytes) -> str:
    """The text of a PDF without blanks and invisible breaks."""
    pages = pypdf.PdfReader(io.BytesIO(content)).pages
    return "".join("".join(page.extract_text().split()) for page in pages).replace("\u200b", "")


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def sheet_rows(book: Any, name: str) -> list[dict[str, Any]]:
    heads, *rows = book[name].iter_rows(values_only=True)
    return [dict(zip(heads, row, strict=True)) for row in rows]


def test_json_is_the_structure_with_its_texts() -> None:
    decoded = msgspec.json.decode(render(REPORT, "json", "ko"), type=Report)
    assert decoded == words.in_words(REPORT, "ko")
    assert decoded.title == "서비스 수준 보고서: 2026년 10월"
    assert decoded.services == REPORT.services


def test_csv_has_a_row_for_each_service_with_exact_numbers() -> None:
    content = render(REPORT, "csv", "en")
    assert content.endswith(b"\r\n") and content.count(b"\r\n") == len(REPORT.services) + 1
    rows = csv_rows(content)
    assert list(rows[0]) == list(COLUMNS)
    for row, service in zip(rows, REPORT.services, strict=True):
        assert float(row["uptime_percent"]) == service.uptime_percent
        assert float(row["down_seconds"]) == service.seconds.down
        assert float(row["budget_left_seconds"]) == service.budget.left_seconds
        assert (row["verdict"], row["from_utc"]) == (service.verdict, "2026-10-01T00:00:00Z")
    assert (rows[0]["mttr_seconds"], rows[0]["estimated"], rows[1]["estimated"]) == ("", "false", "true")
    assert rows[1]["projected_end_utc"] == "2026-10-31T00:00:00Z"


def test_no_cell_of_csv_is_a_formula() -> None:
    rows = csv_rows(render(hostile_report(60), "csv", "en"))
    cells = [cell for row in rows for cell in row.values()]
    assert {cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r", "\n"))} == set()
    negative = {cell for cell in cells if cell.startswith("-")}
    assert negative and all(float(cell) < 0 for cell in negative)
    assert [row["service"] for row in rows[:4]] == [f"'{name}" for name in HOSTILE[:4]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_workbook_has_typed_cells_and_no_formula(language: Language) -> None:
    book = openpyxl.load_workbook(io.BytesIO(render(REPORT, "xlsx", language)))
    t = texts(language, "UTC")
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row}
    assert kinds <= {"s", "n", "b", "d"}
    assert book.sheetnames[:3] == [t("report.sheet_period"), t("report.groups"), t("report.services")]
    assert all(sheet.freeze_panes is not None for sheet in book)
    rows = sheet_rows(book, t("report.services"))
    for row, service in zip(rows, REPORT.services, strict=True):
        assert row["service"] == service.name
        assert row["uptime_percent"] == pytest.approx((service.uptime_percent or 0) / 100, abs=1e-15)
        assert row["uptime"] == pytest.approx(float(service.uptime) / 100)
        assert (row["down_seconds"], row["estimated"]) == (service.seconds.down, service.estimated)
        assert (row["from_utc"], row["to_utc"]) == (START.replace(tzinfo=None), END.replace(tzinfo=None))
    sheet = book[t("report.services")]
    formats = {head.value: cell.number_format for head, cell in zip(sheet[1], sheet[2], strict=True)}
    assert (formats["uptime"], formats["from_utc"]) == ("0.00%", "yyyy-mm-dd hh:mm:ss")
    [outage, *_] = sheet_rows(book, t("report.outages"))
    assert (outage["from_utc"].isoformat(), outage["seconds"]) == ("2026-10-03T00:00:00", 60)
    assert outage["corrections"] == "C1"
    [correction] = sheet_rows(book, t("report.corrections"))
    assert (correction["reason"], correction["author"]) == (HOSTILE[0], HOSTILE[3])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_has_all_figures_and_no_markup_of_users(language: Language) -> None:
    content = render(REPORT, "html", language)
    page = Page(content)
    assert page.language == language
    assert (page.tables, page.heads_without_scope) == (page.captions, 0)
    assert page.tables > 15
    assert "script" not in page.tags and "img" not in page.tags
    assert b"<script>" not in content and b"http" not in content.replace(b"http-equiv", b"")
    shown = "".join(page.texts)
    for name in HOSTILE:
        assert name in shown
    for service in REPORT.services:
        assert service.sql in shown
        assert f"{service.uptime}%" in shown
        for value in (service.uptime_percent, service.seconds.down, service.coverage, service.budget.left_seconds):
            assert value in page.values
    for sentence in words.sentences(REPORT.policies[1], texts(language, "Asia/Seoul")):
        assert sentence in shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_pdf_has_all_figures_as_text(language: Language) -> None:
    content = render(REPORT, "pdf", language)
    read = pypdf.PdfReader(io.BytesIO(content))
    t = texts(language, "Asia/Seoul")
    assert read.metadata is not None and read.metadata.title == f"{words.title(REPORT, t)} – {REPORT.site}"
    catalog: Any = read.trailer["/Root"]
    assert (catalog["/Lang"], catalog["/MarkInfo"]["/Marked"]) == (language, True)
    assert "/StructTreeRoot" in catalog
    text = pdf_text(content)
    for name in HOSTILE:
        assert "".join(name.split()) in text, name
    for service in REPORT.services:
        assert f"{service.uptime}%" in text
        assert "".join(service.sql.split()) in text
    assert "root:" not in text
    for sentence in words.sentences(REPORT.policies[1], t):
        assert "".join(sentence.split()) in text
    pages = len(read.pages)
    assert "".join(t("report.page_of", page=str(pages), pages=str(pages)).split()) in text
    fonts = {str(font["/BaseFont"]) for font in _fonts(read)}
    assert any("NotoSansKR" in font for font in fonts)


def _fonts(read: pypdf.PdfReader) -> Iterator[Any]:
    for page in read.pages:
        for font in page["/Resources"]["/Font"].values():  # type: ignore[index]
            yield font.get_object()


def test_tables_of_a_pdf_repeat_their_heads_on_each_page() -> None:
    pages = pypdf.PdfReader(io.BytesIO(render(hostile_report(90), "pdf", "en"))).pages
    of_overview = [page for page in pages[:4] if "Budget left" in page.extract_text()]
    assert len(of_overview) >= 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_of_a_terminal_has_the_figures(language: Language) -> None:
    shown = table(REPORT, language, terminal=False)
    for name in HOSTILE[:8]:
        assert name in shown
    assert "99.99%" in shown and "C1" in shown
    assert "\x1b" not in shown
    assert "\x1b" in table(REPORT, language, terminal=True)


def test_a_public_report_has_no_authors_and_reasons() -> None:
    public = hostile_report(public=True)
    t = texts("en", "UTC")
    for form in ("json", "html"):
        content = render(public, form, "en").decode()
        assert t("report.author") not in content
    heads = next(openpyxl.load_workbook(io.BytesIO(render(public, "xlsx", "en")))["Corrections"].values)
    assert "author" not in heads


def test_the_terms_of_a_policy_are_sentences() -> None:
    terms = policy(
        "Gold",
        scope="tag",
        subject="gold",
        period="rolling",
        rolling_days=30,
        service_hours=[
            {"days": [1, 2, 3, 4, 5], "from": "08:00", "until": "20:00"},
            {"days": [7], "from": "10:00", "until": "24:00"},
        ],
        holiday_calendar="KR",
        holidays=[date(2026, 10, 3)],
        announced_minutes=1440,
        degraded_weight=0.25,
        unknown="down",
        shortest_outage_seconds=90,
        quorum="number",
        quorum_locations=2,
        least_coverage=97.5,
        objective_ms=300,
        objective_share=95.0,
        credits=[ReportCredit(99.9, 10.0), ReportCredit(99.0, 25.0)],
        group_method="mean",
    )
    assert words.sentences(terms, texts("en", "UTC")) == [
        "The policy is for the services with the tag gold.",
        "These terms apply from Jan 1, 2026.",
        "Of the time that counts in the last 30 days, the service is available for at least 99.9%.",
        "The service hours are Mon–Fri 08:00–20:00, Sun 10:00–24:00, in the time zone Asia/Seoul. "
        "Other time does not count.",
        "The holidays of the calendar KR are not service hours. In this period: Oct 3, 2026",
        "Maintenance does not count if it was announced at least 1 d before it began.",
        "25% of degraded time count as downtime.",
        "Time without data counts as downtime.",
        "An outage counts if it lasts at least 1 min 30 s.",
        "The service is down while at least 2 locations, or all with data if there are fewer, see an outage.",
        "There is no verdict if less than 97.5% of the time is known.",
        "Response-time objective: 95% of the successful checks take at most 300 ms.",
        "Service credits: 10% of the fee below 99.9% uptime, 25% of the fee below 99% uptime.",
        "The figures of a group are the mean of its services, weighted by time.",
    ]
    korean = words.sentences(terms, texts("ko", "UTC"))
    assert len(korean) == 14
    assert korean[3].startswith("서비스 시간은 Asia/Seoul 시간대로 월–금 08:00–20:00, 일 10:00–24:00입니다.")
    assert len(words.sentences(policy("Plain"), texts("ko", "UTC"))) == 13


def test_percentages_are_rounded_down() -> None:
    t = texts("en", "UTC")
    assert [words.percentage(t, value) for value in (99.999, 100.0, 99.98, None)] == [
        "99.99%",
        "100.00%",
        "99.98%",
        "–",
    ]


def test_a_file_is_named_after_its_period_and_revision() -> None:
    assert file_name(REPORT, "pdf") == "sla-2026-10-01-2026-10-31-r2.pdf"


async def test_a_process_renders_the_same_bytes() -> None:
    assert await Renderer(timeout_s=120).render(REPORT, "pdf", "ko") == render(REPORT, "pdf", "ko")


async def test_a_process_that_takes_too_long_is_killed() -> None:
    before = _children()
    with pytest.raises(RenderingFailed, match=r"the html took longer than 0\.1 s"):
        await Renderer(timeout_s=0.1).render(REPORT, "html", "en")
    for pause_s in pauses():
        if not _children() - before:
            break
        await anyio.sleep(pause_s)


def _children() -> set[int]:
    """The processes that this one has started and that have not ended."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text("ascii")
    return {int(number) for number in listed.split()}


async def test_few_reports_are_made_at_once_and_few_wait() -> None:
    renderer = Renderer(timeout_s=120)
    rendered: list[bytes] = []

    async def start() -> None:
        async with renderer.turn():
            rendered.append(await renderer.render(REPORT, "html", "en"))

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE + MOST_WAITING):
            tasks.start_soon(start)
        for pause_s in pauses():
            if renderer.waiting == MOST_WAITING:
                break
            await anyio.sleep(pause_s)
        with pytest.raises(RendererBusy):
            async with renderer.turn():
                raise AssertionError("more reports than allowed wait")
    assert len(rendered) == AT_ONCE + MOST_WAITING
    async with renderer.turn():
        assert renderer.waiting == 0
