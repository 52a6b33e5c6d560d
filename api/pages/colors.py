"""The colour of SITE_COLOR, adjusted so that it is readable on light and dark backgrounds.

Contrast is that of WCAG 2: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
"""

import colorsys

MIN_CONTRAST = 4.5
LIGHT_GROUND, DARK_GROUND = "#f0f2f5", "#21252d"
"""`--raised` in app.css: the background of text with the lowest contrast."""


def stylesheet(color: str) -> str:
    """The custom properties of app.css that depend on the settings."""
    light, dark = against(color, LIGHT_GROUND), against(color, DARK_GROUND)
    return (
        f":root{{--accent-light:{light};--on-accent-light:{_on(light)};--brand:{color};"
        f"--accent-dark:{dark};--on-accent-dark:{_on(dark)}}}\n"
    )


def against(color: str, ground: str) -> str:
    """`color`, made darker or lighter until its contrast to `ground` is `MIN_CONTRAST`."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*(part / 255 for part in _parts(color)))
    step, end = (-0.01, 0.0) if luminance(ground) > 0.5 else (0.01, 1.0)
    while contrast(color, ground) < MIN_CONTRAST and lightness != end:
        lightness = min(max(lightness + step, 0.0), 1.0)
        color = "#" + "".join(f"{round(part * 255):02x}" for part in colorsys.hls_to_rgb(hue, lightness, saturation))
    return color


def contrast(one: str, other: str) -> float:
    """The contrast ratio, from 1 (equal) to 21 (black and white)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    """Relative luminance, from 0 to 1."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in _parts(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _on(color: str) -> str:
    return "#ffffff" if contrast("#ffffff", color) >= contrast("#101216", color) else "#101216"


def _parts(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
