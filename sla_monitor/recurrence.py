"""When a maintenance window recurs: a rule of RFC 5545, on the clock of a time zone.

Not a library's work, since here every rule that anybody sends must cost a bounded time: a walk over the days up to a
horizon, whatever the rule. python-dateutil looks at UNTIL only when a day matches, so the 30th of February keeps it
busy to the year 9999; the tests hold the two against each other.
"""

import re
from calendar import isleap, monthrange
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from itertools import count, islice, pairwise
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

import msgspec

MAX_RULE = 500
MAX_INTERVAL = 1000
MAX_COUNT = 10_000
LONGEST = timedelta(days=30)
"""No occurrence may last longer."""
Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_MOMENT = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
_DAY = re.compile(rf"([+-]?\d{{1,2}})?({'|'.join(_WEEKDAYS)})", re.ASCII)
_TIMES = {"BYHOUR": 23, "BYMINUTE": 59, "BYSECOND": 59}
"""The largest value of each."""
_BOUNDS = {"BYMONTH": (1, 12), "BYMONTHDAY": (-31, 31), "BYYEARDAY": (-366, 366), "BYSETPOS": (-366, 366)}


RuleFault = Literal[
    "too_long",
    "rule_parts",
    "rule_frequency",
    "rule_part",
    "rule_time",
    "rule_count_and_until",
    "rule_month_days",
    "rule_year_days",
    "rule_numbered_days",
    "rule_positions",
    "rule_number",
    "rule_zero",
    "rule_weekday",
    "rule_days",
    "rule_until",
]
"""Error codes, whose texts are in the catalogues (table `problems`)."""


class RuleError(ValueError):
    """What is wrong with a rule: a code and its parameters."""

    def __init__(self, code: RuleFault, **parameters: int | str | Sequence[str]) -> None:
        super().__init__(code, parameters)
        self.code = code
        self.parameters = parameters


class WeekDay(NamedTuple):
    """Every such day of the week where `nth` is 0, else the nth in its month or year; negative ones from the end."""

    nth: int
    weekday: int


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A recurrence rule; `until` without a zone is on the local clock. Of a time of day that is given, see `times`."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    months: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    year_days: frozenset[int] = frozenset()
    week_days: frozenset[WeekDay] = frozenset()
    positions: frozenset[int] = frozenset()
    week_start: int = 0
    times: tuple[tuple[str, int], ...] = ()
    """BYHOUR, BYMINUTE and BYSECOND as far as they are given: they can only repeat when the first occurrence begins."""


class Occurrence(NamedTuple):
    starts_at: datetime
    ends_at: datetime


class Schedule(NamedTuple):
    """The first occurrence, and how it recurs. Later ones begin at the same time on the clock and last as long."""

    starts_at: datetime
    ends_at: datetime
    rule: Rule | None
    zone: ZoneInfo

    @property
    def first(self) -> datetime:
        """On the local clock."""
        return self.starts_at.astimezone(self.zone).replace(tzinfo=None, fold=0)

    @property
    def length(self) -> timedelta:
        return self.ends_at - self.starts_at


def parse(text: str) -> Rule:
    """`FREQ=WEEKLY;BYDAY=SU`. Raises RuleError for what is no rule, or is more than windows need: no rule begins more
    than once a day, since the time of day is that of the first occurrence."""
    if len(text) > MAX_RULE:
        raise RuleError("too_long", most=MAX_RULE)
    parts: dict[str, str] = {}
    for part in _bare(text).upper().split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name in parts:
            raise RuleError("rule_parts")
        parts[name] = value
    frequency = parts.pop("FREQ", "")
    if frequency not in get_args(Frequency):
        raise RuleError("rule_frequency", choices=get_args(Frequency))
    rule = Rule(
        frequency=frequency,  # type: ignore[arg-type]  # narrowed above
        interval=_number("INTERVAL", parts.pop("INTERVAL", "1"), 1, MAX_INTERVAL),
        count=_number("COUNT", parts.pop("COUNT"), 1, MAX_COUNT) if "COUNT" in parts else None,
        until=_moment(parts.pop("UNTIL")) if "UNTIL" in parts else None,
        months=_numbers(parts, "BYMONTH"),
        month_days=_numbers(parts, "BYMONTHDAY"),
        year_days=_numbers(parts, "BYYEARDAY"),
        week_days=_week_days(parts.pop("BYDAY")) if "BYDAY" in parts else frozenset(),
        positions=_numbers(parts, "BYSETPOS"),
        week_start=_weekday(parts.pop("WKST", "MO")),
        times=tuple((name, _number(name, parts.pop(name), 0, most)) for name, most in _TIMES.items() if name in parts),
    )
    if parts:
        raise RuleError("rule_part", name=min(parts)[:20])
    _require_sense(rule)
    return rule


def _bare(text: str) -> str:
    """As calendars and people write it: perhaps with the name of its property, blanks, folded lines, a final `;`."""
    return re.sub("^RRULE:", "", "".join(text.split()), flags=re.IGNORECASE).rstrip(";")


def kept(text: str) -> str:
    """What is kept of a rule that is good for its window: nothing but its parts, without the time of day, which is that
    of the first occurrence."""
    return ";".join(part for part in _bare(text).split(";") if part.partition("=")[0].upper() not in _TIMES)


def require_time(rule: Rule, first: datetime) -> None:
    """Raises RuleError where the rule names another time of day than that of `first`, on the local clock."""
    begins = {"BYHOUR": first.hour, "BYMINUTE": first.minute, "BYSECOND": first.second}
    for name, value in rule.times:
        if value != begins[name]:
            raise RuleError("rule_time", name=name, value=begins[name])


def _require_sense(rule: Rule) -> None:
    """What RFC 5545 forbids."""
    if rule.count is not None and rule.until is not None:
        raise RuleError("rule_count_and_until")
    if rule.month_days and rule.frequency == "WEEKLY":
        raise RuleError("rule_month_days")
    if rule.year_days and rule.frequency != "YEARLY":
        raise RuleError("rule_year_days")
    if any(day.nth for day in rule.week_days) and rule.frequency in ("DAILY", "WEEKLY"):
        raise RuleError("rule_numbered_days")
    if rule.positions and not (rule.months or rule.month_days or rule.year_days or rule.week_days):
        raise RuleError("rule_positions")


def _number(name: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,6}", text) or not least <= int(text) <= most:
        raise RuleError("rule_number", name=name, least=least, most=most)
    return int(text)


def _numbers(parts: dict[str, str], name: str) -> frozenset[int]:
    if name not in parts:
        return frozenset()
    found = frozenset(_number(name, text, *_BOUNDS[name]) for text in parts.pop(name).split(","))
    if 0 in found:
        raise RuleError("rule_zero", name=name)
    return found


def _weekday(text: str) -> int:
    if text not in _WEEKDAYS:
        raise RuleError("rule_weekday", choices=_WEEKDAYS)
    return _WEEKDAYS.index(text)


def _week_days(text: str) -> frozenset[WeekDay]:
    found = [_DAY.fullmatch(day) for day in text.split(",")]
    if any(match is None or (match[1] is not None and not 1 <= abs(int(match[1])) <= 53) for match in found):
        raise RuleError("rule_days")
    return frozenset(WeekDay(int(match[1] or 0), _weekday(match[2])) for match in found if match is not None)


def _moment(text: str) -> datetime:
    match = _MOMENT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        at = datetime.strptime(match[1] + (match[2] or "235959"), "%Y%m%d%H%M%S")  # noqa: DTZ007  # on the local clock
    except ValueError:
        raise RuleError("rule_until") from None
    return at.replace(tzinfo=UTC) if match[3] else at


def occurrences(schedule: Schedule, horizon: datetime) -> list[Occurrence]:
    """Those that begin before `horizon`, in order, none overlapping the next."""
    if schedule.rule is None:
        return [Occurrence(schedule.starts_at, schedule.ends_at)]
    # One more than is asked for: it may cut the last one short.
    upto = (horizon + LONGEST).astimezone(schedule.zone).replace(tzinfo=None)
    starts = [instant(at, schedule.zone) for at in local_starts(schedule, upto)]
    starts[:1] = [schedule.starts_at] if starts else []  # as it was given: an hour that comes twice has two 02:30
    ends = [
        min(start + schedule.length, following)
        for start, following in pairwise([*starts, datetime.max.replace(tzinfo=UTC)])
    ]
    return [Occurrence(start, end) for start, end in zip(starts, ends, strict=True) if start < min(end, horizon)]


def overlap(schedule: Schedule, horizon: datetime) -> bool:
    """Whether an occurrence lasts into the next one, by the clock. What a change of the clock adds is cut."""
    upto = horizon.astimezone(schedule.zone).replace(tzinfo=None)
    return any(later - earlier < schedule.length for earlier, later in pairwise(local_starts(schedule, upto)))


def local_starts(schedule: Schedule, upto: datetime) -> Iterator[datetime]:
    """When occurrences begin on the local clock, up to `upto`."""
    rule, first = schedule.rule, schedule.first
    if rule is None:
        yield first
        return
    until = rule.until
    if until is not None:
        if until.tzinfo and MINYEAR < until.year < MAXYEAR:  # at its ends the calendar has no local times
            until = until.astimezone(schedule.zone)
        upto = min(upto, until.replace(tzinfo=None))
    days = _days(_with_defaults(rule, first.date()), first.date(), upto.date())
    for day in islice(days, rule.count):
        if (start := datetime.combine(day, first.time())) > upto:
            return
        yield start


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which the clock of `zone` shows `local`: the first of two; of none, the first moment after them."""
    earlier, later = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
    if later.astimezone(zone).replace(tzinfo=None) == local:
        return later
    before = earlier.astimezone(zone).utcoffset()
    while later - earlier > timedelta(seconds=1):  # the clock was put forward somewhere between the two
        middle = earlier + (later - earlier) // 2
        if middle.astimezone(zone).utcoffset() == before:
            earlier = middle
        else:
            later = middle
    return later.replace(microsecond=0)


def _with_defaults(rule: Rule, first: date) -> Rule:
    """What a rule leaves open is as on the first day."""
    if rule.month_days or rule.year_days or rule.week_days:
        return rule
    match rule.frequency:
        case "WEEKLY":
            return msgspec.structs.replace(rule, week_days=frozenset({WeekDay(0, first.weekday())}))
        case "MONTHLY":
            return msgspec.structs.replace(rule, month_days=frozenset({first.day}))
        case "YEARLY":
            months = rule.months or frozenset({first.month})
            return msgspec.structs.replace(rule, months=months, month_days=frozenset({first.day}))
    return rule


def _days(rule: Rule, first: date, last: date) -> Iterator[date]:
    """The days that a rule hits, in order: at most one look at each day from the first period to the last."""
    for number in count():
        period = _period(rule, first, number * rule.interval)
        if not period or period[0] > last:
            return
        hit = [day for day in period if _hits(rule, day)]
        if rule.positions:
            hit = [day for n, day in enumerate(hit) if rule.positions & {n + 1, n - len(hit)}]
        yield from (day for day in hit if day >= first)


def _period(rule: Rule, first: date, offset: int) -> list[date]:
    """The days of the day, week, month or year that is `offset` after the one of `first`; none beyond the calendar."""
    try:
        match rule.frequency:
            case "DAILY":
                return [first + timedelta(days=offset)]
            case "WEEKLY":
                start = first + timedelta(days=7 * offset - (first.weekday() - rule.week_start) % 7)
                length = 7
            case "MONTHLY":
                year, month = divmod(12 * first.year + first.month - 1 + offset, 12)
                start, length = date(year, month + 1, 1), monthrange(year, month + 1)[1]
            case "YEARLY":
                start = date(first.year + offset, 1, 1)
                length = 365 + isleap(start.year)
        return [start + timedelta(days=n) for n in range(length)]
    except (OverflowError, ValueError):
        return []


def _hits(rule: Rule, day: date) -> bool:
    year_day, year_length = day.timetuple().tm_yday, 365 + isleap(day.year)
    month_length = monthrange(day.year, day.month)[1]
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days and not rule.month_days & {day.day, day.day - month_length - 1}:
        return False
    if rule.year_days and not rule.year_days & {year_day, year_day - year_length - 1}:
        return False
    if not rule.week_days:
        return True
    if rule.frequency == "YEARLY" and not rule.months:
        place, length = year_day, year_length
    else:
        place, length = day.day, month_length
    nths = (0, (place - 1) // 7 + 1, -((length - place) // 7) - 1)
    return any(WeekDay(nth, day.weekday()) in rule.week_days for nth in nths)
