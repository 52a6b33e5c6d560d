"""The time window of a request for a service level, and the validation of its bounds."""

from datetime import date, datetime, timedelta

import msgspec

from api.rest.errors import ApiError, invalid, raise_problems
from api.rest.moments import iso, year_problems
from api.rest.problems import FieldProblem
from sql import Pool, database

LONGEST = timedelta(days=3653)
"""The longest window: ten years."""


class Checked(msgspec.Struct, frozen=True):
    """When a service was first checked, None for never, and the present time of the database."""

    first_check: datetime | None
    now: datetime


class _Bounds(msgspec.Struct):
    """A row of sla/bounds."""

    low: datetime | None
    high: datetime | None


class _Applies(msgspec.Struct):
    """A row of sla/applies."""

    applies: bool


class Window(msgspec.Struct, frozen=True):
    """A window of time, without its end."""

    low: datetime
    high: datetime


async def first_check(pool: Pool, service_id: str) -> Checked:
    """When the service was first checked, at any location."""
    found = await database.row(pool, "sla/first_check", Checked, service_id=service_id)
    assert found is not None
    return found


def require_checked(checked: Checked, field: str, end: datetime) -> None:
    """Raises 400 for `field` if a period ends before the first check. A service without checks has no such bound."""
    if checked.first_check is not None and end <= checked.first_check:
        raise invalid(FieldProblem.of(field, "before_first_check", first=iso(checked.first_check)))


async def window_of_days(
    pool: Pool, service_id: str, first_day: date, last_day: date, known_at: datetime | None
) -> Window:
    """The window of local days, the first and the last one included, in the zones of the policies that apply in them.
    Raises 404 without a policy."""
    values = {"service_id": service_id, "first_day": first_day, "last_day": last_day, "known_at": known_at}
    bounds = await database.row(pool, "sla/bounds", _Bounds, **values)
    if bounds is None or bounds.low is None or bounds.high is None:
        raise ApiError(404, "no_policy")
    return Window(bounds.low, bounds.high)


async def require_policy(pool: Pool, service_id: str, window: Window, known_at: datetime | None) -> None:
    """Raises 404 if no policy applies to the service in the window."""
    values = {"service_id": service_id, "low": window.low, "high": window.high, "known_at": known_at}
    found = await database.row(pool, "sla/applies", _Applies, **values)
    if found is None or not found.applies:
        raise ApiError(404, "no_policy")


def window_of_moments(start: datetime | None, end: datetime | None, now: datetime) -> Window:
    """The window of `from` and `to`, by default until now. Raises 400 if `from` is missing or not before `to`, and for
    more than ten years."""
    raise_problems(year_problems("from", start) + year_problems("to", end))
    if start is None:
        raise invalid(FieldProblem.of("from", "required"))
    high = end or now
    if start >= high:
        raise invalid(FieldProblem.of("from", "before_to"))
    if high - start > LONGEST:
        raise invalid(FieldProblem.of("to", "period", days=LONGEST.days))
    return Window(start, high)
