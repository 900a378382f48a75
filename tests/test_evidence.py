# SPDX-License-Identifier: MIT
"""Evidence runs (`tenk run honesty` and its like) from the outside, with fake servers and a fake
load generator; and what is concluded from duels whose answer is known, from made-up rows."""
from __future__ import annotations

import json
import os
import signal
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from duel_fakes import add_loadgen, add_server

from harness import cli, errors, store
from harness.commands import evidence as command
from harness.design import evidence as design
from harness.design.duel import MOST_IN_TURN
from harness.design.evidence import Series
from harness.design.pieces import Piece, Slice
from harness.judge import evidence as judge
from harness.judge.duel import BLOCKS, Ratio
from harness.judge.standings import Setup
from harness.measure import duel_log, meter
from harness.measure.evidence import Findings
from harness.measure.neighbour import Neighbour
from harness.present import evidence as present

TINY: Mapping[str, Any] = {
    "asks": "honesty",
    "title": "Equal",
    "question": "Are they?",
    "source": "nobody",
    "reference": "ref",
    "profiles": {
        name: {
            "connections": [10],
            "neighbours": ["none"],
            "fractions": [0.5],
            "shares": [0],
            "arrangements": ["together"],
            "seconds": [1],
            "duels": 2,
            "run_s": 0.2,
        }
        for name in ("quick", "default", "full")
    },
}


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build with a reference, and a folder for evidence of one's own."""
    add_loadgen(tmp_path / "build")
    add_server(tmp_path / "build", "ref")
    (tmp_path / "evidence").mkdir()
    monkeypatch.setenv("TENK_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(design, "FOLDER", tmp_path / "evidence")
    return tmp_path


def toml(value: Any) -> str:
    """Enough of TOML for what stands in an evidence file."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def write(
    ground: Path, name: str = "tiny", profile: Mapping[str, Any] = {}, **changes: Any
) -> None:
    document = {**TINY, **changes}
    document["profiles"] = {p: {**t, **profile} for p, t in document["profiles"].items()}
    text = "\n".join(f"{key} = {toml(value)}" for key, value in document.items())
    (ground / "evidence" / f"{name}.toml").write_text(text, encoding="utf-8")


def tenk(*arguments: object) -> int:
    try:
        return cli.main([str(a) for a in arguments])
    except SystemExit as usage:
        return int(usage.code or 0)


def run(ground: Path, *arguments: object, name: str = "tiny") -> tuple[int, dict[str, Any]]:
    """Status and tenk.evidence/1."""
    status = tenk("run", name, "--out", ground / "results", *arguments)
    (file,) = (ground / "results").glob(f"*/{name}/*/evidence.json")
    return status, json.loads(file.read_text())


def children() -> set[int]:
    return set(meter.tree(os.getpid())) - {os.getpid()}


# --- from the outside -----------------------------------------------------------------------------


def test_equal_servers_make_a_record_a_table_and_the_slices_it_was_made_from(
    ground: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Long enough for several runs of each duel, as below.
    write(ground, profile={"seconds": [3]})
    status, found = run(ground)
    said = capsys.readouterr().out
    assert status == errors.EXIT_OK, said
    assert (found["schema"], found["asks"], found["complete"]) == (
        "tenk.evidence/1",
        "honesty",
        True,
    )
    (row,) = found["rows"]
    assert row["duels"] + row["blank"] == 2 and row["duels"] > 0
    assert (row["connections"], row["neighbour"], row["known"]) == (10, "none", 1)
    (folder,) = (ground / "results").glob("*/tiny/*")
    pieces = duel_log.read(folder / "slices.jsonl.gz")
    (series,) = found["pieces"]
    assert series["runs"] == [p.number for p in pieces] and row["runs"] == len(pieces)
    assert all(set(p.names) == {"ref", "ref again"} for p in pieces)
    page = (folder / "summary.md").read_text()
    assert "| connections |" in page and found["answer"] in page and found["answer"] in said
    assert not children()


def test_a_known_cost_is_found_at_its_size_by_the_series_that_has_it(ground: Path) -> None:
    add_loadgen(ground / "build", noise=0.002, drift=0.0005)
    # Long enough for several runs of each duel where starting a server takes half a second.
    write(ground, profile={"shares": [0, 0.05], "seconds": [4]}, asks="accuracy")
    _, found = run(ground)
    by_share = {row["share"]: row for row in found["rows"]}
    assert by_share[0.05]["known"] == pytest.approx(1.05, abs=0.01)
    assert by_share[0.05]["found_of_known"] == pytest.approx(1, abs=0.2)
    assert by_share[0.05]["found"] == by_share[0.05]["duels"] > 0
    assert by_share[0]["found_of_known"] is None


def test_a_neighbour_is_there_while_it_is_measured_and_gone_afterwards(ground: Path) -> None:
    write(ground, profile={"neighbours": ["none", "server"]})
    status, found = run(ground)
    assert status == errors.EXIT_OK
    assert [row["neighbour"] for row in found["rows"]] == ["none", "server"]
    (share,) = found["neighbours"]
    assert 0 < share["cpu_share"] < 1
    assert not children()


def test_a_level_that_cannot_be_measured_is_left_out_with_its_reason(ground: Path) -> None:
    write(ground, profile={"connections": [10, 1_000_000]})
    status, found = run(ground)
    assert status == errors.EXIT_DOUBTFUL
    assert [row["connections"] for row in found["rows"]] == [10]
    (gone,) = found["left_out"]
    assert gone["connections"] == 1_000_000 and "descriptors" in gone["reason"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--models", "ref"], "--models"),
        (["--resume", "somewhere"], "--resume"),
        (["--also", "mine=http://127.0.0.1:1/"], "--also"),
        (["--no-check"], "--no-check"),
        (["--no-plot"], "--no-plot"),
        (["--profile", "huge"], "--profile"),
        (["--placement", "beside"], "--placement"),
        (["c10k"], "c10k"),
        (["--only", "fraction=0.7"], "0.7"),
        (["--only", "colour=red"], "colour=red"),
        (["--only", "fraction=0.5", "--only", "fraction=0.5"], "--only"),
        (["--resume", "tiny", "--only", "share=0.0"], "--resume"),
    ],
)
def test_what_an_evidence_run_would_not_heed_is_refused_by_name(
    ground: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    write(ground)
    assert tenk("run", "tiny", *arguments, "--out", ground / "results") == errors.EXIT_USAGE
    said = capsys.readouterr().err
    assert named in said and len(said.splitlines()) == 1
    assert not (ground / "results").exists()


def test_an_interrupted_run_keeps_what_was_measured_and_leaves_nothing_running(
    ground: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_after(monkeypatch, 3)
    write(ground, profile={"neighbours": ["server"], "duels": 100, "seconds": [0.1]})
    status, found = run(ground)
    assert status == errors.EXIT_INTERRUPTED
    said = capsys.readouterr().err
    (folder,) = (ground / "results").glob("*/tiny/*")
    assert "interrupted" in said and f"--resume {folder}" in said
    assert found["complete"] is False
    assert [len(series["runs"]) for series in found["pieces"]] == [3]
    assert not children()


def interrupt_after(monkeypatch: pytest.MonkeyPatch, runs: int) -> None:
    def interrupt(_listener: object, _one: Series, findings: Findings) -> set[int]:
        if findings.runs == runs:
            os.kill(os.getpid(), signal.SIGINT)
        return set()

    monkeypatch.setattr(command._Listener, "run", interrupt)


def test_an_interrupted_run_goes_on_with_its_rates_and_measures_only_what_is_missing(
    ground: Path,
) -> None:
    write(ground, profile={"connections": [10, 20], "shares": [0, 0.05], "seconds": [0.5]})
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 5)
        status, before = run(ground, "--only", "connections=10,20")
    assert status == errors.EXIT_INTERRUPTED
    (folder,) = (ground / "results").glob("*/tiny/*")
    # What two duels of half a second found beside other tests may be in doubt; not that they ended.
    status = tenk("run", "--resume", "tiny", "--out", ground / "results")
    assert status in (errors.EXIT_OK, errors.EXIT_DOUBTFUL)
    (again,) = (ground / "results").glob("*/tiny/*")
    after = json.loads((again / "evidence.json").read_text())
    assert again == folder and after["complete"] is True
    assert [row["duels"] + row["blank"] for row in after["rows"]] == [2] * 4
    for old, new in zip(before["pieces"], after["pieces"]):
        assert new["runs"][: len(old["runs"])] == old["runs"]
    assert after["levels"][: len(before["levels"])] == before["levels"]
    pieces = duel_log.read(folder / "slices.jsonl.gz")
    numbers = [number for series in after["pieces"] for number in series["runs"]]
    assert sorted(numbers) == sorted({piece.number for piece in pieces})
    assert after["started"] == before["started"] and not children()


def test_a_run_is_not_gone_on_with_when_it_is_complete_or_what_it_measures_is_another(
    ground: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(ground)
    status, found = run(ground)
    (folder,) = (ground / "results").glob("*/tiny/*")
    assert status == errors.EXIT_OK

    def refused(*arguments: object) -> str:
        capsys.readouterr()
        assert tenk("run", "--resume", folder, *arguments) == errors.EXIT_USAGE
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1
        return said

    assert "complete already" in refused()
    file = folder / "evidence.json"
    file.write_text(json.dumps({**found, "complete": False}))
    assert "--seed" in refused("--seed", 7)
    write(ground, profile={"duels": 3})
    assert "profile default says something else now" in refused()
    write(ground)
    add_server(ground / "build", "ref", cost=10_001)
    assert "binary ref (rebuilt since)" in refused()
    file.write_text(
        json.dumps({k: v for k, v in found.items() if k != "levels"} | {"complete": False})
    )
    assert "older version" in refused()


def test_nobody_else_measures_into_a_run(ground: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(ground)
    run(ground)
    (folder,) = (ground / "results").glob("*/tiny/*")
    with store.held(folder):
        assert tenk("run", "--resume", folder) == errors.EXIT_FAILURE
    assert "another process measures it" in capsys.readouterr().err


def test_a_rate_that_a_pair_does_not_keep_up_with_is_lowered_and_its_runs_begin_anew(
    ground: Path,
) -> None:
    loadgen = add_loadgen(ground / "build", fault="short of a little")
    write(ground, profile={"duels": 4})
    status, found = run(ground)
    assert status == errors.EXIT_OK
    first = float(loadgen.with_name("loadgen.first").read_text())
    (level,) = found["levels"]
    (rate,) = level["rates"]
    assert 0.5 * first < rate["offered_rps"] < 0.97 * first
    (row,) = found["rows"]
    assert row["starved"] == 0 and row["duels"] + row["blank"] == 4


def test_eight_in_turns_are_a_duel_of_eight_with_both_controls_in_groups(ground: Path) -> None:
    write(ground, asks="resolution", profile={"arrangements": ["turns of eight"], "seconds": [0.1]})
    status, found = run(ground)
    assert status == errors.EXIT_OK
    (folder,) = (ground / "results").glob("*/tiny/*")
    pieces = duel_log.read(folder / "slices.jsonl.gz")
    met = set().union(*(piece.names for piece in pieces))
    assert met == {"ref", "ref again", "ref +3%", *design.copies("ref")} and len(met) == 10
    assert all(len(piece.names) <= MOST_IN_TURN for piece in pieces)
    assert [one["arrangement"] for one in found["rows"]] == ["turns of eight"]


def test_all_three_arrangements_are_measured_at_one_level_and_their_widths_stand_side_by_side(
    ground: Path,
) -> None:
    write(ground, asks="resolution", profile={"arrangements": ["together", "turns", "alone"]})
    _, found = run(ground)
    rows = {row["arrangement"]: row for row in found["rows"]}
    assert list(rows) == ["together", "turns", "alone"]
    assert all(row["runs"] > 1 for row in rows.values())
    assert rows["alone"]["one_after_the_other_wider"] is None


def test_a_client_without_a_cpu_costs_one_run_of_one_after_the_other_and_not_the_level(
    ground: Path,
) -> None:
    loadgen = add_loadgen(ground / "build", fault="starved once")
    write(ground, asks="resolution", profile={"arrangements": ["alone"]})
    status, found = run(ground)
    assert status == errors.EXIT_OK and found["left_out"] == []
    assert loadgen.with_name("loadgen.starved").exists()
    (row,) = found["rows"]
    assert row["runs"] > 1


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", design.available())
def test_every_evidence_run_that_is_there_can_be_read_and_its_quick_profile_is_quick(
    name: str,
) -> None:
    found = design.load(name)
    assert found.asks in design.ASKS
    assert found.profiles["quick"].estimate_s() <= 180


@pytest.mark.parametrize("name", [n for n in design.available() if n != "honesty"])
def test_the_default_of_an_evidence_run_is_measured_in_ten_minutes(name: str) -> None:
    """But for honesty, whose 40 pairs at each level take half an hour."""
    assert 120 < design.load(name).profiles["default"].estimate_s() <= 600


def test_some_series_may_have_other_lengths_or_none_and_the_last_exception_that_fits_decides() -> (
    None
):
    changed = {
        "connections": [10, 100],
        "shares": [0.01, 0.1],
        "at": [
            {"where": {"share": [0.1]}, "seconds": [3, 1]},
            {"where": {"connections": 100, "share": 0.1}, "duels": 0},
            {"where": {"connections": 10}, "duels": 7},
        ],
    }
    profiles = {name: {**table, **changed} for name, table in TINY["profiles"].items()}
    profile = design.parse({**TINY, "profiles": profiles}, "t", "t").profiles["default"]
    few, rest = profile.series()[:2], profile.series()[2:]
    assert [(s.connections, s.share) for s in (*few, *rest)] == [(10, 0.01), (10, 0.1), (100, 0.01)]
    assert [profile.lengths(s) for s in few] == [profile.seconds, (1.0, 3.0)]
    assert [profile.longest(s) for s in profile.series()] == [7, 7, profile.duels]


@pytest.mark.parametrize(
    ("changes", "profile", "named"),
    [
        ({"asks": "luck"}, {}, "luck"),
        ({"colour": "red"}, {}, "colour"),
        ({}, {"neighbours": ["upstairs"]}, "upstairs"),
        ({}, {"fractions": [1.5]}, "fractions"),
        ({}, {"shares": [True]}, "shares"),
        ({}, {"duels": 0}, "duels"),
        ({}, {"seconds": []}, "seconds"),
        ({}, {"connections": [1.5]}, "connections"),
        ({}, {"speed": 1}, "speed"),
        ({}, {"at": [{"where": {"colour": 1}}]}, "colour"),
        ({}, {"at": [{"where": {"connections": 10}, "duels": 0}]}, "nothing to measure"),
        ({"reference": "nobody"}, {}, "nobody"),
    ],
)
def test_a_file_that_is_not_right_is_refused_and_says_what(
    ground: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    profile: dict[str, Any],
    named: str,
) -> None:
    write(ground, profile=profile, **changes)
    assert tenk("run", "tiny", "--out", ground / "results") in (
        errors.EXIT_USAGE,
        errors.EXIT_FAILURE,
    )
    said = capsys.readouterr().err
    assert named in said and len(said.splitlines()) == 1


MANY: Mapping[str, Any] = {
    **TINY["profiles"]["full"],
    "connections": [10, 1000],
    "neighbours": ["none", "server"],
    "fractions": [0.33, 0.67],
    "arrangements": ["together", "turns of eight"],
}


def chosen(*only: str) -> list[Series]:
    raw = {**TINY, "profiles": {name: MANY for name in TINY["profiles"]}}
    return design.parse(raw, "tiny", "tiny.toml").profiles["full"].narrowed(only).series()


def test_a_line_is_measured_that_has_one_of_the_values_of_every_field_named() -> None:
    assert len(chosen()) == 2 * 2 * 3
    assert chosen("neighbour=server", "fraction=0.67") == [
        Series(10, "server", 0.67, 0.0, "together"),
        Series(1000, "server", 0.67, 0.0, "together"),
    ]
    assert {s.connections for s in chosen("connections=10,1000")} == {10, 1000}
    assert {s.arrangement for s in chosen("arrangement=turns of eight")} == {"turns of eight"}


def test_what_no_line_has_or_no_line_has_all_of_is_refused_with_what_there_is() -> None:
    with pytest.raises(errors.UsageError, match="10, 1000"):
        chosen("connections=100")
    with pytest.raises(errors.UsageError, match="no line"):
        chosen("arrangement=turns of eight", "fraction=0.67")


def test_the_time_of_some_lines_is_said_without_that_of_the_others() -> None:
    raw = {**TINY, "profiles": {name: MANY for name in TINY["profiles"]}}
    profile = design.parse(raw, "tiny", "tiny.toml").profiles["full"]
    one = profile.narrowed(["connections=10", "neighbour=none", "fraction=0.33"])
    (series,) = one.series()
    assert profile.series_s(series) < one.estimate_s() < profile.estimate_s() / 3


def test_turns_and_one_after_the_other_have_a_closed_loop_so_one_series_for_all_fractions() -> None:
    changed = {"arrangements": ["together", "turns", "alone"], "fractions": [0.3, 0.6]}
    raw = {**TINY, "profiles": {n: {**t, **changed} for n, t in TINY["profiles"].items()}}
    series = design.parse(raw, "tiny", "tiny.toml").profiles["quick"].series()
    assert [(s.arrangement, s.fraction) for s in series] == [
        ("together", 0.3),
        ("together", 0.6),
        ("turns", 0.0),
        ("alone", 0.0),
    ]


# --- what is concluded ----------------------------------------------------------------------------


def test_no_run_is_in_two_duels_of_one_length_and_a_rest_is_in_none() -> None:
    duels = design.cut(list("abcdefg"), [1.0, 1.5, 1.0, 0.2, 2.0, 0.5, 0.5], 2.0)
    assert duels == [["a", "b"], ["c", "d", "e"]]


def row(**changes: Any) -> judge.Row:
    plain: dict[str, Any] = {
        "series": Series(100, "none", 0.5, 0.0, "together"),
        "seconds": 10.0,
        "duels": 40,
        "blank": 0,
        "different": 0,
        "different99": 0,
        "found": 0,
        "covers": 40,
        "half_width": 0.004,
        "known": 1.0,
        "average": None,
        "starved": 0,
        "runs": 100,
        "foreign": 0.0,
    }
    return judge.Row(**{**plain, **changes})


@pytest.mark.parametrize(
    ("different", "outcome"), [(2, "met"), (3, "within chance"), (12, "missed")]
)
def test_more_wrong_duels_than_asked_for_are_missed_only_if_chance_does_not_explain_them(
    different: int, outcome: str
) -> None:
    assert judge.outcome("honesty", row(different=different), 6) == outcome
    assert judge.outcome("accuracy", row(covers=40 - different), 6) == outcome


def test_nothing_is_asked_of_power_nor_of_a_row_without_duels() -> None:
    assert judge.outcome("power", row(different=40), 1) == ""
    assert judge.outcome("honesty", row(duels=0), 1) == ""


def test_the_worst_of_six_lines_of_forty_has_three_wrong_nine_times_in_ten_by_chance() -> None:
    found = judge.joint([(0, 40), (3, 40), (2, 40), (2, 40), (0, 40), (0, 40)])
    assert found is not None
    assert (found.wrong, found.duels, found.worst, found.worst_of) == (7, 240, 3, 40)
    # 1 - B(2; 40, 0.05) is 0.3233; of six independent lines one at least: 1 - 0.6767^6.
    assert found.worst_chance == pytest.approx(1 - (1 - 0.32326) ** 6, abs=1e-4)
    assert found.chance == pytest.approx(0.9580, abs=0.0005)


def test_a_table_with_too_many_wrong_duels_in_every_line_is_told_by_all_lines_together() -> None:
    found = judge.joint([(4, 40)] * 6)
    assert found is not None and found.worst_chance > 0.4 and found.chance < 0.002
    assert judge.joint([(0, 0)]) is None
    few = judge.joint([(1, 4), (3, 40)], 0.05)
    assert few is not None and (few.worst, few.worst_of) == (1, 4)


def test_lines_of_one_series_share_their_runs_so_only_one_of_them_counts_for_chance() -> None:
    lines = [row(seconds=5.0, duels=40), row(seconds=10.0, duels=20), row(seconds=20.0, duels=5)]
    other = row(series=Series(1, "none", 0.5, 0.0, "together"), duels=7)
    assert judge.independent([*lines, other]) == [lines[0], other]


def test_how_much_of_a_known_cost_is_found_is_as_uncertain_as_both_are() -> None:
    ratio = Ratio(1.03, 1.027, 1.033, 0.0015, 1e6, 50, BLOCKS)
    exact = judge.size_found(row(known=1.03, average=ratio))
    assert exact == pytest.approx((1.0, 0.9, 1.1))
    rough = judge.size_found(row(known=1.03, average=ratio, uncertainty=0.1))
    assert rough == pytest.approx((1.0, 1 - 0.02**0.5, 1 + 0.02**0.5))


def test_one_in_twenty_duels_may_be_wrong() -> None:
    assert [judge.allowed(n) for n in (6, 19, 20, 40)] == [0, 0, 1, 2]


def test_a_sentence_says_how_many_duels_were_wrong_and_how_many_a_sound_method_would_have() -> None:
    asked = design.parse(TINY, "tiny", "tiny.toml")
    rows = [row(different=1, different99=0), row(different=2, different99=1)]
    said = present.sentence(asked, rows)
    assert "3 of 80 duels" in said and "5 %" in said and "1 did by the 99 %" in said
    assert "nothing can be said" in present.sentence(asked, [row(duels=0)])


def test_power_names_the_smallest_cost_that_is_surely_found_more_often_than_not() -> None:
    asked = design.parse({**TINY, "asks": "power"}, "tiny", "tiny.toml")

    def at(share: float, seconds: float, found: int, duels: int = 10) -> judge.Row:
        series = Series(100, "none", 0.5, share, "together")
        return row(series=series, seconds=seconds, duels=duels, found=found)

    rows = [at(0.005, 60, 2, 2), at(0.01, 15, 3), at(0.01, 60, 9), at(0.03, 15, 10)]
    assert "is 1 %, in 60 s: by 9 of 10 duels" in present.sentence(asked, rows)
    assert "No cost" in present.sentence(asked, [at(0.1, 15, 7)])


def test_a_neighbour_allows_twice_the_width() -> None:
    target = {"connections": 100, "arrangement": "together", "seconds": 30, "half_width": 0.003}
    asked = design.parse({**TINY, "asks": "resolution", "targets": [target]}, "tiny", "tiny.toml")
    beside = Series(100, "server", 0.5, 0.0, "together")
    assert judge.target(asked, row(seconds=30)) == pytest.approx(0.003)
    assert judge.target(asked, row(seconds=30, series=beside)) == pytest.approx(0.006)
    assert judge.target(asked, row(seconds=60)) is None


def test_widths_are_compared_with_one_after_the_other_at_the_same_level_and_length() -> None:
    alone = Series(100, "none", 0.0, 0.0, "alone")
    table = [
        row(),
        row(series=alone, half_width=0.08),
        row(series=alone, half_width=0.5, seconds=20.0),
        row(series=Series(1, "none", 0.0, 0.0, "alone"), half_width=0.7),
    ]
    assert judge.times_alone(table[0], table) == pytest.approx(20)
    assert judge.times_alone(row(seconds=30.0), table) is None


def test_the_neighbour_keeps_to_its_cpu_and_is_gone_at_the_end() -> None:
    cpu = min(os.sched_getaffinity(0))
    with Neighbour(cpu, 0.5, 1) as busy:
        pid = busy.pid
        assert os.sched_getaffinity(pid) == {cpu}
    assert not Path(f"/proc/{pid}").exists()


def test_toml_of_this_test_is_toml() -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in TINY.items())
    assert tomllib.loads(text) == TINY


# --- the size of the known cost -------------------------------------------------------------------


def a_run(number: int, cost_us: float, added_us: float) -> Piece:
    """The reference, whose request costs so much, together with one that costs so much more."""

    def piece(name: str, cost: float) -> Slice:
        return Slice(
            name=name,
            round=0,
            warmup=False,
            begin_ns=0.0,
            from_ns=0.0,
            to_ns=1e9,
            replies=1000,
            failures=0,
            due=1000.0,
            server_cpu_ns=1e6 * cost,
            turn_replies=None,
            turn_cpu_ns=None,
            client_cpu_ns=None,
            client_spin_ns=None,
            client_delay_ns=None,
            steal_ns=None,
            foreign_cpu_ns=None,
            idle_ns=None,
            idle_cpu_ns=None,
            p50_ns=1.0,
            p99_ns=1.0,
        )

    return Piece(
        arrangement="together",
        number=number,
        names=("ref", "ref +5%"),
        fraction=0.5,
        rate_rps=1000.0,
        slices=(piece("ref", cost_us), piece("ref +5%", cost_us + added_us)),
        extra_ns={"ref +5%": 1e3 * added_us},
        latency={},
        verdicts={},
        wall_s=1.0,
        loaded_s=1.0,
    )


def test_waits_are_compared_run_by_run_where_both_servers_count_them() -> None:
    setup = Setup(("ref",), {"ref": "reference", "ref +5%": "control"}, 100, 1, True)
    series = Series(100, "none", 0.5, 0.03, "together")

    def table(waits: list[dict[str, float]]) -> judge.Row:
        runs = [replace(a_run(i, 10.0, 0.3), waits=each) for i, each in enumerate(waits)]
        return judge.rows({series: runs}, lambda _: (4.0,), setup)[0]

    # Beside a neighbour that comes and goes both wait three times less often; their ratio stays.
    busy = [0.3, 0.1, 0.2, 0.3, 0.1]
    found = table([{"ref": w, "ref +5%": 0.9 * w} for w in busy]).waits
    assert found is not None and found.estimate == pytest.approx(0.9)
    asked = design.parse({**TINY, "asks": "accuracy"}, "tiny", "tiny.toml")
    assert "| waits |" in present.table(asked, [table([{"ref": 0.2, "ref +5%": 0.1}] * 4)])
    alone = table([{"ref": 0.2}] * 4)
    assert alone.waits is None and "waits" not in present.table(asked, [alone])


def test_a_known_cost_has_its_size_in_each_run_however_the_cost_of_a_request_changes() -> None:
    runs = [a_run(i, cost, 1.0) for i, cost in enumerate([5.0, 20.0, 20.0, 6.0, 18.0, 5.0])]
    series = Series(10, "none", 0.5, 0.05, "together")
    setup = Setup(names=("ref",), roles={}, in_flight=1, workers=1, own_cpus=True)
    (found,) = judge.rows({series: runs}, lambda _: [6.0], setup)
    assert found.average is not None
    assert found.known == pytest.approx(found.average.estimate, rel=1e-9)
    assert judge.size_found(found) is not None and found.covers == found.duels == 1


def test_the_width_of_eight_in_turns_is_that_of_the_typical_contender() -> None:
    copies = design.copies("ref")
    groups = [["ref", "ref again", "ref +3%", *some] for some in (copies[:4], copies[4:])]
    blocks = []
    for number in range(8):
        names = groups[number % 2]
        plain = a_run(number, 10.0, 0.0)
        cost = {name: 1e7 * (1 + 0.01 * ((number // 2 + i) % 3)) for i, name in enumerate(names)}
        cost["ref"] = 1e7
        slices = [replace(plain.slices[0], name=n, server_cpu_ns=c) for n, c in cost.items()]
        blocks.append(
            replace(
                plain, arrangement="turns", names=tuple(names), slices=tuple(slices), fraction=0
            )
        )
    series = Series(10, "none", 0.0, 0.0, "turns of eight")
    setup = Setup(names=("ref",), roles={}, in_flight=1, workers=1, own_cpus=True)
    (found,) = judge.rows({series: blocks}, lambda _: [8.0], setup)
    assert (found.duels, found.blank, found.runs) == (1, 0, 8)
    assert 0.001 < found.half_width < 0.05
    (without,) = judge.rows({series: blocks[::2]}, lambda _: [4.0], setup)
    assert (without.duels, without.blank) == (0, 1), "half of the contenders were never met"
