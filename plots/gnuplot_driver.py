# SPDX-License-Identifier: MIT
"""Run the scripts of plots/gnuplot/: print (PDF) and the terminal (text).

A script is drawn for a run that has what it reads; `SCRIPTS` says what that is. gnuplot being
absent is an error with a name of its own, so that a caller can say so and go on.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plots.data import Results, conclusion
from plots.emphasis import looks
from plots.page import provenance
from plots.spectra import key_level, level_words
from plots.style import format_count

FOLDER = Path(__file__).with_name("gnuplot")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
COLUMNS = 98
TIMEOUT_S = 60


class GnuplotMissing(Exception):
    """gnuplot is not installed."""


class GnuplotFailed(Exception):
    """gnuplot refused a script; the text is its first complaint."""


@dataclass(frozen=True)
class Script:
    """A .gp file: when it applies, its title, and the variables it needs beyond the common ones.

    `variables` may write files into the folder it is given; they are gone after the drawing.
    """

    applies: Callable[[Results], bool]
    title: Callable[[Results], str]
    variables: Callable[[Results, Path], Mapping[str, str]]
    factor: str


def _nothing(_: Results, _folder: Path) -> Mapping[str, str]:
    return {}


def _highest(run: Results, _folder: Path) -> Mapping[str, str]:
    values = [p.estimate for p in run.points if p.metric == "p99_ns" and math.isfinite(p.estimate)]
    return {"highest": f"{max(values) / 1e6:.6g}"}


def _files(run: Results, folder: Path) -> Mapping[str, str]:
    """The first replicate's spectrum of each model at the key level."""
    level = key_level(run)
    found: dict[str, str] = {}
    for cell in run.only(**dict(level or ())).cells:
        if cell.hgrm and cell.model not in found:
            found[cell.model] = f"{len(found)}.hgrm"
            (folder / found[cell.model]).write_text(cell.hgrm, encoding="utf-8")
    files = " ".join(found.get(model, "-") for model in run.models)
    return {"folder": str(folder), "files": files}


SCRIPTS: dict[str, Script] = {
    "throughput": Script(
        lambda run: run.has("connections", "throughput_rps"),
        lambda _: "throughput (requests/s) against connections",
        _nothing,
        "connections",
    ),
    "load_latency": Script(
        lambda run: run.has("offered_rps", "p99_ns"),
        lambda _: "p99 response time (ms) against offered load (requests/s)",
        _highest,
        "offered_rps",
    ),
    "spectrum": Script(
        lambda run: key_level(run) is not None,
        lambda run: f"response time (ms) by percentile, {level_words(key_level(run) or ())}, "
        "first replicate",
        _files,
        "",
    ),
}


def draw_pdf(run: Results, folder: Path) -> list[Path]:
    """Write NAME-print.pdf for every script that applies; returns the files."""
    written = []
    for name, script in SCRIPTS.items():
        if script.applies(run):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{name}-print.pdf"
            _gnuplot(name, script, run, path)
            written.append(path)
    return written


def draw_text(run: Results) -> str:
    """Every script that applies, as text at most COLUMNS wide, with a key under each."""
    parts = []
    for name, script in SCRIPTS.items():
        if script.applies(run):
            lines = [line.rstrip() for line in _gnuplot(name, script, run, None).splitlines()]
            chart = "\n".join(lines).strip("\n\f")
            parts.append("\n".join([chart, "", *_key(run, script)]))
    return "\n\n".join(parts) + ("\n" if parts else "")


def _key(run: Results, script: Script) -> list[str]:
    """Which letter is which model, and what the chart cannot show, wrapped to the width."""
    entries = [f"{letter} {model}" for letter, model in zip(LETTERS, run.models)]
    lines = _fill(entries, "  ")
    if script.factor:
        marks: dict[str, dict[str, list[str]]] = {}
        for p in run.points:
            if p.status != "ok":
                levels = marks.setdefault(p.status, {}).setdefault(p.model, [])
                if (level := format_count(p.x(script.factor))) not in levels:
                    levels.append(level)
        for status, models in marks.items():
            told = [f"{model} at {', '.join(levels)};" for model, levels in models.items()]
            lines += _fill([f"{status}:", *told[:-1], told[-1].rstrip(";")], " ")
    if script.variables is _highest:
        lines.append("top row: infinite (requests unanswered)")
    return lines


def _fill(entries: list[str], gap: str, width: int = COLUMNS) -> list[str]:
    lines: list[str] = []
    for entry in entries:
        longer = lines[-1] + gap + entry if lines else entry
        if lines and len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(entry)
    return lines


def _gnuplot(name: str, script: Script, run: Results, out: Path | None) -> str:
    program = shutil.which("gnuplot")
    if program is None:
        raise GnuplotMissing("gnuplot is not installed (apt-get install gnuplot-nox)")
    with tempfile.TemporaryDirectory(prefix="tenk-plot-") as scratch:
        table = Path(scratch) / "models.tsv"
        styles = looks(run).values()
        rows = ["name\tlabel\tcolour\tdash\tmarker"]
        rows += [f"{_word(s.name)}\t{s.label}\t{s.colour}\t{s.dash}\t{s.marker}" for s in styles]
        table.write_text("\n".join(rows) + "\n", encoding="utf-8")
        summary = Path(scratch) / "summary.tsv"
        summary.write_text(_words(conclusion(run.path, "summary.tsv") or ""), encoding="utf-8")
        bars = "bars: lo to hi of summary.tsv" if out and name == "throughput" else ""
        origin = provenance(run, run.points, bars).replace("\N{NO-BREAK SPACE}", " ")
        variables = {
            "run": str(run.path),
            "summary": str(summary),
            "styles": str(table),
            "here": str(FOLDER),
            "out": "" if out is None else str(out),
            "title": script.title(run),
            "origin": r"\n".join(_fill(origin.split(" · "), " · ", 100 if out else COLUMNS - 8)),
        }
        settings = [f"{key}={_quote(value)}" for key, value in variables.items()]
        for key, value in script.variables(run, Path(scratch)).items():
            settings.append(f"{key}={value if key == 'highest' else _quote(value)}")
        try:
            done = subprocess.run(
                [program, "-d", "-e", "; ".join(settings), str(FOLDER / f"{name}.gp")],
                capture_output=True,
                encoding="utf-8",
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise GnuplotFailed(f"{name}.gp: gnuplot took over {TIMEOUT_S} s") from None
    if done.returncode != 0:
        complaint = [line for line in done.stderr.splitlines() if line.strip(" ^")]
        raise GnuplotFailed(
            f"{name}.gp: {complaint[-1].strip() if complaint else 'gnuplot failed'}"
        )
    return done.stdout


def _word(name: str) -> str:
    """A model's name as one word of gnuplot's: options have spaces before them."""
    return name.replace(" ", "\N{NO-BREAK SPACE}")


def _words(summary: str) -> str:
    """summary.tsv with the model of each line, its first column, as one word."""
    rows = (line.partition("\t") for line in summary.splitlines())
    return "".join(f"{_word(model)}{tab}{rest}\n" for model, tab, rest in rows)


def _quote(text: str) -> str:
    r"""A gnuplot string in double quotes, in which \n is a new line."""
    return '"' + text.replace("\\", "\\\\").replace("\\\\n", "\\n").replace('"', '\\"') + '"'
