"""A colour scale for values in [0, 1], safe for colour-blind users, and glyphs for terminals without colours.

It goes from blue through grey to yellow on a line in OKLab (Ottosson 2020), which is perceptually uniform, with
increasing lightness, so that it also works in greyscale; the idea is that of cividis (Nunez et al. 2018). On light
themes it goes from pale yellow to blue, so that high values stand out from the background.
"""

from __future__ import annotations

import math

LEVELS = 64
# In OKLab: lightness, green to red, blue to yellow.
BLUE, YELLOW, PALE = (0.30, -0.020, -0.085), (0.90, -0.010, 0.150), (0.955, -0.008, 0.035)
SHADES = "·░▒▓█"
Colour = tuple[int, int, int]
Lab = tuple[float, float, float]


def oklab_to_rgb(lightness: float, a: float, b: float) -> Colour:
    """sRGB in 0..255 of a colour in OKLab (Ottosson 2020, "A perceptual color space for image processing")."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    return _encoded(red), _encoded(green), _encoded(blue)


def _encoded(value: float) -> int:
    """Linear light in 0..1 to a byte of sRGB (IEC 61966-2-1)."""
    value = min(1.0, max(0.0, value))
    curved = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * curved)


def level(share: float, levels: int = LEVELS) -> int:
    """The level of a value on a scale of so many levels; NaN is at the bottom."""
    if math.isnan(share):
        return 0
    return min(levels - 1, max(0, round(share * (levels - 1))))


def _scale(low: Lab, high: Lab) -> tuple[Colour, ...]:
    steps = [n / (LEVELS - 1) for n in range(LEVELS)]
    mixed = (tuple(a + step * (b - a) for a, b in zip(low, high, strict=True)) for step in steps)
    return tuple(oklab_to_rgb(lightness, a, b) for lightness, a, b in mixed)


DARK, LIGHT = _scale(BLUE, YELLOW), _scale(PALE, BLUE)  # for dark themes, and for light ones


def on(colour: Colour) -> Colour:
    """Black or white, whichever has more contrast on a colour (relative luminance, WCAG 2)."""
    red, green, blue = ((c / 255) ** 2.2 for c in colour)
    return (0, 0, 0) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else (255, 255, 255)


def shade(share: float) -> str:
    """A glyph that is darker for larger values."""
    return SHADES[level(share, len(SHADES))]
