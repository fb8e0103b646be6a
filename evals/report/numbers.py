"""Numbers for people."""

from __future__ import annotations

import math


def number(value: float | None, digits: int = 4) -> str:
    """A value for people: `digits` significant, an en dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{min(places, 6)}f}"
    return f"{value:.{digits - 1}e}"


def interval(low: float | None, high: float | None, digits: int = 4) -> str:
    """`[low, high]`, or nothing where no interval is valid."""
    return "" if low is None or high is None else f"[{number(low, digits)}, {number(high, digits)}]"


def percent(value: float | None) -> str:
    """A relative difference with its sign, such as `+12 %`; nothing where there is none."""
    if value is None or not math.isfinite(value):
        return ""
    if abs(value) >= 9.995:
        return f"×{1 + value:.3g}" if value > 0 else f"{100 * value:+.0f} %".replace("-", "−")
    digits = 0 if abs(value) >= 0.0995 or value == 0 else 1 if abs(value) >= 0.00095 else 2
    return f"{100 * value:+.{digits}f} %".replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """A gain, always with its sign."""
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")
