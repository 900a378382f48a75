# SPDX-License-Identifier: MIT
"""The page of what the experiments found, and claims told as sentences, on made-up data."""
from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from harness import errors
from harness.commands import findings
from harness.design import experiment
from harness.design.experiment import Claim, Operand
from harness.judge.claims import REFUTED, SUPPORTED, UNDECIDED, Numbers, Verdict
from harness.present import answer, claims
from harness.present import experiments as present
from harness.judge.findings import Answer
from plots.draw import kinds
from test_textbook import write_run

PAGES = findings.PAGES
NOTHING = Answer((), (), (), ())
HOST = {"cpus": 2, "cpu_model": "a CPU", "kernel": "6.1", "virtual": "", "machine": "x86_64"}


def numbers(estimate: float, model: str = "thread") -> Numbers:
    what = f"p50_ns({model}, connections=4)"
    return Numbers(what, "ns", estimate, estimate * 0.9, estimate * 1.1, math.nan, 1e7, "cells", 4)


def claim(text: str, control: bool = False) -> Claim:
    return Claim(text, Operand("p50_ns", {"model": "*"}), None, "below", 1, 1e7, control=control)


def verdict(text: str, outcome: str, *found: Numbers, absent: bool = False) -> Verdict:
    return Verdict(text, outcome, "no number", absent, found)


def told(*verdicts: Verdict, control: bool = False) -> list[str]:
    return claims.sentences([claim(v.text, control) for v in verdicts], verdicts)


def test_a_claim_is_told_with_its_verdict_and_its_number() -> None:
    assert told(verdict("It is quick.", SUPPORTED, numbers(2e6))) == [
        "It is quick (supported: 2.00 ms [1.80 ms, 2.20 ms])."
    ]


def test_of_several_models_the_least_and_the_greatest_are_told() -> None:
    found = [numbers(value, name) for value, name in ((3e6, "fork"), (1e6, "poll"), (2e6, "aio"))]
    (line,) = told(verdict("All are quick.", SUPPORTED, *found))
    assert line == (
        "All are quick (supported: 1.00 ms [900 µs, 1.10 ms] to 3.00 ms [2.70 ms, 3.30 ms])."
    )


def test_what_is_not_decided_comes_last_and_says_what_is_claimed() -> None:
    lines = told(
        verdict("It is slow.", UNDECIDED, numbers(1e7)), verdict("It works.", REFUTED, numbers(2e7))
    )
    assert lines[0].startswith("It works (refuted: 20.0 ms")
    assert lines[1].endswith("[9.00 ms, 11.0 ms], where below 10.0 ms is claimed).")


def test_a_claim_that_the_run_cannot_judge_is_not_told() -> None:
    assert told(verdict("It is quick.", UNDECIDED, absent=True)) == []


def test_a_control_is_told_only_where_it_fails() -> None:
    good, bad = verdict("One is one.", SUPPORTED), verdict("Two is two.", REFUTED)
    assert told(good, control=True) == []
    assert told(bad, control=True) == ["The measurement does not show what it must: Two is two."]


def test_an_experiment_may_be_answered_by_its_claims() -> None:
    one = experiment.load("nagle")
    found = [verdict(c.text, SUPPORTED, numbers(1e6)) for c in one.claims]
    lines = answer.sentences(one, NOTHING, found)
    assert lines == claims.sentences(one.claims, found) and len(lines) == len(one.claims)
    without = replace(one, answers=())
    assert answer.sentences(without, NOTHING, found) != lines


def test_the_rows_of_several_models_name_each() -> None:
    two = verdict("All.", SUPPORTED, numbers(1e6, "fork"), numbers(2e6, "poll"))
    first, second = claims.rows_of(two)
    assert "| fork: 1.00 ms" in first and "| poll: 2.00 ms" in second
    (only,) = claims.rows_of(verdict("One.", SUPPORTED, numbers(1e6, "fork")))
    assert "fork" not in only


def test_the_page_counts_the_verdicts_and_shows_figure_and_numbers() -> None:
    one = experiment.load("nagle")
    found = [
        verdict("It is quick.", SUPPORTED, numbers(2e6)),
        verdict("It is slow.", REFUTED, numbers(2e6)),
    ]
    meta = {"started": "2026-01-02T03:04:05Z", "git": {"commit": "abc"}, "profile": "default"}
    entry = present.Entry(one, {**meta, "host": HOST}, ["It is so."], found, (), "nagle.png")
    page = present.page([entry])
    assert "| [nagle](#nagle) | 1 | 1 | 0 |" in page
    assert "- It is so." in page and "](nagle.png)" in page
    assert "| It is quick. | supported | 2.00 ms [1.80 ms, 2.20 ms] | below 10.0 ms |" in page
    assert "2026-01-02, commit abc, profile default" in page


@pytest.mark.parametrize("page", sorted(p.stem for p in PAGES.glob("*.md")))
def test_a_page_that_explains_a_figure_names_one_that_there_is(page: str) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    if page in experiment.available() or "**How to read the figure" in text:
        assert present.figure_of(text) in kinds()


def test_a_run_whose_file_asks_something_else_by_now_is_told_so() -> None:
    now = experiment.load("nagle").raw
    profiles = now["profiles"]
    longer = {**profiles, "default": {**profiles["default"], "seconds": 9}}
    assert experiment.asks_the_same(now, {**now, "title": "another"}, "default")
    assert experiment.asks_the_same(now, {**now, "profiles": longer}, "full")
    assert not experiment.asks_the_same(now, {**now, "profiles": longer}, "default")
    assert not experiment.asks_the_same(now, {**now, "claims": now["claims"][1:]}, "default")
    meta = {"started": "2026-01-02T03:04:05Z", "git": {"commit": "abc"}, "profile": "default"}
    for old in (False, True):
        entry = present.Entry(experiment.load("nagle"), {**meta, "host": HOST}, [], [], (), old=old)
        assert ("has changed since" in present.page([entry])) == old


def test_only_a_run_that_is_named_may_be_of_the_profile_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "07_fast.md").write_text("", encoding="utf-8")
    path = write_run(tmp_path)
    monkeypatch.setattr(findings, "PAGES", tmp_path)
    assert [run.path for run in findings.chosen([str(path)], tmp_path)] == [path]
    assert findings.chosen([], tmp_path) == []


def test_a_run_without_a_page_or_an_end_is_refused_when_it_is_named(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    with pytest.raises(errors.UsageError, match="must be complete, and .* have a page"):
        findings.chosen([str(path)], tmp_path)
    assert findings.chosen([], tmp_path) == []
