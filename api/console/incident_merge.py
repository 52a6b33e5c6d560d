"""Two versions of an incident: the fields that differ, who changed each, and a merged version."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from api.console.incident_form import FIELDS, TEXTS, Marks, Value, Values, marks
from api.console.word_diff import Piece, side_by_side

Choice = Literal["mine", "theirs", "both"]
JOINABLE = frozenset({"affectedServices", *TEXTS})
"""Fields that can hold both versions."""
_PROPOSED: Mapping[str, Choice] = {"me": "mine", "them": "theirs"}


class Difference(NamedTuple):
    """One field that differs. `changed_by` is the version that differs from the value that the form was opened with."""

    name: str
    mine: Value
    theirs: Value
    changed_by: Literal["me", "them", "both"]

    @property
    def proposed(self) -> Choice | None:
        """The choice that is preselected; None if both users have changed the field."""
        return _PROPOSED.get(self.changed_by)

    @property
    def joinable(self) -> bool:
        return self.name in JOINABLE and bool(self.mine) and bool(self.theirs)

    def words(self) -> tuple[list[Piece], list[Piece]]:
        """Both texts in pieces; a piece that only one text has is marked."""
        return side_by_side(str(self.mine), str(self.theirs))


def differences(mine: Values, theirs: Values, base: Marks) -> list[Difference]:
    """The fields that differ, in the order of the form. A field without a digest in `base` counts as changed by
    both."""
    my_marks, their_marks = marks(mine), marks(theirs)
    found = []
    for name in FIELDS:
        if mine[name] != theirs[name]:
            i_did, they_did = my_marks[name] != base.get(name), their_marks[name] != base.get(name)
            changed_by: Literal["me", "them", "both"] = "both" if i_did and they_did else "me" if i_did else "them"
            found.append(Difference(name, mine[name], theirs[name], changed_by))
    return found


def clash(differing: list[Difference]) -> bool:
    """Whether saving `mine` would undo a change by another user."""
    return any(difference.changed_by != "me" for difference in differing)


def merged(mine: Values, theirs: Values, choices: Mapping[str, str]) -> Values:
    """The merged version. A field without a choice is taken from `mine`."""
    made = dict(mine)
    for name, choice in choices.items():
        if choice == "theirs":
            made[name] = theirs[name]
        elif choice == "both" and name in JOINABLE:
            made[name] = _together(mine[name], theirs[name])
    return made


def _together(mine: Value, theirs: Value) -> Value:
    if isinstance(mine, list) and isinstance(theirs, list):
        return sorted({*mine, *theirs})
    ours, others = str(mine), str(theirs)
    if ours in others or others in ours:
        return max(ours, others, key=len)
    return f"{others}\n\n{ours}"
