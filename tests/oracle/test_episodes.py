"""The states of the oracle, with expected values written by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.oracle.episodes import Episode, Outage, Pause, StateHistory, episodes, state_history
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
    """Parses one letter per minute: o, p, m, or `-` for a missing check. Locations are separated by a space."""
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


def states_and_outages(text: str, present: float, pauses: Sequence[Pause] = ()) -> tuple[list[object], list[object]]:
    computed = state_history(_episodes(text, present, pauses), pauses)
    return (
        [(minute(at), state) for at, state in computed.states],
        [(minute(one.started_at), minute(one.ended_at)) for one in computed.outages],
    )


def test_adjacent_checks_of_one_state_are_one_episode() -> None:
    assert lines("oomm", 4) == [[(0, 2, "operational", None), (2, None, "outage", None)]]


def test_time_without_a_valid_check_is_unknown() -> None:
    """The check of minute 1 would have counted until minute 1 + 2 + 1."""
    assert lines("oo---o", 5) == [[(0, 2, "operational", None), (2, 5, "unknown", 4), (5, None, "operational", None)]]


@pytest.mark.parametrize(("present", "open_"), [(3.1, True), (3.12, False)])
def test_the_last_check_is_valid_until_its_expiry(present: float, open_: bool) -> None:
    """Two intervals, one minute and seven seconds: 3.1167 minutes."""
    expected: list[tuple[object, ...]] = [(0, None, "operational", None)]
    assert lines("o", present) == [expected if open_ else [(0, 1, "operational", None), (1, None, "unknown", 3)]]


def test_a_pause_ends_the_validity_of_a_check_at_once() -> None:
    pause = Pause(after(1.5), after(3.5))
    assert lines("oo--o", 4.5, [pause]) == [
        [(0, 1.5, "operational", None), (1.5, 4, "unknown", 1.5), (4, None, "operational", None)]
    ]


def test_a_pause_in_a_gap_expires_the_check_before_it() -> None:
    pause = Pause(after(2), None)
    assert lines("o", 60, [pause]) == [[(0, 1, "operational", None), (1, None, "unknown", 3)]]
    assert states_and_outages("o", 60, [pause])[0] == [(0, "operational"), (2, "unknown")]


def test_one_or_two_missing_checks_change_no_state() -> None:
    """With two missing checks the last one counts until minute 3, when the next one follows. With three the state is
    unknown for a minute."""
    assert states_and_outages("o--o", 4)[0] == [(0, "operational")]
    assert states_and_outages("o---o", 5)[0] == [(0, "operational"), (3, "unknown"), (4, "operational")]


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("oo om", [(0, "operational"), (1, "degraded")]),
        ("om om", [(0, "operational"), (1, "outage")]),
        ("om om oo", [(0, "operational"), (1, "outage")]),
        ("om oo oo", [(0, "operational"), (1, "degraded")]),
        ("op oo oo", [(0, "operational"), (1, "degraded")]),
        # a location without a check yet does not count
        ("mo -o", [(0, "outage"), (1, "operational")]),
        # an expired location does not count
        ("o------ mmmmmmm", [(0, "degraded"), (3, "outage")]),
    ],
)
def test_an_outage_needs_more_than_half_of_the_locations(text: str, states: list[object]) -> None:
    assert states_and_outages(text, 2 if len(text) < 10 else 6.5)[0] == states


def test_an_outage_lasts_until_the_first_successful_check() -> None:
    assert states_and_outages("ommpo", 5)[1] == [(1, 3)]
    assert states_and_outages("om", 2)[1] == [(1, None)]


def test_a_gap_neither_begins_nor_ends_an_outage() -> None:
    assert states_and_outages("om------mo", 10) == (
        [(0, "operational"), (1, "outage"), (4, "unknown"), (8, "outage"), (9, "operational")],
        [(1, 9)],
    )
    assert states_and_outages("om", 60)[1] == [(1, None)]


def test_a_pause_ends_an_outage_even_in_a_gap() -> None:
    assert states_and_outages("om--m", 4.5, [Pause(after(2.5), after(3.5))]) == (
        [(0, "operational"), (1, "outage"), (2.5, "unknown"), (4, "outage")],
        [(1, 2.5), (4, None)],
    )
    assert states_and_outages("om", 60, [Pause(after(30), None)]) == (
        [(0, "operational"), (1, "outage"), (4, "unknown")],
        [(1, 30)],
    )


def test_the_errors_of_an_outage_are_those_of_the_failing_locations() -> None:
    def line(place: str, error: str | None) -> list[Episode]:
        check = Check("web", place, NOON, severity="mo" if error else "o", error_type=error)
        return episodes([check], [], NOON, ONE_CHECK)

    computed = state_history([line("a", "timeout"), line("b", "dns_error"), line("c", None)], [])
    assert computed == StateHistory(
        [(NOON, "outage")], [Outage(NOON, None, frozenset({("timeout", None), ("dns_error", None)}))]
    )
    assert computed.present == ("outage", NOON)


def test_a_service_without_checks_has_no_states() -> None:
    assert state_history([], [Pause(NOON, None)]) == StateHistory([], [])
    assert state_history([], []).present is None
