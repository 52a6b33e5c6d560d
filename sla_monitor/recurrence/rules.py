"""Recurrence rules (RRULE, RFC 5545) of maintenance windows: parsing and validation.

A rule starts at most once a day. The time of day is that of the first occurrence.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple, get_args

import msgspec

MAX_RULE = 500
"""The maximum length of a rule in characters."""
MAX_INTERVAL = 1000
MAX_COUNT = 10_000
Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_UNTIL_PATTERN = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
_DAY = re.compile(rf"([+-]?\d{{1,2}})?({'|'.join(_WEEKDAYS)})", re.ASCII)
_TIMES = {"BYHOUR": 23, "BYMINUTE": 59, "BYSECOND": 59}
"""The parts that set a time of day, with their largest values."""
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
"""Error codes. Their texts are in the table `problems` of `sla_monitor/texts/en.toml`."""


class RuleError(ValueError):
    """A rule is invalid: an error code and the parameters of its text."""

    def __init__(self, code: RuleFault, **parameters: int | str | Sequence[str]) -> None:
        super().__init__(code, parameters)
        self.code = code
        self.parameters = parameters


class WeekDay(NamedTuple):
    """A value of BYDAY: every such weekday if `nth` is 0, otherwise the nth of its month or year. Negative numbers
    count from the end."""

    nth: int
    weekday: int


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed recurrence rule. `until` is a local time if it has no time zone."""

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
    """The parts BYHOUR, BYMINUTE and BYSECOND of the rule, see `require_time`."""


def parse(text: str) -> Rule:
    """Parses a rule such as `FREQ=WEEKLY;BYDAY=SU`. Raises RuleError if it is invalid or uses parts that are not
    supported."""
    if len(text) > MAX_RULE:
        raise RuleError("too_long", most=MAX_RULE)
    parts: dict[str, str] = {}
    for part in _normalised(text).upper().split(";"):
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
        until=_until(parts.pop("UNTIL")) if "UNTIL" in parts else None,
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
    _require_valid(rule)
    return rule


def _normalised(text: str) -> str:
    """The rule without the prefix `RRULE:`, spaces, line breaks and a final `;`, which calendars and users add."""
    return re.sub("^RRULE:", "", "".join(text.split()), flags=re.IGNORECASE).rstrip(";")


def stored(text: str) -> str:
    """The form in which a valid rule is stored: without prefix, spaces and the parts of the time of day, which repeat
    the start of the first occurrence."""
    return ";".join(part for part in _normalised(text).split(";") if part.partition("=")[0].upper() not in _TIMES)


def require_time(rule: Rule, first: datetime) -> None:
    """Raises RuleError if BYHOUR, BYMINUTE or BYSECOND differ from the time of day of `first`, the local time at which
    the first occurrence starts."""
    starts = {"BYHOUR": first.hour, "BYMINUTE": first.minute, "BYSECOND": first.second}
    for name, value in rule.times:
        if value != starts[name]:
            raise RuleError("rule_time", name=name, value=starts[name])


def _require_valid(rule: Rule) -> None:
    """Raises RuleError for combinations of parts that RFC 5545 forbids."""
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


def _until(text: str) -> datetime:
    """The value of UNTIL. A date alone is the last second of that date in local time."""
    match = _UNTIL_PATTERN.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        at = datetime.strptime(match[1] + (match[2] or "235959"), "%Y%m%d%H%M%S")  # noqa: DTZ007  # local time
    except ValueError:
        raise RuleError("rule_until") from None
    return at.replace(tzinfo=UTC) if match[3] else at
