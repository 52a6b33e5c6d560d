"""The oracle's states, by hand: each history is small enough to be read."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.oracle.episodes import Episode, Outage, Pause, Story, episodes, story
from tests.oracle.rows import Check

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ONE_CHECK = timedelta(seconds=7)


def after(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


def minute(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - NOON) / MINUTE


def lines(text: str, present: float, pauses: Sequence[Pause] = ()) -> list[list[tuple[object, ...]]]:
    return [
        [(minute(one.starts_at), minute(one.ends_at), one.state, minute(one.expires_at)) for one in line]
        for line in _episodes(text, present, pauses)
    ]


def _episodes(text: str, present: float, pauses: Sequence[Pause]) -> list[list[Episode]]:
    """A letter a minute and location: o p m, `-` for a missing check; locations are separated by a blank."""
    return [
        episodes(
            [
                Check("web", place, after(number), severity={"o": "o", "p": "po", "m": "mo"}[letter])
                for number, letter in enumerate(line)
                if letter != "-"
            ],
            pauses,
            after(present),
            ONE_CHECK,
        )
        for place, line in zip("abc", text.split(), strict=False)
    ]


def told(text: str, present: float, pauses: Sequence[Pause] = ()) -> tuple[list[object], list[object]]:
    said = story(_episodes(text, present, pauses), pauses)
    return (
        [(minute(at), state) for at, state in said.states],
        [(minute(one.started_at), minute(one.ended_at)) for one in said.outages],
    )


def test_neighbours_of_one_state_are_one_episode() -> None:
    assert lines("oomm", 4) == [[(0, 2, "operational", None), (2, None, "outage", None)]]


def test_what_nobody_speaks_for_is_unknown() -> None:
    """The check of minute 1 would have been believed until minute 1 + 2 + 1."""
    assert lines("oo---o", 5) == [[(0, 2, "operational", None), (2, 5, "unknown", 4), (5, None, "operational", None)]]


@pytest.mark.parametrize(("present", "open_"), [(3.1, True), (3.12, False)])
def test_the_last_check_speaks_until_its_life_is_over(present: float, open_: bool) -> None:
    """Two intervals, a minute and seven seconds: 3.1167 minutes."""
    expected: list[tuple[object, ...]] = [(0, None, "operational", None)]
    assert lines("o", present) == [expected if open_ else [(0, 1, "operational", None), (1, None, "unknown", 3)]]


def test_a_pause_ends_what_a_check_stands_for_and_is_believed_at_once() -> None:
    pause = Pause(after(1.5), after(3.5))
    assert lines("oo--o", 4.5, [pause]) == [
        [(0, 1.5, "operational", None), (1.5, 4, "unknown", 1.5), (4, None, "operational", None)]
    ]


def test_a_pause_in_a_gap_ends_the_belief_in_the_check_before() -> None:
    pause = Pause(after(2), None)
    assert lines("o", 60, [pause]) == [[(0, 1, "operational", None), (1, None, "unknown", 3)]]
    assert told("o", 60, [pause])[0] == [(0, "operational"), (2, "unknown")]


def test_a_missed_slot_or_two_change_no_state() -> None:
    """Two missing: believed until minute 3, where the next check comes. Three: unknown for a minute."""
    assert told("o--o", 4)[0] == [(0, "operational")]
    assert told("o---o", 5)[0] == [(0, "operational"), (3, "unknown"), (4, "operational")]


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("oo om", [(0, "operational"), (1, "degraded")]),
        ("om om", [(0, "operational"), (1, "outage")]),
        ("om om oo", [(0, "operational"), (1, "outage")]),
        ("om oo oo", [(0, "operational"), (1, "degraded")]),
        ("op oo oo", [(0, "operational"), (1, "degraded")]),
        # a location that has not spoken yet does not count
        ("mo -o", [(0, "outage"), (1, "operational")]),
        # nor does one that speaks no more
        ("o------ mmmmmmm", [(0, "degraded"), (3, "outage")]),
    ],
)
def test_more_than_half_of_the_living_locations_make_an_outage(text: str, states: list[object]) -> None:
    assert told(text, 2 if len(text) < 10 else 6.5)[0] == states


def test_outages_last_from_the_first_moment_to_the_first_good_one() -> None:
    assert told("ommpo", 5)[1] == [(1, 3)]
    assert told("om", 2)[1] == [(1, None)]


def test_a_gap_neither_ends_nor_begins_an_outage() -> None:
    assert told("om------mo", 10) == (
        [(0, "operational"), (1, "outage"), (4, "unknown"), (8, "outage"), (9, "operational")],
        [(1, 9)],
    )
    assert told("om", 60)[1] == [(1, None)]


def test_a_pause_ends_an_outage_also_in_a_gap() -> None:
    assert told("om--m", 4.5, [Pause(after(2.5), after(3.5))]) == (
        [(0, "operational"), (1, "outage"), (2.5, "unknown"), (4, "outage")],
        [(1, 2.5), (4, None)],
    )
    assert told("om", 60, [Pause(after(30), None)]) == (
        [(0, "operational"), (1, "outage"), (4, "unknown")],
        [(1, 30)],
    )


def test_errors_are_those_of_the_locations_that_fail() -> None:
    def line(place: str, error: str | None) -> list[Episode]:
        check = Check("web", place, NOON, severity="mo" if error else "o", error_type=error)
        return episodes([check], [], NOON, ONE_CHECK)

    said = story([line("a", "timeout"), line("b", "dns_error"), line("c", None)], [])
    assert said == Story([(NOON, "outage")], [Outage(NOON, None, frozenset({("timeout", None), ("dns_error", None)}))])
    assert said.present == ("outage", NOON)


def test_nothing_is_said_of_what_was_never_looked_at() -> None:
    assert story([], [Pause(NOON, None)]) == Story([], [])
    assert story([], []).present is None
