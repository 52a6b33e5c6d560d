"""The figures of one service in a language, and the whole report as the templates of HTML and PDF show it."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from sla_monitor.reports import tables, words
from sla_monitor.reports.request import MOST_EVENTS, MOST_OUTAGES
from sla_monitor.reports.structure import Report, ServiceReport
from sla_monitor.reports.tables import CalendarCell, Cell, Month, Table
from sla_monitor.reports.words import percentage, promised, span
from sla_monitor.texts.languages import Language, Texts, texts


class Fact(msgspec.Struct):
    label: str
    cell: Cell


class ServiceDetails(msgspec.Struct):
    """`notes`: sentences that qualify the figures. `outages`: None if there are none."""

    id: str
    name: str
    group: str | None
    verdict: Cell
    uptime: Cell
    target: str
    budget: Cell
    budget_text: str
    time: list[Fact]
    facts: list[Fact]
    notes: list[str]
    parts: Table | None
    outages: Table | None
    sql: str


class PolicyText(msgspec.Struct):
    name: str
    sentences: list[str]


class Document(msgspec.Struct):
    """A report in a language. `labels`: the texts of the templates by key."""

    language: Language
    site: str
    heading: str
    title: str
    period: str
    head: list[Fact]
    tiles: list[Fact]
    notes: list[str]
    groups: Table | None
    overview: Table | None
    months: list[Month]
    legend: list[CalendarCell]
    services: list[ServiceDetails]
    incidents: Table | None
    maintenance: Table | None
    corrections: Table | None
    policies: list[PolicyText]
    basis: list[str]
    labels: dict[str, str]


_LABELS = (
    *("summary", "services", "groups", "calendar", "calendar_note", "legend", "details", "incidents", "no_incidents"),
    *("maintenance", "no_maintenance", "corrections", "no_corrections", "policies", "policy_note", "basis", "sql"),
    *("sql_note", "uptime", "target", "budget", "service", "no_outages", "no_services", "page_of"),
)


def document(report: Report, language: Language) -> Document:
    """The report in a language, with times in its zone."""
    t = texts(language, report.zone)
    names = {service.id: service.name for service in report.services}
    numbers = tables.correction_numbers(report, t)
    return Document(
        language=language,
        site=report.site,
        heading=t("report.heading"),
        title=words.title(report, t),
        period=words.period(report.from_, report.to, t),
        head=_head(report, t),
        tiles=_tiles(report, t),
        notes=_notes(report, t),
        groups=tables.groups(report, t) if report.groups else None,
        overview=tables.overview(report, t) if report.services else None,
        months=tables.calendar(report, t),
        legend=tables.legend(t),
        services=[_service(service, report, t, numbers) for service in report.services],
        incidents=tables.incidents(report, t, names) if report.incidents else None,
        maintenance=tables.maintenance(report, t, names) if report.maintenance else None,
        corrections=tables.corrections(report, t, names) if report.corrections else None,
        policies=[
            PolicyText(
                t("report.policy_version", name=terms.name, version=str(terms.version)), words.sentences(terms, t)
            )
            for terms in report.policies
        ],
        basis=[
            *(t(f"report.basis_{name}") for name in ("uptime", "coverage", "budget", "outages")),
            t("report.limits", outages=MOST_OUTAGES, events=MOST_EVENTS),
        ],
        labels={name: t(f"report.{name}") for name in _LABELS},
    )


def _head(report: Report, t: Texts) -> list[Fact]:
    revision = t("report.not_issued")
    if report.revision is not None:
        revision = str(report.revision)
    rows = [
        ("period", words.period(report.from_, report.to, t)),
        ("scope", " · ".join(words.scope_lines(report.scope, t))),
        ("zone", report.zone),
        ("generated", t.moment(report.generated_at)),
        ("as_of", t.moment(report.as_of or report.generated_at)),
        ("revision", revision),
    ]
    return [Fact(t(f"report.{name}"), Cell(text)) for name, text in rows]


def _tiles(report: Report, t: Texts) -> list[Fact]:
    summary = report.summary
    found = [
        Fact(t("report.services"), Cell(t.number(summary.services), summary.services, "neutral")),
        Fact(t("report.met"), Cell(t.number(summary.met), summary.met, "good")),
        Fact(t("report.missed"), Cell(t.number(summary.missed), summary.missed, "bad")),
        Fact(
            t("report.insufficient_data"),
            Cell(t.number(summary.insufficient_data), summary.insufficient_data, "uncertain"),
        ),
    ]
    if summary.no_data:
        found.append(Fact(t("report.no_data"), Cell(t.number(summary.no_data), summary.no_data, "neutral")))
    return found


def _notes(report: Report, t: Texts) -> list[str]:
    notes = []
    if not report.services:
        notes.append(t("report.no_services"))
    if without := report.summary.without_policy:
        names = {service.id: service.name for service in without}
        notes.append(t("report.without_policy", names=tables.named(list(names), names)))
    return notes


def _service(service: ServiceReport, report: Report, t: Texts, numbers: Mapping[UUID, str]) -> ServiceDetails:
    budget = service.budget
    notes = []
    if service.estimated:
        notes.append(t("report.estimated_note"))
    if (left_out := service.outages - len(service.outage_list)) > 0:
        notes.append(t("report.outages_left_out", count=left_out))
    return ServiceDetails(
        id=service.id,
        name=service.name,
        group=service.group,
        verdict=tables.verdict(t, service.verdict),
        uptime=Cell(t.percent(service.uptime), service.uptime_percent),
        target=promised(service.target),
        budget=tables.budget_cell(t, budget),
        budget_text=t(
            "report.budget_bar", spent=t.duration(budget.spent_seconds), total=t.duration(budget.total_seconds)
        ),
        time=[
            Fact(t(f"report.seconds_{name}"), Cell(t.duration(seconds), seconds))
            for name, seconds in msgspec.structs.asdict(service.seconds).items()
        ],
        facts=_facts(service, t),
        notes=notes,
        parts=_parts(service, report, t) if len(service.parts) > 1 else None,
        outages=_outages(service, t, numbers) if service.outage_list else None,
        sql=service.sql,
    )


def _facts(service: ServiceReport, t: Texts) -> list[Fact]:
    times = service.response_times
    percentiles = " / ".join(t.milliseconds(value) for value in (times.p50, times.p95, times.p99))
    rows = [
        ("coverage", Cell(percentage(t, service.coverage), service.coverage)),
        ("outages", Cell(t.number(service.outages), service.outages)),
        ("longest_outage", Cell(span(t, service.longest_outage_seconds), service.longest_outage_seconds)),
        ("mttr", Cell(span(t, service.mttr_seconds), service.mttr_seconds)),
        ("mtbf", Cell(span(t, service.mtbf_seconds), service.mtbf_seconds)),
        ("checks", Cell(t.number(service.checks.total), service.checks.total)),
        ("failed_checks", Cell(t.number(service.checks.failed), service.checks.failed)),
        ("checks_uptime", Cell(percentage(t, service.checks.uptime), service.checks.uptime)),
        ("percentiles", Cell(percentiles)),
    ]
    if (objective := times.objective) is not None:
        share = promised(objective.share) if objective.share is not None else "–"
        text = t(
            "report.objective_text",
            share=share,
            ms=t.milliseconds(objective.ms),
            actual=percentage(t, objective.actual),
        )
        tone: tables.Tone = "neutral" if objective.met is None else "good" if objective.met else "bad"
        rows.append(("objective", Cell(text, objective.actual, tone)))
    if service.credit is not None:
        rows.append(("credit", Cell(promised(service.credit), service.credit)))
    if (end := service.budget.projected_end) is not None:
        rows.append(("projected_end", Cell(t.moment(end))))
    if service.estimated:
        rows.append(("estimated", Cell(t("report.estimated_mark"))))
    return [Fact(t(f"report.{name}"), cell) for name, cell in rows]


def _parts(service: ServiceReport, report: Report, t: Texts) -> Table:
    policies = {(terms.id, terms.version): terms.name for terms in report.policies}
    rows = [
        [
            Cell(
                t(
                    "report.policy_version",
                    name=policies.get((part.policy_id, part.version), ""),
                    version=str(part.version),
                )
            ),
            Cell(t.moment(part.from_)),
            Cell(t.moment(part.to)),
            Cell(promised(part.target), part.target),
            Cell(span(t, part.seconds.down), part.seconds.down),
            Cell(span(t, part.budget_seconds), part.budget_seconds),
            Cell(span(t, part.spent_seconds), part.spent_seconds),
        ]
        for part in service.parts
    ]
    columns = ["policy", "from", "to", "target", "downtime", "budget_total", "budget_spent"]
    return tables.table(
        t("report.parts_of", service=service.name), [t(f"report.{name}") for name in columns], rows, (3, 4, 5, 6)
    )


def _outages(service: ServiceReport, t: Texts, numbers: Mapping[UUID, str]) -> Table:
    rows = [
        [
            Cell(t.moment(outage.starts_at, seconds=True)),
            Cell(t.moment(outage.ends_at, seconds=True) if outage.ends_at else t("report.goes_on")),
            Cell(t.duration(outage.seconds), outage.seconds),
            Cell(", ".join(numbers[item] for item in outage.corrections if item in numbers) or "–"),
        ]
        for outage in service.outage_list
    ]
    columns = ["from", "to", "duration", "corrections"]
    return tables.table(
        t("report.outages_of", service=service.name), [t(f"report.{name}") for name in columns], rows, (2,)
    )
