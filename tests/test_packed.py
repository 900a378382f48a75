# SPDX-License-Identifier: MIT
"""A finished run in a few files: it says the same as the run in a folder of cells."""
from __future__ import annotations

import json
import lzma
import subprocess
from pathlib import Path

import pytest
from synthetic_run import hgrm
from test_harness_reading import RATES, write_run

from harness import cli, errors, packed
from harness.commands import plot
from harness.paths import ROOT
from harness.store import Run
from plots.__main__ import main as figures_as_text
from plots.data import DataError, load_run

REFERENCE = ROOT / "results" / "reference"


def a_run(folder: Path) -> Run:
    """A finished run of seven cells, those with a value with a spectrum."""
    run = write_run(folder / "m" / "tiny" / "20260101T000000Z-abc", RATES)
    for cell in run.cells():
        if cell.usable:
            text = hgrm(5e4 * (1 + cell.replicate), 0.6, 40000)
            run.cell_path(cell.id, ".hgrm").write_text(text, encoding="utf-8")
    run.unlock()
    return run


def files(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file()}


def test_a_packed_run_reads_as_before_and_unpacks_to_the_same_cells(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    plot.refresh(run.path)
    before, summary = run.cells(), files(run.path)
    assert cli.main(["pack", str(run.path)]) == 0
    assert set(files(run.path)) == {"run.json", packed.CONCLUSIONS_NAME, packed.NAME}
    assert Run.open(run.path).cells() == before
    kept = packed.read_conclusions(run.path)
    assert {name: text.encode() for name, text in kept.items()} == {
        name: summary[name] for name in packed.CONCLUSIONS
    }
    assert cli.main(["pack", "--unpack", str(run.path)]) == 0
    assert set(files(run.path)) == set(summary)
    assert Run.open(run.path).cells() == before
    for name, content in summary.items():
        if name.endswith(".hgrm"):
            assert files(run.path)[name] == content


def test_figures_see_the_same_replicates_and_spectra(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    plot.refresh(run.path)
    before = load_run(run.path)
    assert any(cell.hgrm for cell in before.cells) and before.titles
    packed.pack(run.path)
    after = load_run(run.path)
    assert after.cells == before.cells
    assert repr(after) == repr(before)  # as text, for nan is unlike itself


def test_the_curves_of_the_terminal_are_the_same_of_a_packed_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    plot.refresh(run.path)
    status = figures_as_text(["--term", "dumb", str(run.path)])
    before = capsys.readouterr().out
    packed.pack(run.path)
    assert figures_as_text(["--term", "dumb", str(run.path)]) == status == 0
    assert capsys.readouterr().out == before and "throughput" in before


def test_plot_and_report_leave_a_packed_run_as_it_is_but_for_what_git_ignores(
    tmp_path: Path,
) -> None:
    run = tmp_path / "reference" / "tiny" / "20260101T000000Z-abc"
    run.parent.mkdir(parents=True)
    a_run(tmp_path).path.rename(run)
    assert cli.main(["pack", str(run)]) == 0
    before = files(run)
    assert cli.main(["plot", str(run)]) == 0
    assert cli.main(["report", str(run)]) == 0
    assert cli.main(["report", "--format", "md", str(run)]) == 0
    after = files(run)
    new = [name for name in after if name not in before]
    assert {name: after[name] for name in before} == before
    assert "report.html" in new and any(name.startswith("figures/") for name in new)
    if (ROOT / ".git").exists():
        paths = [str(REFERENCE / "tiny" / run.name / name) for name in new]
        told = subprocess.run(
            ["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert told.stdout.split("\n")[:-1] == paths, told.stderr


def test_packing_anew_makes_the_conclusions_anew(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert cli.main(["pack", str(run.path)]) == 0
    before = files(run.path)
    packed.write_conclusions(run.path, [("summary.tsv", "of an older version\n")])
    assert files(run.path) != before
    assert cli.main(["pack", str(run.path)]) == 0
    assert files(run.path) == before


@pytest.mark.parametrize("content", [b"", b"not xz", lzma.compress(b"not tar" * 100)])
def test_a_damaged_archive_of_conclusions_is_one_line(tmp_path: Path, content: bytes) -> None:
    run = a_run(tmp_path)
    assert cli.main(["pack", str(run.path)]) == 0
    (run.path / packed.CONCLUSIONS_NAME).write_bytes(content)
    with pytest.raises(errors.SetupError) as caught:
        packed.read_conclusions(run.path)
    with pytest.raises(DataError) as seen:
        load_run(run.path)
    for text in (str(caught.value), str(seen.value)):
        assert packed.CONCLUSIONS_NAME in text and "\n" not in text


def test_packing_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path)
    assert cli.main(["pack", str(run.path)]) == 0
    before = files(run.path)
    assert cli.main(["pack", str(run.path)]) == 0
    assert files(run.path) == before and "packed already" in capsys.readouterr().out


def test_a_run_that_is_not_complete_is_not_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    run.update(complete=False)
    before = files(run.path)
    assert cli.main(["pack", str(run.path)]) == errors.EXIT_USAGE
    assert "must be complete" in capsys.readouterr().err and files(run.path) == before


def test_a_run_that_somebody_measures_into_is_not_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    run.lock()
    try:
        before = files(run.path)
        assert cli.main(["pack", str(run.path)]) == errors.EXIT_FAILURE
        assert "is measuring it" in capsys.readouterr().err and files(run.path) == before
    finally:
        run.unlock()


def test_a_record_that_is_not_right_is_named_and_nothing_is_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    broken = sorted((run.path / "cells").glob("*.json"))[0]
    broken.write_text("{}", encoding="utf-8")
    before = files(run.path)
    assert cli.main(["pack", str(run.path)]) == errors.EXIT_FAILURE
    assert broken.name in capsys.readouterr().err and files(run.path) == before


@pytest.mark.parametrize(
    "content",
    [b"", b"not xz", lzma.compress(b"[1]\n"), lzma.compress(b"{\n"), lzma.compress(b"{}\n")[:-9]],
)
def test_a_damaged_file_of_cells_is_one_line(tmp_path: Path, content: bytes) -> None:
    run = a_run(tmp_path)
    plot.refresh(run.path)
    packed.pack(run.path)
    (run.path / packed.NAME).write_bytes(content)
    with pytest.raises(errors.TenkError) as caught:
        Run.open(run.path).cells()
    with pytest.raises(DataError) as seen:
        load_run(run.path).cells
    for text in (str(caught.value), str(seen.value)):
        assert packed.NAME in text and "\n" not in text


def test_a_packed_record_that_is_not_one_is_named_by_its_line(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    packed.pack(run.path)
    with lzma.open(run.path / packed.NAME, "rt", encoding="utf-8") as lines:
        good = list(lines)
    text = "".join([good[0], '{"schema": "tenk.cell/1"}\n', *good[2:]])
    (run.path / packed.NAME).write_bytes(lzma.compress(text.encode()))
    with pytest.raises(errors.SetupError, match=f"{packed.NAME}:2: not a tenk.cell/1 record"):
        Run.open(run.path).cells()


def test_the_committed_reference_run_is_a_few_files_below_one_megabyte() -> None:
    found = [p for p in REFERENCE.rglob("*") if p.is_file() and "figures" not in p.parts]
    # What git ignores there: reports, and the slices of evidence, which are megabytes.
    found = [p for p in found if p.stem != "report" and p.name != "slices.jsonl.gz"]
    evidence = [p for p in found if p.name == "evidence.json"]
    runs = [p.parent for p in found if p.name == "run.json"]
    assert {path.parent.name for path in runs} >= {"c10k", "load_latency", "coordinated_omission"}
    assert len(found) <= 4 * len(runs) + 2 * len(evidence) + 1
    assert sum(p.stat().st_size for p in found) < 1_000_000


@pytest.mark.parametrize("run", sorted(p.parent for p in REFERENCE.rglob("run.json")), ids=str)
def test_every_record_of_the_reference_run_can_be_read_and_drawn(run: Path) -> None:
    read = Run.open(run)
    cells = read.cells()
    assert len(cells) == len(load_run(run).cells) > 0 and read.meta["complete"]
    measured = {json.dumps([c.model, dict(c.factors)]) for c in cells}
    if read.meta["plan"] is None:  # a small copy: every model at every level
        assert len(measured) == len(read.meta["models"]) * len({str(c.factors) for c in cells})
    else:
        planned = {json.dumps([s["model"], s["factors"]]) for s in read.meta["plan"]}
        assert measured == planned
