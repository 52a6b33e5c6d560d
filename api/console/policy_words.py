"""The terms of SLA policies in words, by the columns of the database: for the page of a policy, the history of its
versions and the audit log."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from api.sla.policy_fields import PolicyChange, VersionRow
from sla_monitor.texts.languages import Texts

TERMS = tuple(name for name in PolicyChange.__struct_fields__ if name != "valid_from")
"""The terms of a version, by column, in the order in which they are shown."""
CHOICES = frozenset({"period", "maintenance", "unknown", "quorum", "scope", "group_method"})
"""Columns whose values have texts of their own."""
OPTIONAL = ("rolling_days", "quorum_locations", "holiday_calendar", "response_time_objective", "credits")
"""Terms that are not shown where a policy does not have them."""
WEEK = 7


class TermChange(NamedTuple):
    """A term that differs between two versions, in words."""

    column: str
    before: str
    after: str


class VersionEntry(NamedTuple):
    """A version with the terms that it changes; none for the first version."""

    row: VersionRow
    changes: list[TermChange]


def shown(t: Texts, column: str, value: Any) -> str:
    """The value of a column, of a version or as JSON of the audit log."""
    if column == "service_hours":
        return hours(t, value)
    if value is None:
        return t("site.none")
    if column == "credits":
        return "; ".join(
            t("policies.credit", below=t.target(float(one["below"])), credit=t.target(float(one["credit"])))
            for one in value
        )
    if column == "response_time_objective":
        return t("policies.objective", time=t.milliseconds(value.ms), share=t.target(value.share))
    if column in CHOICES:
        return t(f"policies.{column}_{value}")
    match column:
        case "target" | "least_coverage":
            return t.target(float(value))
        case "degraded_weight":
            return t.target(100 * float(value))
        case "announced_minutes":
            return t("policies.announced_any") if value == 0 else t("policies.ahead", time=t.duration(60 * value))
        case "shortest_outage_seconds":
            return t("policies.shortest_any") if value == 0 else t.duration(value)
        case "rolling_days":
            return t("policies.days", count=value)
        case "valid_from":
            return t.full_day(date.fromisoformat(str(value)))
        case "ended":
            return t("policies.yes" if value else "policies.no")
    return str(value)


def hours(t: Texts, intervals: Sequence[Mapping[str, Any]] | None) -> str:
    """Weekly intervals such as `Mon, Tue 08:00–20:00; Sat 10:00–14:00`."""
    if intervals is None:
        return t("policies.always")
    names = t.weekdays()  # from Sunday on
    return "; ".join(
        f"{', '.join(names[day % WEEK] for day in sorted(one['days']))} {one['from']}–{one['until']}"
        for one in intervals
    )


def words(t: Texts, row: VersionRow) -> list[tuple[str, str]]:
    """The terms of a version in words, each with its column. Terms without a meaning for it are left out."""
    values = {column: getattr(row, column) for column in TERMS if column != "name"}
    unused = {name for name in OPTIONAL if values[name] is None}
    if row.maintenance == "counted":
        unused.add("announced_minutes")
    return [(column, shown(t, column, value)) for column, value in values.items() if column not in unused]


def history(t: Texts, rows: Sequence[VersionRow]) -> list[VersionEntry]:
    """The versions of a policy, the newest one first, each with what it changes."""
    return [VersionEntry(row, _changes(t, before, row)) for row, before in zip(rows, [*rows[1:], None], strict=True)]


def _changes(t: Texts, before: VersionRow | None, after: VersionRow) -> list[TermChange]:
    if before is None:
        return []
    pairs = [
        (column, shown(t, column, getattr(before, column)), shown(t, column, getattr(after, column)))
        for column in TERMS
    ]
    return [TermChange(*pair) for pair in pairs if pair[1] != pair[2]]
