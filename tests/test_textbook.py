# SPDX-License-Identifier: MIT
"""Claims of the textbooks: how they are found, read, judged and told, on made-up data."""
from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.commands import textbook as named
from harness.design import experiment
from harness.errors import UsageError
from harness_fakes import EXPERIMENT

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
    assert one.question and one.source and one.claims
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
