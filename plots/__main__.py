# SPDX-License-Identifier: MIT
"""python3 -m plots: draw the figures of runs. `--help` says how."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from plots.data import DataError, find_runs, load_run
from plots.draw import FORMATS, USUAL, draw_all, highlighted
from plots.gnuplot_driver import GnuplotFailed, GnuplotMissing, draw_pdf, draw_text

ROOT = Path(__file__).resolve().parent.parent

HELP = """\
RUN is a run directory, results/<machine>/<experiment>/<run>. Without one, the latest run of
each experiment under results/ is drawn ("latest" says the same); the committed reference run
counts only where nothing else was measured.

without --term   matplotlib figures (png and svg) and gnuplot's PDFs, into RUN/figures/
--term dumb      the headline curves as text on the terminal, at most 98 columns; writes no file
--term pdf       gnuplot's PDFs alone
--width column   matplotlib figures for a column of a printed page, 85 mm wide and no text under 6
                 points: NAME-column.png and NAME-column.pdf, and nothing of gnuplot's

What each figure shows: docs/figures.md. Without gnuplot the figures it draws are left out, and a
line on standard error says so.

exit status: 0 drawn; 1 a run could not be read or drawn; 2 bad usage
"""


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit status (argparse exits with 2 on bad usage)."""
    options = _parser().parse_args(argv)
    if options.term and options.width != "screen":
        return _fail(2, f"--width {options.width}: cannot go with --term, which is gnuplot's")
    formats = tuple(options.formats.split(",")) if options.formats else USUAL[options.width]
    for name in formats:
        if name not in FORMATS:
            return _fail(2, f"--formats {name}: must be from {', '.join(FORMATS)}")
    given = [path for path in options.runs if path != Path("latest")]
    for path in given:
        if not (path / "run.json").is_file():
            return _fail(2, f"RUN {path}: not a run directory (it has no run.json)")
    if options.out is not None and len(given) != 1:
        return _fail(2, "--out needs exactly one RUN")
    runs = given or find_runs(options.results)
    if not runs:
        return _fail(1, f"{options.results}: no run to draw; `make bench-quick` measures one")
    status = 0
    for path in runs:
        try:
            _draw(path, options, formats)
        except GnuplotMissing as error:
            if options.term:
                return _fail(1, f"{error}")
            print(f"plots: {error}: PDFs left out", file=sys.stderr)
        except (DataError, GnuplotFailed) as error:
            status = _fail(1, str(error))
        except OSError as error:
            status = _fail(
                1, f"{error.filename}: {error.strerror}" if error.filename else f"{error}"
            )
    return status


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _draw(path: Path, options: argparse.Namespace, formats: tuple[str, ...]) -> None:
    folder = options.out if options.out is not None else path / "figures"
    highlight = _words(options.highlight)
    run = highlighted(load_run(path), highlight)
    if options.term == "dumb":
        print(f"{run.experiment}: {path}\n\n{draw_text(run)}")
        return
    if options.term != "pdf":
        for file in draw_all(path, formats, folder, highlight, options.width):
            print(file)
    for file in draw_pdf(run, folder) if options.width == "screen" else []:
        print(file)


def _fail(status: int, text: str) -> int:
    print(f"plots: {text}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m plots",
        description="Draw the figures of a run.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="run directory, or latest"
    )
    parser.add_argument("--term", choices=("dumb", "pdf"), help="gnuplot only: text, or PDF files")
    parser.add_argument(
        "--formats",
        default="",
        metavar="LIST",
        help="from png,svg,pdf (default: png,svg; of a column png,pdf)",
    )
    parser.add_argument(
        "--width",
        choices=tuple(USUAL),
        default="screen",
        help="of a figure: a README's (default), or that of a column of print",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=ROOT / "results",
        metavar="DIR",
        help="where to look for the latest runs (default: results/)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write here instead of RUN/figures (one RUN)"
    )
    parser.add_argument(
        "--highlight",
        default="",
        metavar="A,B",
        help="models in colour, beside the reference; most others grey",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
