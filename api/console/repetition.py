"""The recurrence of a maintenance window in a form: fields for the common cases, the RRULE as a text for all others."""

from datetime import date
from typing import Literal, get_args

import msgspec

from api.pages.forms import Form
from sla_monitor.texts.languages import Texts

Kind = Literal["never", "daily", "weekly", "monthly", "monthly-weekday", "rule"]
Limit = Literal["never", "until", "count"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WEEKDAYS = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
"""In the order of `Texts.weekdays`."""


class Repetition(msgspec.Struct, frozen=True, kw_only=True):
    """The fields as they were entered."""

    kind: str = "never"
    every: str = "1"
    days: tuple[str, ...] = ()
    limit: str = "never"
    until: str = ""
    count: str = ""
    rule: str = ""

    def rrule(self, first: date) -> str | None:
        """The RRULE (RFC 5545) of a window whose first occurrence is on `first`. Its values are validated by REST."""
        match self.kind:
            case "daily":
                parts = ["FREQ=DAILY"]
            case "weekly":
                days = [day for day in WEEKDAYS if day in self.days]  # none: as the first one
                parts = ["FREQ=WEEKLY", *(["BYDAY=" + ",".join(days)] if days else [])]
            case "monthly":
                parts = ["FREQ=MONTHLY"]
            case "monthly-weekday":
                nth = _nth(first)
                parts = ["FREQ=MONTHLY", f"BYDAY={nth if nth < 5 else -1}{_weekday(first)}"]
            case "rule":
                return self.rule or None
            case _:
                return None
        if self.every not in ("", "1"):
            parts.insert(1, f"INTERVAL={self.every}")
        if self.limit == "until":
            parts.append("UNTIL=" + self.until.replace("-", ""))
        elif self.limit == "count":
            parts.append(f"COUNT={self.count}")
        return ";".join(parts)

    def described(self, t: Texts, first: date) -> str:
        """A text such as `Every 2 weeks · Sun, Wed · 5 times`; empty without recurrence; the rule itself if it has no
        fields."""
        if self.kind in ("never", "rule"):
            return self.rule
        names = dict(zip(WEEKDAYS, t.weekdays(), strict=True))
        on = {
            "weekly": ", ".join(names[day] for day in WEEKDAYS if day in (self.days or (_weekday(first),))),
            "monthly-weekday": t(f"maintenance.nth_{_nth(first)}", day=names[_weekday(first)]),
            "monthly": t("maintenance.day_of_month", day=first.day),
        }
        unit = self.kind.partition("-")[0]
        every = int(self.every)
        parts = [t(f"maintenance.every_{unit}", count=every) if every > 1 else t(f"maintenance.each_{unit}")]
        parts += [on[self.kind]] if self.kind in on else []
        if self.limit == "until":
            parts.append(t("maintenance.until_day", day=t.full_day(date.fromisoformat(self.until))))
        elif self.limit == "count":
            parts.append(t("maintenance.times", count=int(self.count)))
        return " · ".join(parts)


def read(rrule: str | None, first: date) -> Repetition:
    """The fields for a stored rule. A rule that the fields cannot reproduce is kept as a text."""
    if rrule is None:
        return Repetition()
    parts = dict(part.partition("=")[::2] for part in rrule.upper().split(";"))
    kind = {"DAILY": "daily", "WEEKLY": "weekly", "MONTHLY": "monthly"}.get(parts.get("FREQ", ""), "rule")
    until, count = parts.get("UNTIL", ""), parts.get("COUNT", "")
    found = Repetition(
        kind="monthly-weekday" if kind == "monthly" and "BYDAY" in parts else kind,
        every=parts.get("INTERVAL", "1"),
        days=tuple(parts["BYDAY"].split(",")) if kind == "weekly" and "BYDAY" in parts else (),
        limit="until" if until else "count" if count else "never",
        until=f"{until[:4]}-{until[4:6]}-{until[6:8]}" if until else "",
        count=count,
    )
    return found if found.rrule(first) == rrule else Repetition(kind="rule", rule=rrule)


def read_form(form: Form) -> Repetition:
    """The fields of a form."""
    return Repetition(
        kind=form.text("repeats"),
        every=form.text("every"),
        days=tuple(form.texts("days")),
        limit=form.text("limit"),
        until=form.text("until"),
        count=form.text("count"),
        rule=form.text("rrule"),
    )


def _weekday(day: date) -> str:
    return WEEKDAYS[day.isoweekday() % 7]


def _nth(day: date) -> int:
    """The number of this weekday in its month, 1 to 5."""
    return (day.day - 1) // 7 + 1
