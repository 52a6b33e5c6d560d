"""One rule for every text on one line: names, titles, tags, keywords, lines of a log and of a terminal.

It may hold whatever people write: emoji joined by U+200D, Persian with U+200C, no-break spaces, soft hyphens, variation
selectors, flags. It may not hold what breaks the line, controls a terminal or makes a text look like another one. The
database has the same two rules in its functions fits_one_line and is_label (migration 0014).
"""

import re

_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls (C0, DEL, C1), the separators of lines and paragraphs, overrides and isolates of the reading direction, and
surrogates, which are no text."""
_VISIBLE = re.compile(
    "[^\t-\r\x1c-\x20\x85\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
"""Anything but white space and what Unicode calls default ignorable."""


def fits_one_line(text: str) -> bool:
    """Whether `text` holds nothing that a text on one line may not hold."""
    return _REFUSED.search(text) is None


def is_label(text: str) -> bool:
    """Whether `text` can name something: it fits on one line, and something of it can be seen."""
    return fits_one_line(text) and _VISIBLE.search(text) is not None


def on_one_line(text: str, replacement: str) -> str:
    """`text` with `replacement` for each character that does not fit."""
    return _REFUSED.sub(replacement, text)
