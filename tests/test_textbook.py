# SPDX-License-Identifier: MIT
"""Claims of the textbooks: how they are found, read, judged and told, on made-up data."""
from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import cli, store
from harness.commands import claims as command
from harness.commands import textbook as named
from harness.design import experiment
from harness.design.load import Load
from harness.design.metrics import METRICS
from harness.errors import SetupError, UsageError
from harness.judge import textbook as judge
from harness.judge.claims import REFUTED, SUPPORTED, UNDECIDED, Numbers, Verdict
from harness.judge.textbook import DEPENDS
from harness.measure import probe
from harness.measure.probes import kernel_maps, scan
from harness.measure.process import CannotRunHere
from harness.paths import ROOT
from harness.present import conclusion
from harness.present import textbook as present
from harness_fakes import EXPERIMENT, add_loadgen, add_server
from test_plots import assert_fits_column
from plots.claims import draw_claims, overview
from plots.data import load_run
from plots.draw import draw_figure, kinds
from plots.page import COLUMN

TABLE = {
    "number": 7,
    "claim": "The fast one is faster.",
    "said": ["A. Teacher, A Textbook, 2004, ch. 6"],
    "varies": "The model.",
}


def claim(**changes: Any) -> experiment.Experiment:
    raw = {**tomllib.loads(EXPERIMENT), "name": "07_fast", "textbook": {**TABLE, **changes}}
    return experiment.parse(raw, "07_fast.toml")


# --- reading -------------------------------------------------------------------------------------


def test_the_table_of_a_textbooks_claim_is_read() -> None:
    found = claim(figure="idle").textbook
    assert found is not None
    assert (found.number, found.claim, found.figure) == (7, TABLE["claim"], "idle")
    assert found.said == ("A. Teacher, A Textbook, 2004, ch. 6",) and found.machine == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"number": 8}, "must begin 08_"),
        ({"number": "7"}, "whole number from 1 to 99"),
        ({"said": []}, "list of sources"),
        ({"claim": " "}, "textbook.claim must be a text"),
        ({"figure": "../x"}, "name of a figure"),
        ({"colour": "red"}, "unknown name textbook.colour"),
    ],
)
def test_a_wrong_table_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        claim(**change)


@pytest.mark.parametrize("name", experiment.textbook_claims())
def test_every_shipped_claim_is_named_as_its_file_and_has_parts_of_its_factors(name: str) -> None:
    one = experiment.load(name)
    assert one.name == name and one.textbook is not None
    assert one.question and one.source and any(not part.control for part in one.claims)
    assert one.textbook.figure in kinds()
    factors = {factor.name for factor in one.factors}
    for part in one.claims:
        for operand in (part.a, part.b):
            assert operand is None or set(operand.where) <= factors | {"model"}


def test_no_two_claims_have_one_number() -> None:
    names = experiment.textbook_claims()
    assert len({name[:2] for name in names}) == len(names)


# --- names ---------------------------------------------------------------------------------------


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an experiment and two claims."""
    (tmp_path / "claims").mkdir()
    for stem in ("tiny", "claims/01_one", "claims/12_two"):
        (tmp_path / f"{stem}.toml").write_text(EXPERIMENT, encoding="utf-8")
    for function in (experiment.available, experiment.textbook_claims, experiment.load):
        monkeypatch.setattr(function, "__defaults__", (tmp_path,))
    return tmp_path


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["all-claims"], ["01_one", "12_two"]),
        (["12_two", "tiny", "all-claims"], ["12_two", "tiny", "01_one"]),
        (["0*"], ["01_one"]),
        (["claims/1?_*"], ["12_two"]),
    ],
)
def test_claims_are_run_by_name_pattern_or_all(
    folder: Path, names: list[str], expected: list[str]
) -> None:
    assert folder and named.expanded(names) == expected
    assert experiment.load("01_one").name == "tiny"


@pytest.mark.parametrize("name", ["13_three", "2*", "claims/tiny", ""])
def test_a_name_or_pattern_of_nothing_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="EXPERIMENT"):
        assert folder and named.expanded([name])


# --- verdicts ------------------------------------------------------------------------------------


def part(outcome: str, estimate: float = 2.0) -> Verdict:
    number = Numbers("a / b", "ratio", estimate, 1.9, 2.1, 1.05, math.nan, "turns", 8)
    return Verdict(f"This part is {outcome}.", outcome, "as measured", numbers=(number,))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([REFUTED], REFUTED),
        ([SUPPORTED, REFUTED], DEPENDS),
        ([SUPPORTED, UNDECIDED], UNDECIDED),
        ([SUPPORTED, UNDECIDED, REFUTED], DEPENDS),
        ([], UNDECIDED),
    ],
)
def test_the_verdict_on_a_claim_comes_from_all_its_parts(parts: list[str], expected: str) -> None:
    assert judge.overall([part(outcome) for outcome in parts]) == expected


def settled(parts: Sequence[str], control: str = "") -> judge.Settled:
    """The claim with those parts, and a control that came out so."""
    one = claim()
    (only,) = one.claims
    claims = [only] * len(parts) + ([replace(only, control=True)] if control else [])
    verdicts = [part(outcome) for outcome in [*parts, *([control] if control else [])]]
    return judge.settle(replace(one, claims=tuple(claims)), verdicts)


def test_a_control_that_fails_leaves_the_claim_undecided_and_is_named() -> None:
    assert settled([SUPPORTED], SUPPORTED).outcome == SUPPORTED
    failed = settled([SUPPORTED], REFUTED)
    assert failed.outcome == UNDECIDED and len(failed.parts) == 1
    assert "does not show what it must: This part is refuted." in present.behind(failed)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([REFUTED], "a / b = 2.00 [1.90, 2.10] times"),
        ([SUPPORTED, REFUTED, REFUTED], "of 3 parts 1 supported, 2 refuted"),
        ([SUPPORTED, UNDECIDED], "1 of 2 parts cannot be decided; 1 supported"),
        ([UNDECIDED], "1 of 1 parts cannot be decided"),
        (
            [SUPPORTED, UNDECIDED, REFUTED],
            "of 3 parts 1 supported, 1 refuted, 1 cannot be decided",
        ),
    ],
)
def test_what_is_behind_a_verdict_is_a_number_or_how_many_parts_are_what(
    parts: list[str], said: str
) -> None:
    assert present.behind(settled(parts)) == said


def test_the_title_of_a_figure_tells_one_part_or_one_of_each_verdict_where_they_differ() -> None:
    raw = tomllib.loads(EXPERIMENT)
    raw["factors"]["connections"]["words"] = {"8": "", "1": "one client"}
    at = {"connections": 8}
    metric = "server_cpu_us_per_request"
    raw["claims"] = [
        {
            **{"text": f"{model} is dear.", "metric": metric, "relation": "above"},
            **{"a": {"model": model, **at}, "b": {"model": "slow", **at}},
        }
        for model in ("fast", "faster", "fastest")
    ]
    raw["claims"][2]["a"]["connections"] = raw["claims"][2]["b"]["connections"] = 1
    one = experiment.parse({**raw, "name": "07_fast", "textbook": TABLE}, "07_fast.toml")
    assert one.textbook is not None

    def title(*outcomes: str, overall: str) -> str:
        number = Numbers("x", "ratio", 2.0, 1.9, 2.1, 1.0, math.nan, "cells", 5)
        parts = [Verdict("", outcome, "", numbers=(number,)) for outcome in outcomes]
        return present.title(one, judge.Settled("07_fast", one.textbook, overall, tuple(parts)))

    same = title(SUPPORTED, SUPPORTED, SUPPORTED, overall=SUPPORTED)
    assert (
        same.startswith("A request costs fast 2.00 times the server CPU of slow.")
        and "faster" not in same.split("\u201c")[0]
    )
    assert " at " not in same  # eight connections go without saying
    differ = title(SUPPORTED, UNDECIDED, REFUTED, overall=DEPENDS)
    assert "fast 2.00 times" in differ and "fastest 2.00 times" in differ
    assert " with one client" in differ and "faster 2" not in differ


def test_claims_are_told_in_the_order_of_their_numbers_and_counted() -> None:
    later = replace(settled([REFUTED]), textbook=replace(settled([]).textbook, number=9))
    found = [later, settled([SUPPORTED])]
    assert [row[0] for row in present.rows(found)] == ["7", "9"]
    assert present.tally(found).startswith("2 claims: 1 supported, 1 refuted, 0 depends")


@pytest.mark.parametrize(
    ("unit", "values", "said"),
    [
        ("ns", (8.2, 7.9, 8.5), "8.20 ns [7.90 ns, 8.50 ns]"),
        ("ns", (-0.5, -1.0, 0.0), "-0.500 ns [-1.00 ns, 0 ns]"),
        ("calls", (2.0, 1.9, 2.1), "2.00 [1.90, 2.10] calls"),
        ("ratio", (1.5, math.nan, math.nan), "1.50 times"),
    ],
)
def test_a_number_is_told_with_its_interval_and_unit(
    unit: str, values: tuple[float, float, float], said: str
) -> None:
    one = Numbers("x", unit, *values, math.nan, math.nan, "cells", 3)
    assert present.number(one) == said


# --- the page ------------------------------------------------------------------------------------

META = {
    "host": {"cpus_online": 2, "cpu": "Synthetic CPU", "kernel": "6.1"},
    "git": {"commit": "synthetic"},
    "started": "2026-01-02T03:04:05Z",
    "profile": "default",
}


def test_the_page_tells_of_each_claim_who_says_it_what_was_found_and_how() -> None:
    found = settled([SUPPORTED, REFUTED], SUPPORTED)
    entry = present.Entry(claim(machine="One with more cores."), found, META, (), "x/07_fast.png")
    text = present.page([entry])
    assert "1 claim: 0 supported, 0 refuted, 1 depends, 0 cannot decide" in text
    assert "2 CPUs (Synthetic CPU), Linux 6.1" in text and "Commit: synthetic" in text
    assert "| 7 | [The fast one is faster.](#7-the-fast-one-is-faster) | depends |" in text
    section = text[text.index("## 7. The fast one is faster.") :]
    for said in (
        "**It depends.**",
        "A. Teacher, A Textbook, 2004, ch. 6",
        "- On another machine: One with more cores.",
        "`harness/tenk run 07_fast`",
        "2.00 [1.90, 2.10] times | above 1.05 | in turns, n = 8 |",
        "| Control: This part is supported. |",
        "](x/07_fast.png)",
    ):
        assert said in section


def test_a_claim_without_a_run_is_said_to_be_not_measured() -> None:
    text = present.page([present.Entry(claim())])
    assert "| not measured |" in text and "fast is faster than slow" in text
    assert "Commit" not in text and "**" not in text.partition("\n## ")[0]


def test_docs_claims_has_every_claim() -> None:
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    missing = [name for name in experiment.textbook_claims() if f"tenk run {name}`" not in text]
    assert not missing, "docs/claims.md is behind harness/experiments/claims: make claims"


# --- a run of claims -----------------------------------------------------------------------------


def write_run(folder: Path, session: str = "s1", complete: bool = True) -> Path:
    """A finished run of the made-up claim: fast answers twice as much as slow."""
    raw = {**tomllib.loads(EXPERIMENT), "name": "07_fast", "textbook": TABLE}
    meta = {
        **{"experiment": raw, "profile": "quick", "seed": 1, "session": session, "plan": []},
        **{"host": META["host"], "git": {"commit": "synthetic", "dirty": False}},
        **{"placement": {"name": "split", "note": ""}, "sources": {"cpu": "x", "memory": "y"}},
        **{"models": {"fast": {"name": "fast"}, "slow": {"name": "slow"}}, "binaries": {}},
        "started": META["started"],
    }
    run = store.Run.create(folder / "vm" / "07_fast" / f"run-{session}", meta)
    for model, rate in (("fast", 2000.0), ("slow", 1000.0)):
        for connections in (1, 2):
            for r in range(3):
                metrics = {"throughput_rps": rate * (1 + r / 1000)}
                factors = {"connections": connections}
                cell = store.CellRecord("07_fast", model, factors, r, r, 0, "ok", metrics=metrics)
                run.write(replace(cell, server={"argv": ["x" * 5000]}, client={"verdict": None}))
    run.update(complete=complete)
    return run.path


def test_the_runs_of_a_page_are_those_of_one_session(tmp_path: Path) -> None:
    first, other = write_run(tmp_path, "s1"), write_run(tmp_path, "s2")
    assert command.chosen(str(first), tmp_path) == [first]
    assert command.chosen(str(other), tmp_path) == [other]


def test_a_run_that_is_not_complete_is_refused_with_what_completes_it(tmp_path: Path) -> None:
    path = write_run(tmp_path, complete=False)
    with pytest.raises(UsageError, match="run all-claims --resume"):
        command.run(argparse.Namespace(which=str(path), keep=None, figures=False))


def test_what_is_kept_of_a_run_is_small_and_concludes_the_same(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    whole = store.Run.open(path, whole=True)
    command.keep({"07_fast": whole}, tmp_path / "kept")
    (copy,) = command.chosen(str(tmp_path / "kept"), tmp_path)
    kept = store.Run.open(copy, whole=True)
    before, after = conclusion.of_run(whole), conclusion.of_run(kept)
    assert after.verdicts == before.verdicts and after.settled == before.settled
    assert after.settled is not None and after.settled.outcome == SUPPORTED
    size = sum(one.stat().st_size for one in copy.iterdir())
    assert size < sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) / 5


def test_answer_json_has_the_verdicts_as_data(tmp_path: Path) -> None:
    files = dict(conclusion.of_run(store.Run.open(write_run(tmp_path))).files())
    told = json.loads(files["answer.json"])
    assert told["settled"] == {"number": 7, "claim": TABLE["claim"], "outcome": SUPPORTED}
    (only,) = told["claims"]
    (number,) = only["numbers"]
    assert (only["outcome"], only["control"]) == (SUPPORTED, False)
    assert number["estimate"] == pytest.approx(2.0) and number["basis"] == "cells"
    assert (number["low"], number["high"], number["n"]) == (1.0, None, 3)


def test_the_figures_of_claims_say_each_verdict(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    for name, text in conclusion.of_run(store.Run.open(path)).files():
        (path / name).write_text(text, encoding="utf-8")
    written = draw_claims({"07_fast": path}, tmp_path / "figures")
    assert [one.name for one in written] == ["07_fast.png", "overview.png"]
    run = load_run(path)
    figure = draw_figure(kinds()["claim"], run)
    assert_fits_column(draw_figure(kinds()["claim"], run, COLUMN))
    texts = [t.get_text() for axes in figure.axes for t in axes.texts]
    assert "supported (cells, n = 3)" in texts and any(
        "2 [" in text and "times" in text for text in texts
    )
    shown = [t.get_text() for t in overview([run]).texts]
    assert "1 claim of the textbooks: 1 supported" in shown


@pytest.mark.parametrize(("option", "value"), [("models", "poll"), ("also", ["x=http://h/"])])
def test_all_claims_names_its_own_models(option: str, value: Any) -> None:
    args = argparse.Namespace(experiments=["all-claims"], models=None, also=[])
    setattr(args, option, value)
    with pytest.raises(UsageError, match="names the models that settle it"):
        named.refuse(args)


@pytest.fixture(name="results")
def _results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build of fakes and two claims about them; the folder for results."""
    build, claims = tmp_path / "build", tmp_path / "experiments" / "claims"
    add_loadgen(build)
    add_server(build, "fast", rate=2000)
    add_server(build, "slow", rate=1000)
    claims.mkdir(parents=True)
    for number in (7, 8):
        table = f'[textbook]\nnumber = {number}\nclaim = "x"\nsaid = ["y"]\nvaries = "z"\n'
        named_so = EXPERIMENT.replace('name = "tiny"', f'name = "{number:02d}_fast"')
        (claims / f"{number:02d}_fast.toml").write_text(named_so + table, encoding="utf-8")
    monkeypatch.setenv("TENK_BUILD", str(build))
    for function in (experiment.available, experiment.textbook_claims, experiment.load):
        monkeypatch.setattr(function, "__defaults__", (claims.parent,))
    return tmp_path / "results"


def run_all(results: Path, *more: object) -> int:
    words = ["run", "all-claims", *map(str, more), "--out", str(results), "--no-check", "--no-plot"]
    return cli.main(words)


def test_all_claims_are_one_session_that_ends_in_one_table_and_is_resumed_as_a_whole(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_all(results, "--profile", "quick") == 0
    said = capsys.readouterr().out
    assert "about" in said and "2 claims: 2 supported" in said
    first, second = sorted(store.all_runs(results), key=lambda path: path.parent.name)
    assert len({store.Run.open(path).meta["session"] for path in (first, second)}) == 1
    shutil.rmtree(second)  # as if it had been stopped between the two
    assert run_all(results, "--resume", first) == 0
    said = capsys.readouterr().out
    assert "measuring 08_fast" in said and "measuring 07_fast" not in said
    assert "2 claims: 2 supported" in said
    runs = [store.Run.open(path).meta for path in store.all_runs(results)]
    assert [meta["experiment"]["name"] for meta in runs] == ["07_fast", "08_fast"]
    assert len({meta["session"] for meta in runs}) == 1
    assert run_all(results, "--resume", first) == 2  # there is nothing left to do


# --- probes --------------------------------------------------------------------------------------


def test_a_probe_is_one_file_and_its_metrics_are_known() -> None:
    assert {"numbered", "kernel_maps"} <= set(probe.available())
    for name, path in probe.available().items():
        text = path.read_text(encoding="utf-8")
        for metric in re.findall(r'\{\\?"(\w+)\\?": %', text):
            assert metric in METRICS, f"{name}: {metric}"


@pytest.mark.parametrize(
    ("model", "words", "expected"),
    [
        ("select", "numbered 1023", {"probe_worked": 1.0}),
        ("select", "numbered 1024", {"probe_worked": 0.0}),
        ("select", "numbered 1500 own", {"probe_worked": 1.0}),
        ("poll", "entries 200 100", {"probe_worked": 0.0}),
        ("poll", "entries 100 200", {"probe_worked": 1.0}),
        ("epoll_lt", "mapped", {"probe_worked": 0.0}),
        ("sigio", "signals udp 10", {"signals_per_request": 1.0}),
    ],
)
def test_a_probe_says_what_it_found(model: str, words: str, expected: dict[str, float]) -> None:
    assert probe.run(model, words, sorted(os.sched_getaffinity(0))) == expected


def test_what_a_probe_does_not_ask_of_a_model_is_unsupported_there() -> None:
    with pytest.raises(CannotRunHere, match="not asked this"):
        probe.run("fork", "numbered 1023", [])


def test_a_probe_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(SetupError, match="no probe 'nothing'"):
        probe.is_program("nothing at all")
    assert "probe = '../x'" in Load(probe="../x").problem()


def test_shared_memory_is_that_of_an_io_model_alone() -> None:
    maps = (
        "7f00-7f10 rw-s 0 00:0e 2080  anon_inode:[io_uring]\n"
        "8000-8020 rw-s 0 00:0f 1  /[aio] (deleted)\n"
        "9000-9900 r-xp 0 00:00 0  [vdso]\n"
    )
    assert kernel_maps.shared_bytes(maps) == 0x10 + 0x20


def test_the_receives_of_a_pass_are_those_for_each_try_to_accept() -> None:
    assert scan.calls({"recvfrom": 1010, "accept4": 10, "sendto": 3}) == {"receives_per_pass": 101}
    assert scan.calls({"recvfrom": 10}) == {}
