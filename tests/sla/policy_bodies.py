"""Random policies, as bodies of POST /api/sla/policies with all terms."""

from datetime import date
from typing import Any

from hypothesis import strategies as st

from sla_monitor.formats.one_line import is_label
from sla_monitor.formats.time_zones import zone

_LABELS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100).filter(
    is_label
) | st.sampled_from(
    ("yes", "~", "1e5", "0.5", "2026-01-01", "007", "null", "a: b", "#x", "é" * 100, "-", "--- a", "gold", "EU west")
)
_ZONES = tuple(name for name in ("UTC", "Asia/Seoul", "Europe/Berlin", "America/St_Johns") if zone(name))
_CLOCKS = ("00:00", "07:30", "08:00", "12:00", "20:00")


def _decimals(least: int, most: int, places: int) -> st.SearchStrategy[float]:
    """Numbers between `least` and `most` with at most this many decimal places."""
    return st.integers(least * 10**places, most * 10**places).map(lambda number: number / 10**places)


def _percentages() -> st.SearchStrategy[float]:
    return st.integers(1, 100 * 10**4).map(lambda number: number / 10**4)


def _credits() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Tables in which `below` descends and `credit` ascends."""
    numbers = st.lists(_percentages(), min_size=3, max_size=3, unique=True).map(sorted)
    return st.tuples(numbers, numbers).map(
        lambda both: [{"below": below, "credit": credit} for below, credit in zip(both[0][::-1], both[1], strict=True)]
    )


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    scope = draw(st.sampled_from(("service", "tag", "group", "everything")))
    period = draw(st.sampled_from(("month", "quarter", "year", "rolling")))
    quorum = draw(st.sampled_from(("one", "majority", "all", "number")))
    body = {
        "scope": scope,
        "subject": None if scope == "everything" else draw(_LABELS),
        "name": draw(_LABELS),
        "validFrom": draw(st.dates(date(2000, 1, 1), date(2100, 12, 31))).isoformat(),
        "target": draw(_percentages()),
        "period": period,
        "rollingDays": draw(st.integers(1, 366)) if period == "rolling" else None,
        "timeZone": draw(st.sampled_from(_ZONES)),
        "serviceHours": draw(st.none() | _hours()),
        "holidayCalendar": draw(st.none() | _LABELS),
        "maintenance": draw(st.sampled_from(("excluded", "counted"))),
        "announcedMinutes": draw(st.integers(0, 525600)),
        "degradedWeight": draw(_decimals(0, 1, 3)),
        "unknown": draw(st.sampled_from(("excluded", "down", "up"))),
        "shortestOutageSeconds": draw(st.integers(0, 86400)),
        "quorum": quorum,
        "quorumLocations": draw(st.integers(1, 1000)) if quorum == "number" else None,
        "leastCoverage": draw(_decimals(0, 100, 2)),
        "responseTimeObjective": draw(
            st.none() | st.fixed_dictionaries({"ms": st.integers(1, 600_000), "share": _percentages()})
        ),
        "credits": draw(st.none() | _credits()),
        "groupMethod": draw(st.sampled_from(("worst", "mean"))),
    }
    return {name: value for name, value in body.items() if value is not None}


@st.composite
def _hours(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Intervals that do not overlap."""
    clocks = sorted(draw(st.lists(st.sampled_from(_CLOCKS), min_size=2, max_size=4, unique=True)))
    days = draw(st.lists(st.integers(1, 7), min_size=1, unique=True))
    pairs = zip(clocks[::2], clocks[1::2], strict=False)
    return [{"days": days, "from": start, "until": end} for start, end in pairs]
