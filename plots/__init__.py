# SPDX-License-Identifier: MIT
"""Figures of a run: matplotlib for the screen and the README, gnuplot for print and the terminal.

`draw_all` is what the harness calls. A figure kind is one file in plots/mpl/ that offers
`applies(run)` and `draw(run, figure)`; kinds are found, not listed.
"""

from plots.draw import draw_all
from plots.data import DataError

__all__ = ["DataError", "draw_all"]
