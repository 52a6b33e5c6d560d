"""The form of a correction: its fields, and the body of the request to REST. Times are local times of a named zone."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec

from api.console.local_times import which, written
from api.console.maintenance_form import local_moment
from api.console.repetition import Repetition, read_form
from api.pages.forms import Form
from api.pages.problems import Problem
from api.sla.corrections import Category, Effect
from api.sla.subjects import Scope
from sla_monitor.formats.time_zones import zone
from sla_monitor.texts.languages import Texts

CHOICES: Mapping[str, tuple[str, ...]] = {
    "scope": get_args(Scope),
    "effect": get_args(Effect),
    "category": get_args(Category),
}


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """The fields as they were entered. Fields that REST has too are named as there."""

    scope: str = "service"
    subject: str = ""
    effect: str = "up"
    category: str = "false_positive"
    reason: str = ""
    time_zone: str = "UTC"
    starts_at: str = ""
    starts_which: str = ""
    ends_at: str = ""
    ends_which: str = ""
    repetition: Repetition = Repetition()

    def problems(self, t: Texts) -> dict[str, Problem]:
        """The times that cannot be read, by field. All other values are validated by REST."""
        return {field: message for field, (_, message) in self._moments(t).items() if message}

    def body(self, t: Texts) -> dict[str, Any]:
        """The body of the request to REST. `problems` must be empty."""
        moments = {field: moment for field, (moment, _) in self._moments(t).items()}
        return {
            "scope": self.scope,
            "subject": None if self.scope == "everything" else self.subject or None,
            "effect": self.effect,
            "category": self.category,
            "reason": self.reason,
            **moments,
            "rrule": self.repetition.rrule(self.first),
            "timeZone": self.time_zone,
        }

    @property
    def first(self) -> date:
        """The local day of the first occurrence."""
        return datetime.fromisoformat(self.starts_at).date()

    def _moments(self, t: Texts) -> dict[str, tuple[datetime | None, str]]:
        known = zone(self.time_zone)
        if known is None:
            return {"timeZone": (None, t("maintenance.zone_unknown"))}
        return {
            "startsAt": local_moment(self.starts_at, known, self.starts_which, t),
            "endsAt": local_moment(self.ends_at, known, self.ends_which, t),
        }


def filled(form: Form) -> Filled:
    return Filled(
        scope=form.text("scope"),
        subject=form.text("subject"),
        effect=form.text("effect"),
        category=form.text("category"),
        reason=form.text("reason"),
        time_zone=form.text("timeZone"),
        starts_at=form.text("startsAt"),
        starts_which=form.text("startsAt-which"),
        ends_at=form.text("endsAt"),
        ends_which=form.text("endsAt-which"),
        repetition=read_form(form),
    )


def blank(
    zone_name: str, now: datetime, service: str = "", low: datetime | None = None, high: datetime | None = None
) -> Filled:
    """The values of a new form: of the outage of a service from `low` until `high`, by default of the last hour. Times
    are widened to whole seconds, so that they cover the outage."""
    known = ZoneInfo(zone_name)
    end = high or now.replace(second=0, microsecond=0)
    start = low or end - timedelta(hours=1)
    if end.microsecond:
        end = end.replace(microsecond=0) + timedelta(seconds=1)
    return Filled(
        subject=service,
        time_zone=zone_name,
        starts_at=written(start, known),
        starts_which=which(start, known),
        ends_at=written(end, known),
        ends_which=which(end, known),
    )
