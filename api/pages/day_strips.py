"""The strip of 90 days of a service: as SVG paths, and as text for screen readers."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from api.uptime.status import DayStatus, day_statuses
from sla_monitor.texts.languages import Texts

TOPS: dict[DayStatus, str] = {"nd": ".24", "o": ".24", "po": ".12", "mo": "0"}
"""The top of a day's bar, as a fraction of the height: worse days have higher bars, not only another colour. The same
as in day_strips.js (tests/pages/test_rules.py compares them)."""
DESCRIBED: tuple[DayStatus, ...] = ("mo", "po", "nd")
"""The codes that the text counts, in its order."""
_CACHED = 4096


class Strip(NamedTuple):
    """`paths`: an SVG path for each code, with a width of 1 for each day. `words`: the same as text."""

    paths: Sequence[tuple[DayStatus, str]]
    words: str


@lru_cache(maxsize=_CACHED)
def strip(t: Texts, known: str, degraded: str, failed: str, uptime: str, today: date) -> Strip:
    """The strip from the fields of a `StatusRow`."""
    return Strip(_paths(known, degraded, failed), _words(t, day_statuses(known, degraded, failed), uptime, today))


def strip_of(t: Texts, codes: Sequence[DayStatus], uptime: str, today: date) -> Strip:
    """The strip from a code for each day, oldest first."""
    return Strip(_drawn(codes), _words(t, codes, uptime, today))


@lru_cache(maxsize=_CACHED)  # most services have equal days
def _paths(known: str, degraded: str, failed: str) -> Sequence[tuple[DayStatus, str]]:
    return _drawn(day_statuses(known, degraded, failed))


def _drawn(codes: Sequence[DayStatus]) -> Sequence[tuple[DayStatus, str]]:
    """Consecutive days with the same code are one rectangle."""
    paths: dict[DayStatus, str] = {}
    start = 0
    for code, run in groupby(codes):
        length = len(list(run))
        paths[code] = paths.get(code, "") + f"M{start} {TOPS[code]}h{length}V1h-{length}z"
        start += length
    return [(code, paths[code]) for code in TOPS if code in paths]


def _words(t: Texts, codes: Sequence[DayStatus], uptime: str, today: date) -> str:
    """Days before the first data are not counted as days without data: the service was new then."""
    if uptime == "-":
        return t("status.strip_no_data")
    since = next(index for index, code in enumerate(codes) if code != "nd")
    days = [codes[since:].count(code) for code in DESCRIBED]
    parts = [t(f"status.strip_{code}", count=count) for code, count in zip(DESCRIBED, days, strict=True) if count]
    if not any(days[:2]):
        parts.insert(0, t("status.strip_good"))
    if since:
        parts.append(t("status.strip_since", day=t.short_day(today - timedelta(days=len(codes) - 1 - since))))
    return t("status.strip", uptime=t.percent(uptime), days=", ".join(parts))
