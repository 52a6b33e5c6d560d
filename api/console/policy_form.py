"""The form of an SLA policy: its fields, and the body of the request to REST."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from api.console import rows
from api.pages.forms import Form
from api.rest.problems import camel
from api.sla.policy_fields import VersionRow
from api.sla.policy_terms import DEFAULTS

MAX_ROWS = 100
TEXTS = (
    *("name", "validFrom", "period", "timeZone", "holidayCalendar", "maintenance", "unknown", "quorum"),
    "groupMethod",
)
NUMBERS = ("rollingDays", "announcedMinutes", "shortestOutageSeconds", "quorumLocations")
DECIMALS = ("target", "degradedWeight", "leastCoverage")
OBJECTIVE = ("objectiveMs", "objectiveShare")
"""The two fields of `responseTimeObjective`."""
OPTIONAL = ("holidayCalendar", "rollingDays", "quorumLocations")
"""Fields that are null where they are empty."""
UNUSED: Mapping[str, tuple[str, str]] = {
    "rollingDays": ("period", "rolling"),
    "quorumLocations": ("quorum", "number"),
}
"""Fields that only one choice of another field has a use for. Otherwise what is in them is not sent."""


class HoursRow(msgspec.Struct, frozen=True):
    """An interval of the service hours as it was entered."""

    days: tuple[str, ...] = ()
    from_: str = ""
    until: str = ""


class CreditRow(msgspec.Struct, frozen=True):
    """A row of the service credits as it was entered."""

    below: str = ""
    credit: str = ""


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """The fields as they were entered, by their names in REST."""

    values: Mapping[str, str]
    hours: Sequence[HoursRow]
    credits: Sequence[CreditRow]
    scope: str = "everything"
    subject: str = ""

    @property
    def lists(self) -> dict[str, tuple[str, list[int]]]:
        """For each list of the body, the prefix of its rows and the numbers of those that are filled in."""
        return {
            "serviceHours": ("hours", [n for n, row in enumerate(self.hours) if row != HoursRow()]),
            "credits": ("credits", [n for n, row in enumerate(self.credits) if row != CreditRow()]),
        }

    def body(self) -> dict[str, Any]:
        """The terms for the request to REST."""
        sent: dict[str, Any] = {name: self.values[name] for name in TEXTS}
        sent |= {name: _number(self.values[name]) for name in NUMBERS}
        sent |= {name: _decimal(self.values[name]) for name in DECIMALS}
        sent |= {name: sent[name] or None for name in OPTIONAL}
        for name, (other, choice) in UNUSED.items():
            if self.values[other] != choice:
                sent[name] = None
        if not self.values["validFrom"]:
            del sent["validFrom"]
        hours = [row for row in self.hours if row != HoursRow()]
        sent["serviceHours"] = [
            {"days": [_number(day) for day in row.days], "from": row.from_, "until": row.until} for row in hours
        ] or None
        steps = [row for row in self.credits if row != CreditRow()]
        sent["credits"] = [{"below": _decimal(row.below), "credit": _decimal(row.credit)} for row in steps] or None
        ms, share = (self.values[name] for name in OBJECTIVE)
        sent["responseTimeObjective"] = {"ms": _number(ms), "share": _decimal(share)} if ms else None
        return sent

    def body_of_new(self) -> dict[str, Any]:
        """The body of the request for a new policy."""
        return self.body() | {"scope": self.scope, "subject": self.subject or None}


def filled(form: Form) -> Filled:
    return Filled(
        values={name: form.text(name) for name in (*TEXTS, *NUMBERS, *DECIMALS, *OBJECTIVE)},
        hours=rows.read(form, "hours", lambda prefix: _hours(form, prefix), MAX_ROWS),
        credits=rows.read(
            form,
            "credits",
            lambda prefix: CreditRow(form.text(f"{prefix}below"), form.text(f"{prefix}credit")),
            MAX_ROWS,
        ),
        scope=form.text("scope"),
        subject=form.text("subject"),
    )


def _hours(form: Form, prefix: str) -> HoursRow:
    return HoursRow(tuple(form.texts(f"{prefix}days")), form.text(f"{prefix}from"), form.text(f"{prefix}until"))


def _credit(form: Form, prefix: str) -> CreditRow:
    return CreditRow(form.text(f"{prefix}below"), form.text(f"{prefix}credit"))


def blank(zone: str, first_day: date) -> Filled:
    """The values of a new form: the defaults of REST, valid from `first_day` on."""
    terms = {**DEFAULTS, "name": "", "target": 99.9, "time_zone": zone, "valid_from": first_day}
    return _of_terms(terms)


def of_version(row: VersionRow, first_day: date) -> Filled:
    """The values of a stored version, for a new one that is valid from `first_day` on."""
    return _of_terms(row.terms() | {"valid_from": first_day}, row.scope, row.subject or "")


def _of_terms(terms: Mapping[str, Any], scope: str = "everything", subject: str = "") -> Filled:
    listed = ("service_hours", "credits", "response_time_objective")
    values = {camel(name): _written(value) for name, value in terms.items() if name not in listed}
    objective = terms["response_time_objective"]
    values |= {
        "objectiveMs": _written(objective.ms if objective is not None else None),
        "objectiveShare": _written(objective.share if objective is not None else 95.0),
    }
    return Filled(
        values=values,
        hours=[HoursRow(tuple(map(str, one.days)), one.from_, one.until) for one in terms["service_hours"] or ()],
        credits=[CreditRow(_written(one.below), _written(one.credit)) for one in terms["credits"] or ()],
        scope=scope,
        subject=subject,
    )


def _written(value: Any) -> str:
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def _number(text: str) -> int | str | None:
    """A whole number. Other texts are returned unchanged, for the validation of REST to refuse."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else (text or None)


def _decimal(text: str) -> float | str:
    """A number with a point or a comma. Other texts are returned unchanged."""
    digits = text.replace(",", ".", 1)
    return float(digits) if digits.replace(".", "", 1).isdigit() and digits.isascii() and len(digits) < 16 else text
