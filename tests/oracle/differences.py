"""What differs between the oracle and a database, said so that a person can read it."""

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

SHOWN = 15


class Difference(NamedTuple):
    relation: str
    key: object
    expected: object
    found: object

    def __str__(self) -> str:
        key = ", ".join(str(part) for part in self.key) if isinstance(self.key, tuple) else str(self.key)
        return f"{self.relation} [{key}]\n    expected {shown(self.expected)}\n    found    {shown(self.found)}"


class Near(NamedTuple):
    """A number that need not be met exactly."""

    value: float | Fraction
    within: float

    def __str__(self) -> str:
        return f"{float(self.value):.6g} (within {self.within})"


class OneOf(NamedTuple):
    """Any of these will do."""

    values: frozenset[Any]

    def __str__(self) -> str:
        return "one of " + ", ".join(sorted(map(str, self.values)))


ANYTHING = object()


def shown(value: object) -> str:
    if value is ANYTHING:
        return "anything"
    if isinstance(value, tuple | list) and not isinstance(value, Near | OneOf):
        return "(" + ", ".join(shown(part) for part in value) + ")"
    return str(value)


def agree(expected: Any, found: Any) -> bool:
    """Whether a value is what the oracle says: floating-point numbers to nine digits, all else exactly."""
    if expected is ANYTHING:
        return True
    if isinstance(expected, Near):
        return found is not None and abs(Fraction(found) - Fraction(expected.value)) <= Fraction(expected.within)
    if isinstance(expected, OneOf):
        return found in expected.values
    if isinstance(expected, tuple | list):
        return (
            isinstance(found, tuple | list)
            and len(expected) == len(found)
            and all(agree(one, other) for one, other in zip(expected, found, strict=True))
        )
    if isinstance(expected, float) and isinstance(found, float | int):
        return math.isclose(expected, found, rel_tol=1e-9, abs_tol=1e-9)
    return bool(expected == found)


def differences(relation: str, expected: Mapping[Any, Any], found: Iterable[tuple[Any, Any]]) -> list[Difference]:
    """The rows that differ, those that are missing and those that are too many; also a key that comes twice."""
    known: dict[Any, Any] = {}
    wrong = []
    for key, values in found:
        if key in known:
            wrong.append(Difference(relation, key, "one row", "two rows"))
        known[key] = values
    for key in sorted(expected.keys() | known.keys(), key=repr):
        if key not in known:
            wrong.append(Difference(relation, key, expected[key], "no row"))
        elif key not in expected:
            wrong.append(Difference(relation, key, "no row", known[key]))
        elif not agree(expected[key], known[key]):
            wrong.append(Difference(relation, key, expected[key], known[key]))
    return wrong


def report(wrong: list[Difference]) -> str:
    """The first differences; one of each relation comes before a second one of any."""
    numbered: dict[str, int] = {}
    ranked = []
    for number, one in enumerate(wrong):
        numbered[one.relation] = numbered.get(one.relation, 0) + 1
        ranked.append((numbered[one.relation], number, one))
    lines = [str(one) for _, _, one in sorted(ranked, key=lambda ranked: ranked[:2])[:SHOWN]]
    more = f"\n... and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return "\n".join(lines) + more
