"""States played through from raw checks: the episodes of each location, what a service was when, and its outages.

Check i of a location speaks from when it was scheduled to the next check, to the end of the time it stands for, or to a
pause that begins before, whichever comes first. What nobody speaks for is unknown. The last check speaks on until it is
asked whether its life is over, and it is.
"""

import itertools
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tests.oracle.rows import Check

STATES = {"o": "operational", "po": "degraded", "mo": "outage"}
UNKNOWN = "unknown"
GRACE = timedelta(seconds=60)


class Pause(NamedTuple):
    """A service was not looked at: paused or deleted. None where that goes on."""

    begins: datetime
    ends: datetime | None


class Episode(NamedTuple):
    """One row of `episodes`, without service and location. An unknown one says until when a state before it is
    believed."""

    starts_at: datetime
    ends_at: datetime | None
    state: str
    error_type: str | None = None
    error_message: str | None = None
    expires_at: datetime | None = None


class Outage(NamedTuple):
    """The errors are those that failing locations gave when it began; the database names one of them."""

    started_at: datetime
    ended_at: datetime | None
    errors: frozenset[tuple[str | None, str | None]]


class Story(NamedTuple):
    """A service's states, each from its moment on, the last one being the present, and its outages."""

    states: list[tuple[datetime, str]]
    outages: list[Outage]

    @property
    def present(self) -> tuple[str, datetime] | None:
        """The state and since when; None where there never was a check."""
        return (self.states[-1][1], self.states[-1][0]) if self.states else None


def expiry(check: Check) -> datetime:
    """Until when the state of a check is believed, should nothing follow."""
    return check.after(2) + GRACE


def episodes(
    checks: Iterable[Check], pauses: Sequence[Pause], asked_at: datetime, one_check: timedelta
) -> list[Episode]:
    """The episodes of one service at one location. `asked_at` is when expire_states() was called last, `one_check`
    how long a check can take, retries included."""
    line = sorted(checks, key=lambda one: one.at)
    spans = []
    for check, following in itertools.zip_longest(line, line[1:]):
        limit = following.at if following else None
        pause = next(
            (one.begins for one in pauses if check.at <= one.begins and (not limit or one.begins < limit)), None
        )
        ends = [check.after(), *(moment for moment in (limit, pause) if moment)]
        if following is None and pause is None and asked_at <= expiry(check) + one_check:
            ends = []
        end = min(ends, default=None)
        spans.append(Episode(check.at, end, STATES[check.severity], check.error_type, check.error_message))
        if end and end != limit:
            spans.append(Episode(end, limit, UNKNOWN, expires_at=pause if pause == end else expiry(check)))
    return _joined(one for one in spans if one.starts_at != one.ends_at)


def _joined(spans: Iterable[Episode]) -> list[Episode]:
    """Neighbours of one state are one episode, with the error of the first."""
    whole: list[Episode] = []
    for span in spans:
        if whole and whole[-1].state == span.state:
            whole[-1] = whole[-1]._replace(ends_at=span.ends_at)
        else:
            whole.append(span)
    return whole


def story(lines: Iterable[Sequence[Episode]], pauses: Sequence[Pause]) -> Story:
    """What the locations together say, event by event."""
    known = list(lines)
    moments = {one.starts_at for line in known for one in line} | {
        one.expires_at
        for line in known
        for one in line
        if one.expires_at and (one.ends_at is None or one.expires_at < one.ends_at)
    }
    states: list[tuple[datetime, str]] = []
    outages: list[Outage] = []
    begun = {pause.begins for pause in pauses}
    for moment in sorted(moments | begun):
        if moment in begun and outages and outages[-1].ended_at is None:
            outages[-1] = outages[-1]._replace(ended_at=moment)
        votes = [vote for line in known if (vote := vote_at(line, moment, begun))]
        state = verdict([vote.state for vote in votes])
        if (states or votes) and (not states or states[-1][1] != state):
            states.append((moment, state))
        is_out = bool(outages) and outages[-1].ended_at is None
        if state == "outage" and not is_out:
            outages.append(Outage(moment, None, _errors(moment, votes)))
        elif state in ("operational", "degraded") and is_out:
            outages[-1] = outages[-1]._replace(ended_at=moment)
    return Story(states, outages)


def _errors(moment: datetime, votes: Sequence[Episode]) -> frozenset[tuple[str | None, str | None]]:
    """Of the failed checks that made it an outage. Where it is one because a good location has fallen silent there are
    none: what the failing ones have been saying will do, or nothing."""
    failing = [one for one in votes if one.state == "outage"]
    began = [one for one in failing if one.starts_at == moment]
    errors = frozenset((one.error_type, one.error_message) for one in began or failing)
    return errors if began else errors | {(None, None)}


def vote_at(line: Sequence[Episode], moment: datetime, pauses: Collection[datetime]) -> Episode | None:
    """The episode a location votes with: its present one, or the one before an unknown one that is still believed.
    Nothing is believed after a pause has begun."""
    past = [one for one in line if one.starts_at <= moment]
    if not past:
        return None
    last = past[-1]
    if last.state != UNKNOWN:
        return last
    assert last.expires_at is not None
    is_over = moment >= last.expires_at or any(last.starts_at <= pause <= moment for pause in pauses)
    return None if is_over or len(past) < 2 else past[-2]


def verdict(states: Sequence[str]) -> str:
    """What a service is, by the states of its living locations."""
    if not states:
        return UNKNOWN
    if 2 * states.count("outage") > len(states):
        return "outage"
    return "operational" if set(states) == {"operational"} else "degraded"
