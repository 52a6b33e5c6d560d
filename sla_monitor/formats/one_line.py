"""The rule for texts of one line: names, titles, tags, keywords, lines of a log or a terminal.

Allowed are all characters of written languages: emoji joined by U+200D, Persian with U+200C, no-break spaces, soft
hyphens, variation selectors, flags. Refused are characters that break the line, control a terminal or make a text look
like another one. The functions fits_one_line and is_label of the database have the same rules (migration 0014).
"""

import re

_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), line and paragraph separators, bidirectional overrides and isolates, and
surrogates."""
_VISIBLE = re.compile(
    "[^\t-\r\x1c-\x20\x85\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
"""All characters except white space and those that Unicode calls default ignorable."""


def fits_one_line(text: str) -> bool:
    """Whether all characters of `text` are allowed in a text of one line."""
    return _REFUSED.search(text) is None


def is_label(text: str) -> bool:
    """Whether `text` can be a name: it fits on one line and has a visible character."""
    return fits_one_line(text) and _VISIBLE.search(text) is not None


def on_one_line(text: str, replacement: str) -> str:
    """`text` with `replacement` for each refused character."""
    return _REFUSED.sub(replacement, text)
