"""Histories that hypothesis makes up: rows around a change of clocks, the batches they come in, and what happens
meanwhile."""

import itertools
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from hypothesis import strategies as st

from tests.oracle.history import (
    Advance,
    Clean,
    GoOn,
    History,
    Interrupt,
    Look,
    Lookup,
    Record,
    Refresh,
    Retain,
    Rezone,
    Service,
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
# A slot: its severity, or None where it is missing, and how many intervals the check takes.
SLOTS = (*(("o", 1),) * 6, ("po", 1), ("mo", 1), ("mo", 1), ("mo", 1), (None, 1), (None, 1), ("mo", 4), ("o", 3))

# Times as they are kept, of all magnitudes, and some that are not yet in sixteenths.
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
    """What a history is about: a zone, a moment in it, and the time it takes place in."""

    zone: str
    moment: datetime
    begins: datetime
    ends: datetime


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """The present at the end is shortly after the moment, some hours or some days after it."""
    zone = draw(zones)
    moment = draw(moments(zone))
    lag = draw(st.sampled_from([30, 400, 960, 2400, 4000, 5000, 30000, DAY_S + 60, DAY_S + 5000, 3 * DAY_S]))
    lead = draw(st.sampled_from([HOUR, 3 * HOUR, DAY, 3 * DAY]))
    return Frame(zone, moment, moment - lead, moment + (lag + draw(st.integers(0, 59)) + 0.25) * SECOND)


@st.composite
def runs(draw: st.DrawFn, frame: Frame, service: str, location: str) -> list[Check]:
    """Some checks of one location, one after the other."""
    start = (
        draw(st.sampled_from(near(frame.moment, frame.zone))) + draw(st.sampled_from([0, 0, 0, -1, 1, 7, 59])) * SECOND
    )
    interval = draw(st.sampled_from(INTERVALS))
    slots = draw(st.lists(st.tuples(st.sampled_from(SLOTS), st.integers(1, 3)), min_size=1, max_size=6))
    said = draw(st.lists(measured, min_size=1, max_size=3))
    checks = []
    at = start
    for number, (severity, length) in enumerate(itertools.chain(*([slot] * count for slot, count in slots))):
        lasts = length * interval
        if severity and lasts <= DAY_S and at < frame.ends:
            checks.append(_check(service, location, at, lasts, severity, said[number % len(said)]))
        at += lasts * SECOND
    return checks


def _check(service: str, location: str, at: datetime, interval: int, severity: str, said: Measured) -> Check:
    error = said.error_type if severity == "mo" else None
    message = f"{error} at {at:%H:%M:%S}" if error else None
    times = said[:5] if severity != "mo" or said.error_type == "timeout" else (None,) * 5
    return Check(service, location, at, interval, severity, *times, error_type=error, error_message=message)


@st.composite
def strangers(draw: st.DrawFn, frame: Frame) -> list[Check]:
    """Rows that must be set aside, and late ones from long ago, some of which must be."""
    kinds = draw(st.lists(st.integers(0, 5), max_size=4))
    ages = [draw(st.integers(1, 450)) * DAY for _ in kinds]
    made = []
    for number, (kind, age) in enumerate(zip(kinds, ages, strict=True)):
        at = frame.moment + number * SECOND
        long_ago = Check("web", "local", at - age, 60, "mo" if number % 2 else "o", 12.5)
        strange = (at + 900 * DAY, "web", "local"), (at, "nobody", "local"), (at, "web", "nowhere")
        if kind < len(strange):
            moment, service, location = strange[kind]
            made.append(Check(service, location, moment, 60, "o", 100.0))
        else:
            made.append(long_ago)
    return made


@st.composite
def batches(draw: st.DrawFn, frame: Frame, rows: Sequence[Check]) -> list[list[Check]]:
    """The rows in the order of their time, cut into batches; some come in a later one, some come again, some as another
    prober saw them; each batch is shuffled."""
    ordered = sorted(rows, key=lambda one: one.at)
    cuts = sorted(draw(st.lists(st.integers(0, len(ordered)), max_size=4)))
    made = [ordered[low:high] for low, high in itertools.pairwise([0, *cuts, len(ordered)])]
    made = [batch for batch in made if batch] or [[]]
    dice = random.Random(draw(st.integers(0, 9999)))
    for number in draw(st.lists(st.integers(0, max(len(ordered) - 1, 0)), max_size=8)) if ordered else []:
        check = ordered[number]
        came = next(index for index, batch in enumerate(made) if check in batch)
        later = dice.randrange(came, len(made))
        if later > came and dice.random() < 0.6:
            made[came].remove(check)
            made[later].append(check)
        elif later > came and dice.random() < 0.5:
            made[later].append(check._replace(severity="o" if check.severity == "mo" else "mo", total_ms=77.0))
        else:
            made[later].append(check)
    for batch in made:
        dice.shuffle(batch)
    return [_once(batch) for batch in made if batch]


def _once(batch: Sequence[Check]) -> list[Check]:
    """Without rows of one key that say different things: of these no order is promised within a batch."""
    known: dict[tuple[str, str, datetime], Check] = {}
    return [check for check in batch if known.setdefault(check.key, check) == check]


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
    rows |= {check.key: check for check in draw(strangers(frame))}
    sent = draw(batches(frame, list(rows.values())))
    steps = draw(_steps(frame, sent, [service.id for service in services]))
    return History(
        frame.zone,
        frame.begins,
        services,
        locations,
        steps,
        draw(st.lists(asked(frame), min_size=1, max_size=3)),
        draw(_calendars(frame)),
        draw(st.sampled_from([60, 60, 60, 400])) * DAY,
    )


@st.composite
def _steps(draw: st.DrawFn, frame: Frame, sent: Sequence[Sequence[Check]], services: Sequence[str]) -> list[Step]:
    """The batches one after the other, the clock going on with them, with a refresh and a look here and there."""
    steps: list[Step] = []
    clock = newest_of_all = frame.begins
    paused: dict[str, datetime] = {}
    interrupted: dict[str, tuple[datetime, datetime]] = {}
    happening = draw(st.lists(st.sampled_from(["", "", "", "pause", "delete"]), min_size=len(sent), max_size=len(sent)))
    between = draw(
        st.lists(
            st.sampled_from(["", "", "", "refresh", "look", "refresh look"]), min_size=len(sent), max_size=len(sent)
        )
    )
    for batch, what, then in zip(sent, happening, between, strict=True):
        kept = [check for check in batch if not _within(check, interrupted.get(check.service))]
        newest = max((check.at for check in kept if check.at < frame.ends), default=clock)
        newest_of_all = max(newest_of_all, newest)
        # A prober's clock may be ahead of the server's, also by more than is accepted.
        lag = draw(st.sampled_from([2, 2, 40, 700, 4000, -100, -400]))
        clock = max(clock, min(newest + lag * SECOND, frame.ends)).replace(microsecond=250000)
        steps += [Advance(clock), Record(kept)]
        for service in [service for service in paused if draw(st.booleans())]:
            interrupted[service] = paused.pop(service), clock
            steps.append(GoOn(service))
        if what and newest_of_all < clock:
            service = draw(st.sampled_from(services))
            if service not in paused and service not in interrupted:
                paused[service] = clock
                interrupted[service] = clock, frame.ends
                steps.append(Interrupt(service, "delete" if what == "delete" else "pause"))
        steps += [Refresh()] * ("refresh" in then) + [Look()] * ("look" in then)
    return [*steps, *draw(_endings(frame, clock))]


def _within(check: Check, span: tuple[datetime, datetime] | None) -> bool:
    return span is not None and span[0] <= check.at <= span[1]


@st.composite
def _endings(draw: st.DrawFn, frame: Frame, clock: datetime) -> list[Step]:
    """The rest of the time goes by, refreshed now and then; and what operators do once."""
    steps: list[Step] = []
    for share in draw(st.lists(st.sampled_from([0.2, 0.5, 0.8]), max_size=2, unique=True).map(sorted)):
        at = (clock + share * (frame.ends - clock)).replace(microsecond=250000)
        steps += [Advance(at), Refresh()]
    steps += [Advance(max(frame.ends, clock)), Look(), Refresh(), Look()]
    rare = draw(st.sampled_from(["", "", "", "", "", "", "retain", "retain", "rezone", "rezone"]))
    if rare == "retain":
        steps += [Retain(draw(st.sampled_from([7, 30, 100])) * DAY), Refresh(), Clean(), Look()]
    elif rare == "rezone":
        steps += [Rezone(draw(zones)), Look(), Refresh(), Look()]
    return steps


@st.composite
def asked(draw: st.DrawFn, frame: Frame) -> Lookup:
    """A window around the moment, and a step that it may have."""
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
    odd = draw(st.sampled_from([today, today - 40 * DAY, today.replace(day=1), today - DAY]))
    return [(draw(st.integers(1, 3)), None), (draw(st.integers(1, 2)), odd)]
