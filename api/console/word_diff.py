"""Two versions of a text beside each other: which words are in one of them only."""

import re
from difflib import SequenceMatcher
from typing import NamedTuple

MOST_WORDS = 2000
"""Comparing takes the square of it, in the worst case a tenth of a second; longer texts are compared by line."""
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Piece(NamedTuple):
    text: str
    only_here: bool


def side_by_side(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """The two texts in pieces that belong to both of them, or to one alone."""
    pattern = _WORD if _is_short(_WORD, one) and _is_short(_WORD, other) else _LINE
    if not (_is_short(pattern, one) and _is_short(pattern, other)):
        return [Piece(one, True)], [Piece(other, True)]
    first, second = pattern.findall(one), pattern.findall(other)
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        one_has, other_has = "".join(first[a:b]), "".join(second[c:d])
        differs = tag != "equal" or one_has.isspace()  # a space between two other words belongs to them
        _add(left, one_has, differs)
        _add(right, other_has, differs)
    return left, right


def _is_short(pattern: re.Pattern[str], text: str) -> bool:
    return sum(1 for _ in zip(pattern.finditer(text), range(MOST_WORDS + 1), strict=False)) <= MOST_WORDS


def _add(pieces: list[Piece], text: str, only_here: bool) -> None:
    if text and pieces and pieces[-1].only_here is only_here:
        pieces[-1] = Piece(pieces[-1].text + text, only_here)
    elif text:
        pieces.append(Piece(text, only_here))
