# SPDX-License-Identifier: MIT
"""The page of each experiment: how it is read, what it cannot show, and what a student is asked."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.design import experiment
from harness.paths import ROOT

FOLDER = ROOT / "docs" / "experiments"
PAGES = [path for name in experiment.available() if (path := FOLDER / f"{name}.md").is_file()]
QUESTIONS = 3


def numbered(text: str) -> int:
    """How many numbered items there are."""
    return len(re.findall(r"^\d+\. ", text, re.MULTILINE))


def test_every_experiment_has_a_row_in_the_list_of_experiments_and_a_page() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(([^)]+)\)", (FOLDER / "README.md").read_text(), re.M)
    assert sorted(name for name, _ in rows) == experiment.available()
    assert all((FOLDER / page).is_file() for _, page in rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_was_done_before_what_we_do_how_to_read_it_and_what_it_cannot_show(
    page: Path,
) -> None:
    text = page.read_text(encoding="utf-8")
    assert f"tenk run {page.stem}" in text
    assert re.search(r"What we do|What is counted", text)
    assert re.search(r"How to read the figure", text)
    assert re.search(r"[Ww]hat it cannot show", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_three_questions_and_their_answers_are_elsewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    _, _, questions = text.partition("Questions")
    answers = FOLDER / "answers" / page.name
    assert numbered(questions) == QUESTIONS
    assert f"(answers/{page.name})" in questions
    assert numbered(answers.read_text(encoding="utf-8")) == QUESTIONS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_only_profiles_that_its_experiment_has(page: Path) -> None:
    named = re.findall(r"--profile (\w+)", page.read_text(encoding="utf-8"))
    assert set(named) <= set(experiment.load(page.stem).profiles)
