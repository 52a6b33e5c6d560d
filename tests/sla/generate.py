"""Random worlds around changes of clocks.

Their moments come from a small pool. So many of them coincide or lie one microsecond apart, and outages are often
exactly as long as the shortest one that counts.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from hypothesis import strategies as st

from tests.oracle.local_days import DAY, local_days
from tests.sla.model import MICROSECOND, Span
from tests.sla.store import Period
from tests.sla.world import (
    Announcement,
    Correction,
    Episode,
    Hours,
    Membership,
    Occurrence,
    Policy,
    Version,
    World,
)

ZONES = ("Europe/Berlin", "America/Havana", "Asia/Kolkata", "America/St_Johns", "Atlantic/Azores")
LEAP_DAY = date(2028, 2, 29)
SERVICES = ("api", "web")
GROUPS, TAGS = ("back", "front"), ("gold", "silver")
SUBJECTS = {"service": SERVICES, "tag": TAGS, "group": GROUPS, "everything": (None,)}
CALENDAR = "Holidays"
STEP = timedelta(minutes=15)
SHORTEST_S = (0, 0, 1, 900, 1800, 5400, 86400)
CLOCKS = ("00:00", "00:30", "01:00", "02:30", "03:00", "08:00", "20:00", "23:30", "24:00")
CREDITS = (None, (("99.9", "10"),), (("99.99", "5"), ("95", "25.5"), ("50", "100")))
JITTER = (0, 0, 0, 1, -1, 123_456)
"""Microseconds beside a multiple of STEP."""


class Case(NamedTuple):
    world: World
    period: Period

    def __repr__(self) -> str:
        return f"{self.world.describe()}\n{self.period}"


class Scene(NamedTuple):
    """The zone and the days of an example, the moments of its pool, and the time at which it is computed."""

    zone: str
    first_day: date
    last_day: date
    pool: tuple[datetime, ...]
    now: datetime


def changes(zone: str) -> list[date]:
    """Returns the local days of 2026 on which the clocks change, and the leap day."""
    days = local_days(zone)
    return [*(days.date_of(one.at) for one in days.changes if one.at.year == 2026), LEAP_DAY]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    zone = draw(st.sampled_from(ZONES))
    day = draw(st.sampled_from(changes(zone)))
    if draw(st.integers(0, 4)) == 0:  # the whole month
        first_day = day.replace(day=1)
        last_day = (first_day + 31 * DAY).replace(day=1) - DAY
    else:
        first_day, last_day = day - draw(st.integers(0, 2)) * DAY, day + draw(st.integers(0, 2)) * DAY
    days = local_days(zone)
    low, high = days.starts(first_day), days.starts(last_day + DAY)
    steps = (high - low + 3 * DAY) // STEP
    # Hypothesis prefers small numbers. They are spread over the days, and 0 lies within the first one.
    anywhere = st.integers(0, steps).map(lambda step: low - DAY - DAY / 2 + (37 * step + 190) % steps * STEP)
    near = st.builds(
        lambda at, step: at + step * STEP,
        st.sampled_from([low, high, *(one.at for one in days.changes if low <= one.at <= high)]),
        st.integers(-4, 4),
    )
    jittered = st.builds(
        lambda at, jitter: at + jitter * MICROSECOND, st.one_of(anywhere, near), st.sampled_from(JITTER)
    )
    pool = draw(st.lists(jittered, min_size=8, max_size=16, unique=True))
    for shortest_s in SHORTEST_S[2:5]:
        pool += [pool[0] + timedelta(seconds=shortest_s), pool[1] + timedelta(seconds=shortest_s) - MICROSECOND]
    later = high + 30 * DAY
    now = draw(st.sampled_from((later, later, *sorted(pool)[4:])))
    return Scene(zone, first_day, last_day, tuple(sorted(set(pool))), now)


@st.composite
def spans_of(draw: st.DrawFn, pool: tuple[datetime, ...]) -> Span:
    first = draw(st.sampled_from((*range(len(pool) // 3, len(pool) - 1), *range(len(pool) // 3))))
    following = pool[first + 1 :]
    return pool[first], draw(st.sampled_from((*following[2:], *following[:2])))


@st.composite
def episodes_of(draw: st.DrawFn, scene: Scene, service: str, location: str) -> list[Episode]:
    """Contiguous episodes of one location. The last one may be open."""
    begun = [at for at in scene.pool if at < scene.now]
    if not begun:
        return []
    starts = sorted(draw(st.lists(st.sampled_from(begun), min_size=min(4, len(begun)), max_size=9, unique=True)))
    states = st.sampled_from(("operational", "outage", "outage", "degraded", "unknown"))
    ends = [*starts[1:], None]
    found = [Episode(service, location, start, end, draw(states)) for start, end in zip(starts, ends, strict=False)]
    return found if draw(st.booleans()) else found[:-1]


@st.composite
def versions(draw: st.DrawFn, scene: Scene, number: int) -> Version:
    quorum = draw(st.sampled_from(("one", "majority", "all", "number")))
    period = draw(st.sampled_from(("month", "quarter", "year", "rolling")))
    return Version(
        number=number,
        valid_from=draw(
            st.integers(-3, (scene.last_day - scene.first_day).days).map(lambda n: scene.first_day + n * DAY)
        ),
        recorded_at=draw(st.sampled_from((Version().recorded_at, Version().recorded_at, *scene.pool[:2]))),
        ended=number > 1 and draw(st.integers(0, 4)) == 0,
        target=draw(st.sampled_from([Decimal(text) for text in ("99.9", "99.9999", "95", "100", "33.3333")])),
        zone=draw(st.sampled_from((scene.zone, scene.zone, scene.zone, "UTC", *ZONES))),
        hours=draw(st.none() | weekly_hours()),
        calendar=draw(st.sampled_from((None, None, CALENDAR))),
        maintenance=draw(st.sampled_from(("excluded", "excluded", "counted"))),
        announced_minutes=draw(st.sampled_from((0, 1, 15, 60, 1440))),
        degraded_weight=draw(st.sampled_from((Decimal(0), Decimal("0.125"), Decimal(1)))),
        unknown=draw(st.sampled_from(("excluded", "down", "up"))),
        shortest_outage_s=draw(st.sampled_from(SHORTEST_S)),
        quorum=quorum,
        quorum_locations=draw(st.integers(1, 4)) if quorum == "number" else None,
        least_coverage=draw(st.sampled_from((Decimal(0), Decimal(50), Decimal("99.99"), Decimal(100)))),
        period=period,
        rolling_days=draw(st.integers(1, 366)) if period == "rolling" else None,
        credits=draw(st.sampled_from(CREDITS)),
    )


@st.composite
def weekly_hours(draw: st.DrawFn) -> tuple[Hours, ...]:
    """Intervals that do not overlap."""
    clocks = sorted(draw(st.lists(st.sampled_from(CLOCKS), min_size=2, max_size=4, unique=True)))
    pairs = zip(clocks[::2], clocks[1::2], strict=False)
    days = st.sets(st.integers(1, 7), min_size=1).map(lambda chosen: tuple(sorted(chosen)))
    return tuple(Hours(draw(st.just((1, 2, 3, 4, 5, 6, 7)) | days), begins, until) for begins, until in pairs)


@st.composite
def policies(draw: st.DrawFn, scene: Scene) -> tuple[Policy, ...]:
    """Between one and three policies with different subjects. Usually one of them is for everything."""
    subjects = [(scope, subject) for scope, names in SUBJECTS.items() for subject in names]
    chosen = draw(st.lists(st.sampled_from(subjects), max_size=2, unique=True))
    if ("everything", None) not in chosen:
        chosen.append(("everything", None))
    return tuple(
        Policy(
            UUID(int=100 + number),
            scope,
            subject,
            tuple(draw(versions(scene, one + 1)) for one in range(draw(st.integers(1, 3)))),
        )
        for number, (scope, subject) in enumerate(chosen)
    )


@st.composite
def corrections(draw: st.DrawFn, scene: Scene, number: int) -> Correction:
    scope = draw(st.sampled_from(("everything", "service", "tag", "group")))
    created_at = draw(st.sampled_from(scene.pool[:6]))
    return Correction(
        UUID(int=draw(st.sampled_from((10, 20))) + number),
        scope,
        draw(st.sampled_from(SUBJECTS[scope])),
        draw(st.sampled_from(("excluded", "down", "up"))),
        tuple(draw(st.lists(spans_of(scene.pool), min_size=1, max_size=2, unique=True))),
        created_at,
        draw(st.sampled_from((None,) * 8 + tuple(at for at in scene.pool if at >= created_at))),
    )


@st.composite
def memberships(draw: st.DrawFn, scene: Scene, service: str) -> list[Membership]:
    groups, tags = st.sampled_from((None, *GROUPS)), st.sets(st.sampled_from(TAGS)).map(lambda one: tuple(sorted(one)))
    cuts = sorted(draw(st.lists(st.sampled_from(scene.pool), max_size=2, unique=True)))
    bounds = zip((None, *cuts), (*cuts, None), strict=True)
    return [Membership(service, start, end, draw(groups), draw(tags)) for start, end in bounds]


@st.composite
def maintenance(draw: st.DrawFn, scene: Scene, window: UUID) -> tuple[list[Announcement], list[Occurrence]]:
    """Announcements of one window, among them extensions, and occurrences, which may be longer or shorter."""
    affected = st.sampled_from((("web",), SERVICES))
    announced_at = st.builds(
        lambda at, minutes: at - timedelta(minutes=minutes),
        st.sampled_from(scene.pool),
        st.sampled_from((4320, 1440, 60, 15, 1, 0)),
    )
    announced = st.builds(
        lambda span, services, at: Announcement(window, span[0], span[1], services, at),
        spans_of(scene.pool),
        affected,
        announced_at,
    )
    announcements = draw(st.lists(announced, min_size=1, max_size=4))
    taken = draw(st.lists(spans_of(scene.pool), min_size=1, max_size=2, unique_by=lambda span: span[0]))
    if draw(st.booleans()):
        taken = list({one.starts_at: (one.starts_at, one.ends_at) for one in announcements}.values())
    return announcements, [Occurrence(window, span[0], span[1], draw(affected)) for span in taken]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    scene = draw(scenes())
    services = SERVICES if draw(st.booleans()) else ("web",)
    places = ("a", "b", "c")[: draw(st.integers(1, 3))]
    plans = [draw(maintenance(scene, UUID(int=1 + number))) for number in range(draw(st.integers(1, 2)))]
    terms = draw(policies(scene))
    decided = tuple(draw(corrections(scene, number)) for number in range(draw(st.integers(2, 4))))
    # Often the moment at which a correction was created or withdrawn, which is included.
    edges = [moment for one in decided for moment in (one.created_at, one.withdrawn_at) if moment]
    known_at = draw(st.sampled_from((*[scene.now] * 8, *scene.pool[-4:], *edges)))
    world = World(
        now=scene.now,
        episodes=tuple(
            one for service in services for place in places for one in draw(episodes_of(scene, service, place))
        ),
        policies=terms,
        corrections=decided,
        memberships=tuple(one for service in services for one in draw(memberships(scene, service))),
        announcements=tuple(one for announced, _ in plans for one in announced),
        occurrences=tuple(one for _, taken in plans for one in taken),
        holidays=tuple(
            (CALENDAR, scene.first_day + number * DAY)
            for number in sorted(draw(st.sets(st.integers(0, 4), min_size=1, max_size=3)))
        ),
    )
    simulated = draw(st.integers(0, 3)) == 0
    policy = draw(st.sampled_from(terms))
    under = (policy, draw(st.sampled_from(policy.versions))) if simulated else None
    return Case(world, Period(services, scene.first_day, scene.last_day, known_at, under))
