"""A comparison of two texts by word: the words that only one of them has."""

import re
from difflib import SequenceMatcher
from typing import NamedTuple

MAX_WORDS = 500
"""Up to this number of differing words texts are compared by word, up to this number of lines by line, else not at all:
in the worst case the time grows with the cube."""
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Piece(NamedTuple):
    text: str
    only_here: bool


def side_by_side(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces. A piece is in both texts, or `only_here`."""
    for pattern in (_WORD, _LINE):
        first, second = pattern.findall(one), pattern.findall(other)
        begin = _same_start(first, second)
        end = _same_start(first[begin:][::-1], second[begin:][::-1])
        if max(len(first), len(second)) - begin - end <= MAX_WORDS:
            return _compared(first, second, begin, end)
    return [Piece(one, True)], [Piece(other, True)]


def _compared(first: list[str], second: list[str], begin: int, end: int) -> tuple[list[Piece], list[Piece]]:
    """Compares what is between the first `begin` and the last `end` pieces, which are the same in both texts."""
    left: list[Piece] = []
    right: list[Piece] = []
    _add(left, "".join(first[:begin]), False)
    _add(right, "".join(second[:begin]), False)
    one, other = first[begin : len(first) - end], second[begin : len(second) - end]
    for tag, a, b, c, d in SequenceMatcher(None, one, other).get_opcodes():
        one_has, other_has = "".join(one[a:b]), "".join(other[c:d])
        differs = tag != "equal" or one_has.isspace()  # a space between two other words belongs to them
        _add(left, one_has, differs)
        _add(right, other_has, differs)
    _add(left, "".join(first[len(first) - end :]), False)
    _add(right, "".join(second[len(second) - end :]), False)
    return left, right


def _same_start(one: list[str], other: list[str]) -> int:
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _add(pieces: list[Piece], text: str, only_here: bool) -> None:
    if text and pieces and pieces[-1].only_here is only_here:
        pieces[-1] = Piece(pieces[-1].text + text, only_here)
    elif text:
        pieces.append(Piece(text, only_here))
