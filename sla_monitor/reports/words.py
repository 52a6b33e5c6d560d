"""The texts of a report in one language: its title and period, its numbers, and the terms of its policies."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from msgspec.structs import replace

from sla_monitor.reports.structure import Report, ReportCredit, ReportPolicy, ReportScope
from sla_monitor.texts.languages import Language, Texts, texts


def in_words(report: Report, language: Language) -> Report:
    """The report with its title and the sentences of its policies."""
    t = texts(language, report.zone)
    policies = [replace(terms, words=sentences(terms, t)) for terms in report.policies]
    return replace(report, title=title(report, t), policies=policies)


def title(report: Report, t: Texts) -> str:
    return t("report.title", period=period(report.from_, report.to, t))


def period(first: date, last: date, t: Texts) -> str:
    """`October 2026`, `Q3 2026`, `2026`, or the first and the last day."""
    following = last + timedelta(days=1)
    months = (following.year - first.year) * 12 + following.month - first.month
    if first.day == following.day == 1:
        if months == 1:
            return t.month(first)
        if months == 3 and first.month % 3 == 1:
            return t("report.quarter", year=str(first.year), quarter=str(first.month // 3 + 1))
        if months == 12 and first.month == 1:
            return t("report.year", year=str(first.year))
    return t("report.days", first=t.full_day(first), last=t.full_day(last))


def scope_lines(scope: ReportScope, t: Texts) -> list[str]:
    """What the report is about, a line for each kind of name."""
    if scope.everything:
        return [t("report.scope_everything_public" if scope.public else "report.scope_everything")]
    listed = ((scope.services, "services"), (scope.groups, "groups"), (scope.tags, "tags"))
    return [t(f"report.scope_{kind}", names=", ".join(names)) for names, kind in listed if names]


def percentage(t: Texts, value: float | None, digits: int = 2) -> str:
    """`99.98%`, rounded down; a dash for None."""
    return "–" if value is None else t.number(rounded_down(value, digits), digits) + "%"


def promised(value: float) -> str:
    """`99.9%`, with up to four decimals, those of a target."""
    return f"{Decimal(str(round(value, 4))).normalize():f}%"


def rounded_down(value: float, digits: int) -> float:
    return float(Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_DOWN))


def span(t: Texts, seconds: float | None) -> str:
    """A length such as `2 h 5 min`; a dash for None. A negative one has a minus sign."""
    if seconds is None:
        return "–"
    return ("−" if seconds <= -1 else "") + t.duration(abs(seconds))


def sentences(terms: ReportPolicy, t: Texts) -> list[str]:
    """All terms of a policy version as sentences."""
    return [
        _scope(terms, t),
        t("policy_words.valid_from", day=t.full_day(terms.valid_from)),
        _target(terms, t),
        _hours(terms.service_hours, terms.time_zone, t),
        *_holidays(terms, t),
        _maintenance(terms, t),
        _degraded(terms.degraded_weight, t),
        t(f"policy_words.unknown_{terms.unknown}"),
        _shortest_outage(terms.shortest_outage_seconds, t),
        t(f"policy_words.quorum_{terms.quorum}", n=terms.quorum_locations or 0),
        _coverage(terms.least_coverage, t),
        _objective(terms, t),
        _credits(terms.credits or [], t),
        t(f"policy_words.method_{terms.group_method}"),
    ]


def _scope(terms: ReportPolicy, t: Texts) -> str:
    if terms.scope == "tag" and terms.subject is None:
        return t("policy_words.for_tags")
    return t(f"policy_words.for_{terms.scope}", subject=terms.subject or "")


def _target(terms: ReportPolicy, t: Texts) -> str:
    return t(f"policy_words.target_{terms.period}", target=promised(terms.target), days=terms.rolling_days or 0)


def _hours(hours: Sequence[dict[str, Any]] | None, zone: str, t: Texts) -> str:
    if hours is None:
        return t("policy_words.hours_always", zone=zone)
    names = t.weekdays()  # from Sunday
    listed = [
        t("policy_words.interval", days=_days([names[day % 7] for day in days], days), **{"from": begin}, until=until)
        for days, begin, until in ((sorted(item["days"]), item["from"], item["until"]) for item in hours)
    ]
    return t("policy_words.hours", hours=", ".join(listed), zone=zone)


def _days(names: Sequence[str], days: Sequence[int]) -> str:
    """`Mon–Fri` for three or more days in a row, else `Mon, Wed`."""
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{names[0]}–{names[-1]}"
    return ", ".join(names)


def _holidays(terms: ReportPolicy, t: Texts) -> Iterable[str]:
    if terms.holiday_calendar is None:
        return
    if terms.holidays:
        days = ", ".join(map(t.full_day, terms.holidays))
        yield t("policy_words.holidays", calendar=terms.holiday_calendar, days=days)
    else:
        yield t("policy_words.no_holidays", calendar=terms.holiday_calendar)


def _maintenance(terms: ReportPolicy, t: Texts) -> str:
    if terms.maintenance == "counted":
        return t("policy_words.maintenance_counted")
    if terms.announced_minutes == 0:
        return t("policy_words.maintenance_excluded")
    return t("policy_words.maintenance_announced", time=t.duration(60 * terms.announced_minutes))


def _degraded(weight: float, t: Texts) -> str:
    if weight in (0, 1):
        return t("policy_words.degraded_down" if weight else "policy_words.degraded_up")
    return t("policy_words.degraded_share", share=promised(round(100 * weight, 1)))


def _shortest_outage(seconds: int, t: Texts) -> str:
    if seconds == 0:
        return t("policy_words.every_outage")
    return t("policy_words.shortest_outage", time=t.duration(seconds))


def _coverage(least: float, t: Texts) -> str:
    return t("policy_words.least_coverage", share=promised(least)) if least else t("policy_words.any_coverage")


def _objective(terms: ReportPolicy, t: Texts) -> str:
    if terms.objective_ms is None or terms.objective_share is None:
        return t("policy_words.no_objective")
    share = promised(terms.objective_share)
    return t("policy_words.objective", share=share, ms=t.milliseconds(terms.objective_ms))


def _credits(steps: Sequence[ReportCredit], t: Texts) -> str:
    if not steps:
        return t("policy_words.no_credits")
    listed = [t("policy_words.credit_step", below=promised(step.below), credit=promised(step.credit)) for step in steps]
    return t("policy_words.credits", steps=", ".join(listed))
