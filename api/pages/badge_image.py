"""The SVG image of a badge: two fields that are as wide as their texts.

Browsers use different fonts. So the width of a text is computed for DejaVu Sans, which is within 1 % of Verdana, and
set by `textLength`.
"""

import unicodedata
from typing import Literal

import msgspec
from jinja2 import Environment

from api.pages.xml_text import xml_text

Style = Literal["flat", "flat-square"]
Color = Literal["operational", "degraded", "outage", "unknown", "maintenance", "figure"]
COLORS: dict[Color, str] = {
    "operational": "#1a7a4f",
    "degraded": "#976100",
    "outage": "#c8322d",
    "unknown": "#5f6875",
    "maintenance": "#2f62c4",
    "figure": "#2a6f97",
}
"""Backgrounds for white text."""
LABEL_COLOR = "#3f4650"
FONT_PX = 11
PADDING_PX = 6
WIDEST_PX = 360
ELLIPSIS = "…"

_EM_PERCENT = {
    character: width
    for width, characters in {
        27: "'",
        28: "ijl",
        29: "IJ",
        32: " ,.·",
        34: "/:;\\|",
        35: "f",
        36: "-",
        39: "()[]t",
        40: "!",
        41: "r",
        46: '"',
        50: "*_`–",
        52: "sz",
        53: "?",
        55: "c",
        56: "L",
        58: "Fk",
        59: "vxy",
        60: "P",
        61: "TYao",
        62: "e",
        63: "ESbdghnpqu",
        64: "0123456789${}",
        66: "K",
        68: "AV",
        69: "BRXZ",
        70: "C",
        73: "U",
        75: "HN",
        77: "DG",
        78: "&",
        79: "OQ",
        82: "w",
        84: "#+<=>^~",
        86: "M",
        95: "%",
        97: "m",
        99: "W",
        100: "@…",
    }.items()
    for character in characters
}
_WIDE_EM_PERCENT, _OTHER_EM_PERCENT = 100, 75


class Badge(msgspec.Struct, frozen=True):
    """The texts and the colour of a badge. `is_error`: shields.io must not let users override the colour."""

    label: str
    message: str
    color: Color
    is_error: bool = False


class _Field(msgspec.Struct, frozen=True):
    """A field of a badge: its text, the width of the text and the left edge, in pixels."""

    text: str
    length: float
    x: float

    @property
    def width(self) -> float:
        return self.length + 2 * PADDING_PX if self.text else 0


def draw(environment: Environment, badge: Badge, style: Style) -> bytes:
    """The SVG, without scripts or external resources."""
    label = _field(badge.label, 0)
    message = _field(badge.message, label.width)
    return (
        environment.get_template("badge.svg")
        .render(
            title=xml_text(": ".join(part for part in (badge.label, badge.message) if part)),
            label=label,
            message=message,
            colors=(LABEL_COLOR, COLORS[badge.color]),
            radius=3 if style == "flat" else 0,
            font_px=FONT_PX,
            padding=PADDING_PX,
        )
        .encode()
    )


def text_width(text: str) -> float:
    """The width of a text in pixels."""
    return sum(_em_percent(character) for character in text) * FONT_PX / 100


def cut(text: str) -> str:
    """The text on one line, shortened to the maximal width."""
    text = xml_text(" ".join(text.split()))
    if text_width(text) <= WIDEST_PX:
        return text
    while text_width(text) + text_width(ELLIPSIS) > WIDEST_PX:
        text = text[:-1]
    return text.rstrip() + ELLIPSIS


def _field(text: str, start: float) -> _Field:
    text = cut(text)
    return _Field(text, round(text_width(text), 1), round(start, 1))


def _em_percent(character: str) -> int:
    if (known := _EM_PERCENT.get(character)) is not None:
        return known
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    wide = unicodedata.east_asian_width(character) in ("W", "F")
    return _WIDE_EM_PERCENT if wide else _OTHER_EM_PERCENT
