# SPDX-License-Identifier: MIT
"""One figure of a run, for a page of many."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from plots.data import DataError, load_run
from plots.draw import draw_figure, kinds
from plots.page import RC

DPI = 110


def draw_one(run_dir: Path, name: str, out: Path) -> None:
    """The figure of that kind as a PNG; of a kind with one for each level of a factor, the last
    that applies. DataError where the run has none."""
    run, kind = load_run(run_dir), kinds().get(name)
    if kind is None:
        raise DataError(f"there is no figure {name or 'named in its page'}")
    parts = [part for _, part in run.slices(kind.X)] if kind.X else [run]
    told = [part for part in parts if kind.applies(part)]
    if not told:
        raise DataError(f"figure {name} does not apply")
    with matplotlib.rc_context(RC):
        draw_figure(kind, told[-1]).savefig(out, dpi=DPI, metadata={"Software": "tenk"})
