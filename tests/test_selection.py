# SPDX-License-Identifier: MIT
"""Which models a command is about: names, globs, families and sets, in each command alike."""
from __future__ import annotations

from pathlib import Path

import pytest
from duel_fakes import add_server

from harness import cli, errors
from harness.design import experiment, selection, source
from harness.design.model import FAMILIES, Model
from harness.errors import UsageError
from harness.measure import models

CATALOGUE = [
    Model("asio", Path("asio"), family="library", unavailable="asio.hpp is not installed"),
    Model("epoll_et", Path("epoll_et"), family="readiness"),
    Model("epoll_lt", Path("epoll_lt"), family="readiness"),
    Model("fork", Path("fork"), family="blocking"),
    Model("mine", Path("mine"), family="own"),
]


def named(*words: str) -> list[str]:
    return [model.name for model in selection.select(CATALOGUE, words, "--models")]


def tenk(*arguments: str) -> int:
    try:
        return cli.main(list(arguments))
    except SystemExit as usage:
        return int(usage.code or 0)


@pytest.mark.parametrize(
    ("words", "models"),
    [
        (["fork"], ["fork"]),
        (["fork", "epoll_et"], ["epoll_et", "fork"]),
        (["epoll_*"], ["epoll_et", "epoll_lt"]),
        (["epoll_?t", "fork"], ["epoll_et", "epoll_lt", "fork"]),
        (["family:readiness"], ["epoll_et", "epoll_lt"]),
        (["family:library"], ["asio"]),
        (["card"], ["epoll_et", "epoll_lt", "fork"]),
        (["card", "mine", "fork"], ["epoll_et", "epoll_lt", "fork", "mine"]),
        (["all"], ["asio", "epoll_et", "epoll_lt", "fork", "mine"]),
    ],
)
def test_a_word_stands_for_models_each_once_in_catalogue_order(
    words: list[str], models: list[str]
) -> None:
    assert named(*words) == models


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody"], "'nobody'"),
        (["fork", "kqueue_*"], "'kqueue_*'"),
        (["family:nobody"], "families: blocking, readiness"),
        (["family:coroutine"], "stands for no model here"),
        ([], "known models: asio"),
    ],
)
def test_a_word_that_stands_for_nothing_is_refused_by_name(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        named(*words)
    assert "--models" in str(refused.value) and said in str(refused.value)


def test_every_set_names_models_that_have_a_file() -> None:
    there = {one.name for one in source.sources()}
    for name, members in selection.sets().items():
        assert len(set(members)) == len(members) and name not in there
        assert set(members) <= there, name


def test_the_card_has_ten_models() -> None:
    assert len(selection.sets()["card"]) == 10


@pytest.mark.parametrize("name", ["c10k", "idle", "load_latency"])
def test_what_make_bench_measures_is_the_card(name: str) -> None:
    assert experiment.load(name).models == ("card",)


@pytest.mark.parametrize("word", ["./build-a/servers/epoll_lt", "http://h/*", "fork -w 3", "fork"])
def test_a_path_an_address_and_a_model_with_options_are_no_patterns(word: str) -> None:
    assert not selection.is_pattern(word)


def test_models_are_grouped_by_family_and_those_of_none_come_last() -> None:
    grouped = selection.by_family(CATALOGUE)
    assert [family for family, _ in grouped] == ["blocking", "readiness", "library", "own"]
    assert [f for f in FAMILIES if f in dict(grouped)] == ["blocking", "readiness", "library"]


# --- commands -------------------------------------------------------------------------------------


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    add_server(tmp_path / "build", "one_a")
    add_server(tmp_path / "build", "one_b")
    add_server(tmp_path / "build", "other", fault="absent")
    monkeypatch.setenv("TENK_BUILD", str(tmp_path / "build"))
    return tmp_path / "build"


@pytest.mark.usefixtures("build")
def test_list_shows_what_was_asked_for_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert tenk("list", "--names", "one_*") == errors.EXIT_OK
    assert capsys.readouterr().out.split() == ["one_a", "one_b"]


@pytest.mark.usefixtures("build")
def test_a_model_that_cannot_run_here_is_listed_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert tenk("list") == errors.EXIT_OK
    said = " ".join(capsys.readouterr().out.split())
    assert "readiness one_a" in said
    assert "other cannot run here: liburing is not installed" in said


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize(
    "command",
    [["list", "x_*"], ["check", "x_*"], ["duel", "one_a", "x_*"], ["run", "c10k", "--models=x_*"]],
)
def test_a_glob_that_matches_nothing_is_one_clear_line_in_every_command(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tenk(*command) == errors.EXIT_USAGE
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "'x_*'" in said and "known models: one_a, one_b" in said


def test_an_absent_library_keeps_its_model_in_its_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers" / "mine.c").write_text(
        '/* mine: for this test */\nconst struct model model = {\n\t.name = "mine",\n'
        '\t.summary = "one line",\n\t.family = "library",\n};\n'
    )
    add_server(tmp_path / "build", "mine", fault="absent")
    monkeypatch.setattr(models, "ROOT", tmp_path)
    (found,) = models.discover(tmp_path / "build" / "servers")
    assert found.unavailable == "liburing is not installed" and not found.broken
    assert (found.family, found.summary) == ("library", "one line")
