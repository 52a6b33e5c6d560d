"""Differences between the oracle and a database, in readable form."""

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
    """An approximate number."""

    value: float | Fraction
    within: float

    def __str__(self) -> str:
        return f"{float(self.value):.6g} (within {self.within})"


class OneOf(NamedTuple):
    """Any of these values."""

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
    """Returns whether a value is the expected one: floating-point numbers to nine digits, all others exactly."""
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
    """Returns the rows that differ, are missing or are unexpected, and repeated keys."""
    rows: dict[Any, Any] = {}
    found_differences = []
    for key, values in found:
        if key in rows:
            found_differences.append(Difference(relation, key, "one row", "two rows"))
        rows[key] = values
    for key in sorted(expected.keys() | rows.keys(), key=repr):
        if key not in rows:
            found_differences.append(Difference(relation, key, expected[key], "no row"))
        elif key not in expected:
            found_differences.append(Difference(relation, key, "no row", rows[key]))
        elif not agree(expected[key], rows[key]):
            found_differences.append(Difference(relation, key, expected[key], rows[key]))
    return found_differences


def report(found_differences: list[Difference]) -> str:
    """Returns the first differences as text, one of each relation before a second one of any."""
    numbered: dict[str, int] = {}
    ranked = []
    for number, one in enumerate(found_differences):
        numbered[one.relation] = numbered.get(one.relation, 0) + 1
        ranked.append((numbered[one.relation], number, one))
    lines = [str(one) for _, _, one in sorted(ranked, key=lambda ranked: ranked[:2])[:SHOWN]]
    more = f"\n... and {len(found_differences) - SHOWN} more" if len(found_differences) > SHOWN else ""
    return "\n".join(lines) + more
