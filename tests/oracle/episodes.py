"""Computes states from raw checks: the episodes of each location, the states of a service, and its outages.

A check of a location is valid from its scheduled time to the next check, to the end of its interval, or to the
beginning of a pause, whichever is first. Time without a valid check is unknown. The last check stays valid until
expire_states() is called after its expiry.
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
    """The time in which a service was paused or deleted. `ends` is None if that has not ended."""

    begins: datetime
    ends: datetime | None


class Episode(NamedTuple):
    """One row of `episodes`, without service and location. `expires_at` of an unknown episode is the time until which
    the state before it counts."""

    starts_at: datetime
    ends_at: datetime | None
    state: str
    error_type: str | None = None
    error_message: str | None = None
    expires_at: datetime | None = None


class Outage(NamedTuple):
    """An outage and the errors of the failing locations at its beginning; the database stores one of them."""

    started_at: datetime
    ended_at: datetime | None
    errors: frozenset[tuple[str | None, str | None]]


class StateHistory(NamedTuple):
    """The states of a service with their start times, the last being the current one, and its outages."""

    states: list[tuple[datetime, str]]
    outages: list[Outage]

    @property
    def present(self) -> tuple[str, datetime] | None:
        """The current state and its start, or None without any check."""
        return (self.states[-1][1], self.states[-1][0]) if self.states else None


def expiry(check: Check) -> datetime:
    """Returns the time until which a check counts if no other follows."""
    return check.after(2) + GRACE


def episodes(
    checks: Iterable[Check], pauses: Sequence[Pause], expired_at: datetime, one_check: timedelta
) -> list[Episode]:
    """Returns the episodes of one service at one location. `expired_at` is the time of the last call of
    expire_states(), `one_check` the longest time of a check with its retries."""
    line = sorted(checks, key=lambda one: one.at)
    spans = []
    for check, following in itertools.zip_longest(line, line[1:]):
        limit = following.at if following else None
        pause = next(
            (one.begins for one in pauses if check.at <= one.begins and (not limit or one.begins < limit)), None
        )
        ends = [check.after(), *(moment for moment in (limit, pause) if moment)]
        if following is None and pause is None and expired_at <= expiry(check) + one_check:
            ends = []
        end = min(ends, default=None)
        spans.append(Episode(check.at, end, STATES[check.severity], check.error_type, check.error_message))
        if end and end != limit:
            spans.append(Episode(end, limit, UNKNOWN, expires_at=pause if pause == end else expiry(check)))
    return _joined(one for one in spans if one.starts_at != one.ends_at)


def _joined(spans: Iterable[Episode]) -> list[Episode]:
    """Merges adjacent episodes of one state, with the error of the first."""
    whole: list[Episode] = []
    for span in spans:
        if whole and whole[-1].state == span.state:
            whole[-1] = whole[-1]._replace(ends_at=span.ends_at)
        else:
            whole.append(span)
    return whole


def state_history(lines: Iterable[Sequence[Episode]], pauses: Sequence[Pause]) -> StateHistory:
    """Computes the states of a service from the episodes of its locations."""
    all_lines = list(lines)
    moments = {one.starts_at for line in all_lines for one in line} | {
        one.expires_at
        for line in all_lines
        for one in line
        if one.expires_at and (one.ends_at is None or one.expires_at < one.ends_at)
    }
    states: list[tuple[datetime, str]] = []
    outages: list[Outage] = []
    begun = {pause.begins for pause in pauses}
    for moment in sorted(moments | begun):
        if moment in begun and outages and outages[-1].ended_at is None:
            outages[-1] = outages[-1]._replace(ended_at=moment)
        votes = [vote for line in all_lines if (vote := vote_at(line, moment, begun))]
        state = verdict([vote.state for vote in votes])
        if (states or votes) and (not states or states[-1][1] != state):
            states.append((moment, state))
        is_out = bool(outages) and outages[-1].ended_at is None
        if state == "outage" and not is_out:
            outages.append(Outage(moment, None, _errors(moment, votes)))
        elif state in ("operational", "degraded") and is_out:
            outages[-1] = outages[-1]._replace(ended_at=moment)
    return StateHistory(states, outages)


def _errors(moment: datetime, votes: Sequence[Episode]) -> frozenset[tuple[str | None, str | None]]:
    """Returns the errors of the failed checks that began the outage. If it began because a location expired, any error
    of the failing locations is accepted, or none."""
    failing = [one for one in votes if one.state == "outage"]
    began = [one for one in failing if one.starts_at == moment]
    errors = frozenset((one.error_type, one.error_message) for one in began or failing)
    return errors if began else errors | {(None, None)}


def vote_at(line: Sequence[Episode], moment: datetime, pauses: Collection[datetime]) -> Episode | None:
    """Returns the episode that counts for a location: the current one, or the one before an unknown one that has not
    expired. After the beginning of a pause none counts."""
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
    """Returns the state of a service from the states of its locations that have not expired."""
    if not states:
        return UNKNOWN
    if 2 * states.count("outage") > len(states):
        return "outage"
    return "operational" if set(states) == {"operational"} else "degraded"
