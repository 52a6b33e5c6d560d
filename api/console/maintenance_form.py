"""The form of a maintenance window: its fields, and the body of the request to REST.

Times are entered in a named time zone and converted to moments here, because the zone of the browser may be another.
"""

from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from api.console import repetition
from api.console.local_times import LocalTimeError, moment_at, which, written
from api.console.repetition import Repetition
from api.maintenance.fields import WindowChange, WindowRow, problems
from api.maintenance.plan import window_schedule
from api.pages.forms import Form
from api.pages.problems import Problem
from api.rest.errors import invalid
from sla_monitor.formats.time_zones import LOCAL_NAMES, zone
from sla_monitor.recurrence.occurrences import Occurrence, occurrences
from sla_monitor.texts.languages import Texts
from sla_monitor.windows import AHEAD

SHOWN_AHEAD = 10


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """The fields as they were entered. Fields that REST has too are named as there."""

    title: str = ""
    description: str = ""
    services: tuple[str, ...] = ()
    time_zone: str = "UTC"
    starts_at: str = ""
    starts_which: str = ""
    ends_at: str = ""
    ends_which: str = ""
    repetition: Repetition = Repetition()
    public: bool = True

    def problems(self, t: Texts) -> dict[str, Problem]:
        """The times that cannot be read, by field. All other values are validated by REST."""
        return {field: message for field, (_, message) in self._moments(t).items() if message}

    def moment(self, field: str, t: Texts) -> datetime:
        """The moment of `startsAt` or `endsAt`. `problems` must be empty."""
        moment = self._moments(t)[field][0]
        assert moment is not None
        return moment

    def body(self, t: Texts) -> dict[str, Any]:
        """The body of the request to REST. `problems` must be empty."""
        return {
            "title": self.title,
            "description": self.description or None,
            "affectedServices": list(self.services),
            "startsAt": self.moment("startsAt", t),
            "endsAt": self.moment("endsAt", t),
            "rrule": self.repetition.rrule(self.first),
            "timeZone": self.time_zone,
            "public": self.public,
        }

    def ahead(self, t: Texts, now: datetime) -> list[Occurrence]:
        """The next occurrences of the window. Raises the 400 of REST if the values make no schedule."""
        body = self.body(t)
        times = {name: body[name] for name in ("startsAt", "endsAt")}
        if wrong := problems(msgspec.convert(times, WindowChange)):
            raise invalid(*wrong)
        schedule = window_schedule(body["startsAt"], body["endsAt"], body["rrule"], body["timeZone"])
        coming = occurrences(schedule, max(now, schedule.starts_at) + AHEAD)
        return [one for one in coming if one.ends_at > now][:SHOWN_AHEAD]

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


def local_moment(text: str, known: ZoneInfo, chosen: str, t: Texts) -> tuple[datetime | None, str]:
    """The moment of a local time, or None and what is wrong with it. `chosen`: which one of two, as in `moment_at`."""
    try:
        return moment_at(text, known, chosen), ""
    except LocalTimeError as error:
        return None, t(f"maintenance.time_{error.wrong}", time=text.replace("T", " "), zone=known.key)


def filled(form: Form) -> Filled:
    return Filled(
        title=form.text("title"),
        description=form.text("description"),
        services=tuple(form.texts("affectedServices")),
        time_zone=form.text("timeZone"),
        starts_at=form.text("startsAt"),
        starts_which=form.text("startsAt-which"),
        ends_at=form.text("endsAt"),
        ends_which=form.text("endsAt-which"),
        public=form.text("public") == "yes",
        repetition=repetition.read_form(form),
    )


def blank(zone_name: str, now: datetime) -> Filled:
    """The values of a new form: tomorrow at this hour, for one hour."""
    starts_at = now.replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    known = ZoneInfo(zone_name)
    return Filled(
        time_zone=zone_name, starts_at=written(starts_at, known), ends_at=written(starts_at + timedelta(hours=1), known)
    )


def of_window(row: WindowRow) -> Filled:
    """The values of a stored window."""
    known = zone(row.time_zone) or ZoneInfo("UTC")
    return Filled(
        title=row.title,
        description=row.description or "",
        services=tuple(row.affected_services),
        time_zone=known.key,
        starts_at=written(row.starts_at, known),
        starts_which=which(row.starts_at, known),
        ends_at=written(row.ends_at, known),
        ends_which=which(row.ends_at, known),
        repetition=repetition.read(row.rrule, row.starts_at.astimezone(known).date()),
        public=row.public,
    )


def changes(after: Filled, before: Filled, t: Texts) -> dict[str, Any]:
    """The body of a change. Unchanged fields are left out, so that a time keeps the fraction that its field cannot
    show."""
    was = before.body(t)
    return {name: value for name, value in after.body(t).items() if value != was[name]}


def zones(first: str, *others: str) -> list[str]:
    """The time zones to choose from, beginning with `first`."""
    return list(dict.fromkeys([first, "UTC", *others, *_all_zones()]))


@cache
def _all_zones() -> list[str]:
    return sorted(name for name in available_timezones() - LOCAL_NAMES if "/" in name and not name.startswith("Etc/"))
