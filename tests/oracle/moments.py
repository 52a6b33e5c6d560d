"""Strategies for zones and times around which histories lie: changes of clocks and other irregular days."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import available_timezones

from hypothesis import strategies as st

from tests.oracle.local_days import DAY, local_days

UNUSUAL_ZONES = (
    *("Europe/Berlin", "America/Havana", "Atlantic/Azores", "America/St_Johns", "Australia/Lord_Howe"),
    *("Africa/Cairo", "America/Santiago", "Pacific/Chatham", "Pacific/Apia", "Asia/Kolkata", "Antarctica/Casey"),
    *("America/Asuncion", "Antarctica/Troll", "Asia/Gaza", "Asia/Beirut", "Asia/Kathmandu", "Africa/Casablanca"),
    *("America/Sao_Paulo", "Asia/Tehran", "America/New_York", "Australia/Adelaide", "America/Scoresbysund", "UTC"),
)
# Zones whose clocks change at or across midnight are drawn more often, since most faults were found there.
MIDNIGHT_ZONES = (
    *("America/Havana", "Atlantic/Azores", "Africa/Cairo", "America/Santiago", "America/Asuncion", "Asia/Beirut"),
    *("America/St_Johns", "Pacific/Apia", "America/Sao_Paulo", "Asia/Tehran", "Asia/Gaza", "America/Scoresbysund"),
)
FIRST_YEAR, LAST_YEAR = 2004, 2036
DATE_LINE = {"Pacific/Apia": [datetime(2011, 12, 30, 10, tzinfo=UTC)]}
ALL_ZONES = tuple(
    sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("posix/", "right/", "Etc/")))
)


def at(text: str) -> datetime:
    """Returns the UTC time of an ISO 8601 text without an offset."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


zones = st.one_of(st.sampled_from(MIDNIGHT_ZONES), st.sampled_from(UNUSUAL_ZONES), st.sampled_from(ALL_ZONES))


@cache
def changes_of_clocks(zone: str) -> tuple[datetime, ...]:
    """Returns the changes of clocks of a zone in the years of the histories."""
    return tuple(one.at for one in local_days(zone).changes if FIRST_YEAR <= one.at.year <= LAST_YEAR)


@cache
def unusual_moments(zone: str) -> tuple[datetime, ...]:
    """Returns changes of clocks at midnight and skipped dates of a zone, or all changes if there are none of these."""
    days = local_days(zone)
    unusual = [one.at for one in days.changes if one.touches_midnight and FIRST_YEAR <= one.at.year <= LAST_YEAR]
    return tuple(unusual) + tuple(DATE_LINE.get(zone, ())) or changes_of_clocks(zone)


@st.composite
def moments(draw: st.DrawFn, zone: str) -> datetime:
    """Draws a time in a zone: mostly a change of its clocks, otherwise the start of a day near the start of a year, of
    a month or near 29 February."""
    for choices in (
        draw(st.sampled_from([unusual_moments, changes_of_clocks, changes_of_clocks, None])),
        changes_of_clocks,
    ):
        if choices is None:
            break
        if found := choices(zone):
            return draw(st.sampled_from(found))
    year = draw(st.integers(FIRST_YEAR, LAST_YEAR))
    first = draw(st.sampled_from([date(year, 1, 1), date(year, 3, 1), date(year, 11, 30), date(year, 7, 17)]))
    return local_days(zone).starts(first + draw(st.integers(-2, 2)) * DAY)


def near(moment: datetime, zone: str) -> list[datetime]:
    """Returns times near this one: bounds of days, and whole hours and quarters before and after."""
    days = local_days(zone)
    today = days.date_of(moment)
    bounds = [days.starts(today + number * DAY) for number in (-1, 0, 1)]
    others = [moment + number * timedelta(minutes=15) for number in (-100, -96, -9, -4, -2, -1, 0, 1, 2, 4, 5, 9, 95)]
    return [*bounds, *others]
