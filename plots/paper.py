# SPDX-License-Identifier: MIT
"""Write a figure to a file, as large as its form says."""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.backends.backend_pdf import Op, PdfFile, RendererPdf

from plots.page import Sheet

PNG_DPI = 200  # twice the README's 900 px, for dense screens and print
PRINT_DPI = 300  # of what is smaller
# No date in the file: the same run gives the same bytes.
_METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": "tenk"},
    "svg": {"Date": None, "Creator": "tenk"},
    "pdf": {"CreationDate": None, "Creator": "tenk"},
}


def save(figure: Sheet, path: Path) -> None:
    """As png, svg or pdf, by the suffix of `path`. What is written is the figure's size times the
    scale of its form, texts and lines with it."""
    suffix, scale = path.suffix.removeprefix("."), figure.form.scale
    metadata = _METADATA[suffix]
    if scale == 1.0:
        figure.savefig(path, dpi=PNG_DPI, metadata=metadata)
    elif suffix == "png":
        size = {"dpi": (PRINT_DPI, PRINT_DPI)}  # so that it is printed at its size
        figure.savefig(path, dpi=PRINT_DPI * scale, metadata=metadata, pil_kwargs=size)
    elif suffix == "svg":
        figure.savefig(path, metadata=metadata)
        _shrink_svg(path, scale)
    else:
        _save_pdf(figure, path, scale)


def _shrink_svg(path: Path, scale: float) -> None:
    """The size of the picture; its own units are the viewBox's, and stay."""

    def smaller(found: re.Match[str]) -> str:
        return f'{found[1]}="{float(found[2]) * scale:.6f}pt"'

    text = path.read_text(encoding="utf-8")
    tag = re.search(r"<svg\b[^>]*>", text)
    assert tag is not None
    small = re.sub(r'\b(width|height)="([0-9.]+)pt"', smaller, tag[0])
    path.write_text(text.replace(tag[0], small, 1), encoding="utf-8")


def _save_pdf(figure: Sheet, path: Path, scale: float) -> None:
    """One page, on which everything is drawn through a matrix: a PDF has no other scale that all
    programs obey."""
    dpi = figure.dpi
    figure.dpi = 72  # a PDF's own unit
    try:
        width, height = figure.get_size_inches()
        file = PdfFile(path, metadata=_METADATA["pdf"])
        try:
            file.newPage(width * scale, height * scale)
            file.output(scale, 0, 0, scale, 0, 0, Op.concat_matrix)
            renderer = RendererPdf(file, 72, height, width)
            figure.draw(renderer)
            renderer.finalize()
            file.finalize()
        finally:
            file.close()
    finally:
        figure.dpi = dpi
