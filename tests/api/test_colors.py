"""Text in the color of an installation has enough contrast on every background."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.colors import DARK_GROUND, LIGHT_GROUND, MIN_CONTRAST, against, contrast, stylesheet

colors = st.integers(0, 0xFFFFFF).map("#{:06x}".format)


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#777777", 1.0),
        ("#767676", "#ffffff", 4.54),
        ("#0000ff", "#ffffff", 8.59),
        ("#ffff00", "#000000", 19.56),
    ],
)
def test_contrast_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == contrast(other, one) == pytest.approx(ratio, abs=0.005)


@given(colors, st.sampled_from([LIGHT_GROUND, DARK_GROUND]))
def test_text_in_any_color_has_enough_contrast(color: str, background: str) -> None:
    made = against(color, background)
    assert re.fullmatch("#[0-9a-f]{6}", made)
    assert contrast(made, background) >= MIN_CONTRAST
    assert contrast(color, background) < MIN_CONTRAST or made == color, "a color with enough contrast is not changed"


@given(colors)
def test_text_on_a_button_of_any_color_has_enough_contrast(color: str) -> None:
    found = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{6})[;}]", stylesheet(color)))
    assert set(found) == {"accent-light", "on-accent-light", "brand", "accent-dark", "on-accent-dark"}
    assert found["brand"] == color
    for theme in ("light", "dark"):
        assert contrast(found[f"accent-{theme}"], found[f"on-accent-{theme}"]) >= MIN_CONTRAST
