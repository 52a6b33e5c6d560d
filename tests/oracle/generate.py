"""Strategies for histories: checks around a change of clocks, the batches that contain them, and other steps."""

import itertools
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from hypothesis import strategies as st

from tests.oracle.history import (
    Advance,
    Compare,
    DropOldRows,
    History,
    Interrupt,
    Lookup,
    Record,
    Refresh,
    Resume,
    Service,
    SetRetention,
    SetTimeZone,
    Step,
)
from tests.oracle.local_days import DAY, HOUR, local_days
from tests.oracle.moments import moments, near, zones
from tests.oracle.rows import Check

SECOND = timedelta(seconds=1)
QUARTER_S, DAY_S = 900, 86400
LOCATIONS = ("local", "seoul", "fra-1")
INTERVALS = (1, 5, 30, 60, 60, 300, 900, 3600, DAY_S)
ERRORS = ("timeout", "dns_error", "connection_error", None)
# A slot: its severity, or None for a missing check, and the number of intervals for which the check counts.
SLOTS = (*(("o", 1),) * 6, ("po", 1), ("mo", 1), ("mo", 1), ("mo", 1), (None, 1), (None, 1), ("mo", 4), ("o", 3))

# Times of all magnitudes, in sixteenths and others.
sixteenths = st.integers(0, 16 * 10000).map(lambda number: number / 16)
times = st.one_of(
    st.sampled_from([0.0, 0.0625, 1.0, 98.4375, 1000.0, 10.0, 104.0, 120.5, 3500.0, 9999999.0]),
    sixteenths,
    st.floats(0, 1e6, width=32),
)
phase_times = st.none() | sixteenths


class Measured(NamedTuple):
    total_ms: float | None
    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    error_type: str | None


measured = st.builds(
    Measured,
    st.none() | times | times | times,
    phase_times,
    phase_times,
    phase_times,
    phase_times,
    st.sampled_from(ERRORS),
)


class Frame(NamedTuple):
    """The zone of a history, the time around which its checks lie, and its beginning and end."""

    zone: str
    moment: datetime
    begins: datetime
    ends: datetime


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """The end is seconds, hours or days after the time around which the checks lie."""
    zone = draw(zones)
    moment = draw(moments(zone))
    lag = draw(st.sampled_from([30, 400, 960, 2400, 4000, 5000, 30000, DAY_S + 60, DAY_S + 5000, 3 * DAY_S]))
    lead = draw(st.sampled_from([HOUR, 3 * HOUR, DAY, 3 * DAY]))
    return Frame(zone, moment, moment - lead, moment + (lag + draw(st.integers(0, 59)) + 0.25) * SECOND)


@st.composite
def runs(draw: st.DrawFn, frame: Frame, service: str, location: str) -> list[Check]:
    """Draws consecutive checks of one location."""
    start = (
        draw(st.sampled_from(near(frame.moment, frame.zone))) + draw(st.sampled_from([0, 0, 0, -1, 1, 7, 59])) * SECOND
    )
    interval = draw(st.sampled_from(INTERVALS))
    slots = draw(st.lists(st.tuples(st.sampled_from(SLOTS), st.integers(1, 3)), min_size=1, max_size=6))
    results = draw(st.lists(measured, min_size=1, max_size=3))
    checks = []
    at = start
    for number, (severity, length) in enumerate(itertools.chain(*([slot] * count for slot, count in slots))):
        lasts = length * interval
        if severity and lasts <= DAY_S and at < frame.ends:
            checks.append(_check(service, location, at, lasts, severity, results[number % len(results)]))
        at += lasts * SECOND
    return checks


def _check(service: str, location: str, at: datetime, interval: int, severity: str, results: Measured) -> Check:
    error = results.error_type if severity == "mo" else None
    message = f"{error} at {at:%H:%M:%S}" if error else None
    times = results[:5] if severity != "mo" or results.error_type == "timeout" else (None,) * 5
    return Check(service, location, at, interval, severity, *times, error_type=error, error_message=message)


@st.composite
def unusual_rows(draw: st.DrawFn, frame: Frame) -> list[Check]:
    """Draws rows that must be parked, and very late rows, some of which must be parked."""
    kinds = draw(st.lists(st.integers(0, 5), max_size=4))
    ages = [draw(st.integers(1, 450)) * DAY for _ in kinds]
    drawn = []
    for number, (kind, age) in enumerate(zip(kinds, ages, strict=True)):
        at = frame.moment + number * SECOND
        long_ago = Check("web", "local", at - age, 60, "mo" if number % 2 else "o", 12.5)
        invalid = (at + 900 * DAY, "web", "local"), (at, "missing", "local"), (at, "web", "nowhere")
        if kind < len(invalid):
            moment, service, location = invalid[kind]
            drawn.append(Check(service, location, moment, 60, "o", 100.0))
        else:
            drawn.append(long_ago)
    return drawn


@st.composite
def batches(draw: st.DrawFn, frame: Frame, rows: Sequence[Check]) -> list[list[Check]]:
    """Draws batches of the rows in the order of time. Some rows are moved to a later batch, some are repeated, and some
    are repeated with another result. Each batch is shuffled."""
    ordered = sorted(rows, key=lambda one: one.at)
    cuts = sorted(draw(st.lists(st.integers(0, len(ordered)), max_size=4)))
    drawn = [ordered[low:high] for low, high in itertools.pairwise([0, *cuts, len(ordered)])]
    drawn = [batch for batch in drawn if batch] or [[]]
    rng = random.Random(draw(st.integers(0, 9999)))
    for number in draw(st.lists(st.integers(0, max(len(ordered) - 1, 0)), max_size=8)) if ordered else []:
        check = ordered[number]
        original = next(index for index, batch in enumerate(drawn) if check in batch)
        later = rng.randrange(original, len(drawn))
        if later > original and rng.random() < 0.6:
            drawn[original].remove(check)
            drawn[later].append(check)
        elif later > original and rng.random() < 0.5:
            drawn[later].append(check._replace(severity="o" if check.severity == "mo" else "mo", total_ms=77.0))
        else:
            drawn[later].append(check)
    for batch in drawn:
        rng.shuffle(batch)
    return [_once(batch) for batch in drawn if batch]


def _once(batch: Sequence[Check]) -> list[Check]:
    """Removes rows with the key of an earlier one and another result: their order within a batch is undefined."""
    first_rows: dict[tuple[str, str, datetime], Check] = {}
    return [check for check in batch if first_rows.setdefault(check.key, check) == check]


@st.composite
def histories(draw: st.DrawFn) -> History:
    frame = draw(frames())
    services = [
        Service(name, draw(st.integers(0, 5)) if draw(st.booleans()) else 0)
        for name in ("web", "mail", "shop")[: draw(st.sampled_from([1, 1, 2, 3]))]
    ]
    locations = LOCATIONS[: draw(st.sampled_from([1, 1, 2, 3]))]
    rows: dict[tuple[str, str, datetime], Check] = {}
    for service, location in itertools.product(services, locations):
        for run in draw(st.lists(runs(frame, service.id, location), min_size=1, max_size=3)):
            rows |= {check.key: check for check in run if check.key not in rows}
    rows |= {check.key: check for check in draw(unusual_rows(frame))}
    sent = draw(batches(frame, list(rows.values())))
    steps = draw(_steps(frame, sent, [service.id for service in services]))
    return History(
        frame.zone,
        frame.begins,
        services,
        locations,
        steps,
        draw(st.lists(lookups(frame), min_size=1, max_size=3)),
        draw(_calendars(frame)),
        draw(st.sampled_from([60, 60, 60, 400])) * DAY,
    )


@st.composite
def _steps(draw: st.DrawFn, frame: Frame, sent: Sequence[Sequence[Check]], services: Sequence[str]) -> list[Step]:
    """Draws steps: the batches with an advancing clock, refreshes, comparisons, pauses and deletions."""
    steps: list[Step] = []
    clock = newest_of_all = frame.begins
    paused: dict[str, datetime] = {}
    interrupted: dict[str, tuple[datetime, datetime]] = {}
    interruptions = draw(
        st.lists(st.sampled_from(["", "", "", "pause", "delete"]), min_size=len(sent), max_size=len(sent))
    )
    after_batches = draw(
        st.lists(
            st.sampled_from(["", "", "", "refresh", "compare", "refresh compare"]),
            min_size=len(sent),
            max_size=len(sent),
        )
    )
    for batch, interruption, after_batch in zip(sent, interruptions, after_batches, strict=True):
        recorded = [check for check in batch if not _within(check, interrupted.get(check.service))]
        newest = max((check.at for check in recorded if check.at < frame.ends), default=clock)
        newest_of_all = max(newest_of_all, newest)
        # The clock of a prober may be ahead of the server's, also by more than is accepted.
        lag = draw(st.sampled_from([2, 2, 40, 700, 4000, -100, -400]))
        clock = max(clock, min(newest + lag * SECOND, frame.ends)).replace(microsecond=250000)
        steps += [Advance(clock), Record(recorded)]
        for service in [service for service in paused if draw(st.booleans())]:
            interrupted[service] = paused.pop(service), clock
            steps.append(Resume(service))
        if interruption and newest_of_all < clock:
            service = draw(st.sampled_from(services))
            if service not in paused and service not in interrupted:
                paused[service] = clock
                interrupted[service] = clock, frame.ends
                steps.append(Interrupt(service, "delete" if interruption == "delete" else "pause"))
        steps += [Refresh()] * ("refresh" in after_batch) + [Compare()] * ("compare" in after_batch)
    return [*steps, *draw(_endings(frame, clock))]


def _within(check: Check, span: tuple[datetime, datetime] | None) -> bool:
    return span is not None and span[0] <= check.at <= span[1]


@st.composite
def _endings(draw: st.DrawFn, frame: Frame, clock: datetime) -> list[Step]:
    """Draws the last steps: the rest of the time with refreshes, and sometimes another retention or zone."""
    steps: list[Step] = []
    for share in draw(st.lists(st.sampled_from([0.2, 0.5, 0.8]), max_size=2, unique=True).map(sorted)):
        at = (clock + share * (frame.ends - clock)).replace(microsecond=250000)
        steps += [Advance(at), Refresh()]
    steps += [Advance(max(frame.ends, clock)), Compare(), Refresh(), Compare()]
    rare = draw(st.sampled_from(["", "", "", "", "", "", "retain", "retain", "rezone", "rezone"]))
    if rare == "retain":
        steps += [SetRetention(draw(st.sampled_from([7, 30, 100])) * DAY), Refresh(), DropOldRows(), Compare()]
    elif rare == "rezone":
        steps += [SetTimeZone(draw(zones)), Compare(), Refresh(), Compare()]
    return steps


@st.composite
def lookups(draw: st.DrawFn, frame: Frame) -> Lookup:
    """Draws a window of response times and a valid step."""
    start = draw(st.sampled_from(near(frame.moment, frame.zone))) + draw(st.sampled_from([0, 0, 1, -1, 600])) * SECOND
    tier = draw(st.sampled_from(["raw", "15m", "hourly", "daily"]))
    if tier == "raw":
        return Lookup(
            "raw",
            start,
            start + draw(st.integers(60, 2 * DAY_S)) * SECOND,
            draw(st.sampled_from([60, 300, 777])) * SECOND,
        )
    end = start + draw(st.sampled_from([900, 3600, 7200, 10000, DAY_S, 2 * DAY_S, 9 * DAY_S, 33 * DAY_S])) * SECOND
    widths = {"15m": [900, 1800, 2700], "hourly": [3600, 7200, 18000], "daily": [DAY_S, 2 * DAY_S, 7 * DAY_S]}
    step = draw(st.sampled_from(widths[tier])) * SECOND
    if tier == "15m":
        return Lookup("15m", start, end, step)
    return Lookup("hourly" if tier == "hourly" else "daily", start, end, step)


@st.composite
def _calendars(draw: st.DrawFn, frame: Frame) -> list[tuple[int, date | None]]:
    today = local_days(frame.zone).date_of(frame.moment)
    start_date = draw(st.sampled_from([today, today - 40 * DAY, today.replace(day=1), today - DAY]))
    return [(draw(st.integers(1, 3)), None), (draw(st.integers(1, 2)), start_date)]
