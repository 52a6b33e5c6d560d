"""Two people have changed one incident: what differs, who changed it, and one version made of the two."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from api.console.incident_form import FIELDS, TEXTS, Marks, Value, Values, marks
from api.console.word_diff import Piece, side_by_side

Choice = Literal["mine", "theirs", "both"]
JOINABLE = frozenset({"affectedServices", *TEXTS})
"""Where both versions fit into one field."""
_PROPOSED: Mapping[str, Choice] = {"me": "mine", "them": "theirs"}


class Difference(NamedTuple):
    """One field that is not the same. `changed_by`: who has moved away from what the form was filled with."""

    name: str
    mine: Value
    theirs: Value
    changed_by: Literal["me", "them", "both"]

    @property
    def proposed(self) -> Choice | None:
        """Nobody decides for a person whose words stay where two have written."""
        return _PROPOSED.get(self.changed_by)

    @property
    def joinable(self) -> bool:
        return self.name in JOINABLE and bool(self.mine) and bool(self.theirs)

    def words(self) -> tuple[list[Piece], list[Piece]]:
        """Both texts, with what is in one of them only."""
        return side_by_side(str(self.mine), str(self.theirs))


def differences(mine: Values, theirs: Values, base: Marks) -> list[Difference]:
    """In the order of the form. Without a mark of what a field was, both are taken to have changed it."""
    my_marks, their_marks = marks(mine), marks(theirs)
    found = []
    for name in FIELDS:
        if mine[name] != theirs[name]:
            i_did, they_did = my_marks[name] != base.get(name), their_marks[name] != base.get(name)
            changed_by: Literal["me", "them", "both"] = "both" if i_did and they_did else "me" if i_did else "them"
            found.append(Difference(name, mine[name], theirs[name], changed_by))
    return found


def clash(differing: list[Difference]) -> bool:
    """Whether saving mine would undo anything that somebody else has done."""
    return any(difference.changed_by != "me" for difference in differing)


def merged(mine: Values, theirs: Values, choices: Mapping[str, str]) -> Values:
    """One version of the two; where nothing was chosen, mine."""
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
