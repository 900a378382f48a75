# SPDX-License-Identifier: MIT
"""How a verdict on a claim looks and is said."""

from __future__ import annotations

import math

COLOURS = {
    "supported": "#2E7D32",
    "refuted": "#C22F2F",
    "depends": "#7A4FA3",
    "cannot decide": "#8A8A8A",
}
HOLDS = "#E4F0E4"  # behind the values with which the claim would be right
WORDS = {
    "supported": "Right.",
    "refuted": "Wrong.",
    "depends": "It depends.",
    "cannot decide": "Open.",
}


def amount(value: float) -> str:
    """Up to four digits: "1.003", "12.3k", "0.0042"."""
    if math.isnan(value):
        return "–"
    for limit, name in ((999.5e6, "G"), (999.5e3, "M"), (999.5, "k")):
        if abs(value) >= limit:
            factor = {"G": 1e9, "M": 1e6, "k": 1e3}[name]
            return f"{value / factor:.3g}{name}"
    return f"{value:.4g}"
