"""Ninety days of a service as one small drawing, and the same in words."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from api.uptime.status import DayStatus, day_statuses
from sla_monitor.texts.languages import Texts

TOPS: dict[DayStatus, str] = {"nd": ".24", "o": ".24", "po": ".12", "mo": "0"}
"""Where a bar begins, from above: the worse a day, the higher, so that not only its colour tells it. As in days.js."""
TOLD: tuple[DayStatus, ...] = ("mo", "po", "nd")
_KEPT = 4096


class Strip(NamedTuple):
    """`paths`: one for each code that there is, one unit a day. `words`: the same for who does not see it."""

    paths: Sequence[tuple[DayStatus, str]]
    words: str


@lru_cache(maxsize=_KEPT)
def strip(t: Texts, known: str, degraded: str, failed: str, uptime: str, today: date) -> Strip:
    """From what a `StatusRow` says."""
    return Strip(_paths(known, degraded, failed), _words(t, day_statuses(known, degraded, failed), uptime, today))


def strip_of(t: Texts, codes: Sequence[DayStatus], uptime: str, today: date) -> Strip:
    """From a code for each day, oldest first."""
    return Strip(_drawn(codes), _words(t, codes, uptime, today))


@lru_cache(maxsize=_KEPT)  # most services have had the same good days
def _paths(known: str, degraded: str, failed: str) -> Sequence[tuple[DayStatus, str]]:
    return _drawn(day_statuses(known, degraded, failed))


def _drawn(codes: Sequence[DayStatus]) -> Sequence[tuple[DayStatus, str]]:
    """Days of one code in a row are one rectangle."""
    paths: dict[DayStatus, str] = {}
    start = 0
    for code, run in groupby(codes):
        length = len(list(run))
        paths[code] = paths.get(code, "") + f"M{start} {TOPS[code]}h{length}V1h-{length}z"
        start += length
    return [(code, paths[code]) for code in TOPS if code in paths]


def _words(t: Texts, codes: Sequence[DayStatus], uptime: str, today: date) -> str:
    """Days before the first data are not missing any: the service is new."""
    if uptime == "-":
        return t("status.strip_no_data")
    since = next(index for index, code in enumerate(codes) if code != "nd")
    days = [codes[since:].count(code) for code in TOLD]
    told = [t(f"status.strip_{code}", count=count) for code, count in zip(TOLD, days, strict=True) if count]
    if not any(days[:2]):
        told.insert(0, t("status.strip_good"))
    if since:
        told.append(t("status.strip_since", day=t.short_day(today - timedelta(days=len(codes) - 1 - since))))
    return t("status.strip", uptime=t.percent(uptime), days=", ".join(told))
