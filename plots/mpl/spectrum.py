# SPDX-License-Identifier: MIT
"""Percentile spectra of the response time, all models at one key level (.hgrm files)."""

from matplotlib.figure import Figure

from plots.data import Results
from plots.spectra import draw_spectra, key_level, spectra_at

X = None


def applies(run: Results) -> bool:
    """At least one level of the run has spectra."""
    if run.experiment == "coordinated_omission":
        return False
    level = key_level(run)
    return level is not None and bool(spectra_at(run, level))


def draw(run: Results, figure: Figure) -> None:
    """A median line per model over the percentile, and the range its replicates span."""
    draw_spectra(figure, run)
