# SPDX-License-Identifier: MIT
"""How a duel spends its time: how long a turn is, who takes turns with whom, when rates are lowered
and who is measured again. Made-up pieces; nothing is started but fakes."""
from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from duel_fakes import add_loadgen, add_server

from harness import cli
from harness.design import duel as design
from harness.design.duel import CONTENDER, MOST_IN_TURN, REFERENCE, TOGETHER, TURNS, Entry, Plan
from harness.design.load import Load
from harness.design.model import Model
from harness.design.pieces import Piece, Slice
from harness.measure import duel as measure_duel
from harness.measure import targets
from harness.measure.staging import FEW_PASSES, SHORT_PASSES, SLICE_PASSES, Record, Stage

# pylint: disable=protected-access

# 1000 connections: a pass of the loops takes 7 ms, one of the slowest 63 ms.
SUSTAIN = {"ref": 140e3, "loop": 150e3, "ring": 160e3, "thread": 45e3, "fork": 35e3, "aio": 16e3}


def entry(name: str, role: str = CONTENDER) -> Entry:
    return Entry(name, role, Model(name, Path(name)))


def stage_of(tmp_path: Path, names: list[str], connections: int = 1000) -> Stage:
    """A stage after its pilot; whose capacity is not known is as fast as the reference."""
    others = [entry(name) for name in names]
    record = Record([entry("ref", REFERENCE), *others])
    record.capacity = {name: SUSTAIN[name] for name in ("ref", *names) if name in SUSTAIN}
    plan = Plan((), Load(connections=connections), (TURNS,), (), 40.0, 0.0, 1)
    stage = Stage(plan, record, cast(Any, SimpleNamespace(memory_bytes=1 << 40)), tmp_path)
    stage._turn_passes = SLICE_PASSES
    return stage


def test_the_turn_of_a_slow_contender_is_long_and_those_of_the_fast_ones_are_not(
    tmp_path: Path,
) -> None:
    stage = stage_of(tmp_path, ["loop", "aio"])
    reference, loop, aio = stage.record.entries
    assert stage.turn_s(aio) == pytest.approx(15 * 1000 / 16e3)
    assert stage.turn_s(loop) == pytest.approx(15 * 1000 / 150e3)
    assert stage.turn_s(entry("ref again")) == stage.turn_s(reference)
    assert stage.round_s([loop, aio]) == stage.turn_s(loop) + stage.turn_s(aio)


def test_more_than_fit_are_cut_into_groups_of_like_speed(tmp_path: Path) -> None:
    names = ["aio", "loop", "fork", "ring", "thread", "poll"]
    assert len(names) + 3 > MOST_IN_TURN
    first, second = (
        {e.name for e in group if e.role == CONTENDER}
        for group in stage_of(tmp_path, names).groups()
    )
    assert {"loop", "ring"} < first and second >= {"aio", "fork"}
    assert first | second == set(names) and not first & second


@pytest.mark.parametrize(
    ("seconds", "passes"),
    [(400.0, {SLICE_PASSES}), (40.0, set(range(FEW_PASSES, SLICE_PASSES))), (4.0, {SHORT_PASSES})],
)
def test_slices_are_shortened_for_six_rounds_and_to_the_last_passes_only_for_the_least(
    tmp_path: Path, seconds: float, passes: set[int]
) -> None:
    stage = stage_of(tmp_path, ["loop", "ring", "thread", "fork", "aio", "poll"])
    stage.fit_turns(seconds, 3, 3)
    assert stage._turn_passes in passes


def test_fewer_connections_need_no_shortening(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, ["loop", "ring", "thread", "fork", "aio", "poll"], connections=100)
    stage.fit_turns(40.0, 3, 3)
    assert stage._turn_passes == SLICE_PASSES


def test_the_load_generator_is_told_passes_in_turns_and_a_slice_together() -> None:
    def command(timing: targets.Timing) -> str:
        two = [targets.Target("a", 1, "pid:1"), targets.Target("b", 2, "pid:2")]
        return " ".join(targets.argv(Path("loadgen"), Load(), two, timing, [0], 1, Path("j")))

    turns = command(targets.Timing(TURNS, rounds=4, slice_passes=7))
    together = command(targets.Timing(TOGETHER, seconds=1.0, warmup_s=0.1, slice_s=0.05))
    assert "--rounds 4 --slice-passes 7" in turns and "--slice " not in turns
    assert "--slice 0.05s" in together and "--slice-passes" not in together


# --- who is not silent while the others have their turns ------------------------------------------


def at_rest(*cpu_ms: float) -> Piece:
    """A block of which one contender used so much in the turns of others, half a second each."""
    nothing: dict[str, Any] = {f.name: 0.0 for f in dataclasses.fields(Slice)}
    turns = tuple(
        Slice(**{**nothing, "name": "one", "idle_ns": 500e6, "idle_cpu_ns": 1e6 * cpu})
        for cpu in cpu_ms
    )
    return Piece(TURNS, 0, ("ref", "one"), 0.0, 0.0, turns, {}, {}, {}, 1.0, 1.0)


@pytest.mark.parametrize(
    ("cpu_ms", "restless"),
    [
        ((0, 0, 0, 0), False),
        ((0.4, 0.4, 0.4, 0.4), False),
        ((0, 0, 1.5, 0), False),
        ((2, 2, 2, 2), True),  # a little, but in every turn
        ((0, 0, 4, 0), True),  # much of it at once
        ((4,), True),
    ],
)
def test_a_thousandth_of_the_time_of_all_turns_of_the_others_is_too_much(
    cpu_ms: tuple[float, ...], restless: bool
) -> None:
    share = at_rest(*cpu_ms).idle_share("one")
    assert (share > measure_duel.SILENT_BELOW) is restless


# --- how long a run together is -------------------------------------------------------------------


def half_width(run_s: float, overhead_s: float, warmup_s: float = 0.1) -> float:
    """Of a mean of made-up runs in 30 s, up to a constant: 0.6 % from start to start, and slices of
    which half a second leaves 0.4 %."""
    runs = 30 / (run_s + warmup_s + overhead_s)
    return math.sqrt((0.6**2 + 0.4**2 * 0.5 / run_s) / runs)


@pytest.mark.parametrize("overhead_s", [0.08, 0.18, 0.3])
def test_a_run_is_so_short_that_starts_average_out_and_four_fifths_are_inside(
    overhead_s: float,
) -> None:
    run_s = design.run_s(overhead_s, 0.1, room_s=30.0)
    assert run_s + 0.1 >= 4 * overhead_s
    best = min(half_width(0.1 * tenths, overhead_s) for tenths in range(1, 50))
    assert half_width(run_s, overhead_s) < 1.25 * best
    assert half_width(run_s, overhead_s) < half_width(2.0, overhead_s)


def test_where_starting_takes_long_runs_stay_short_and_more_of_them_meet_fresh_servers() -> None:
    run_s = design.run_s(overhead_s=1.5, warmup_s=0.3, room_s=60.0)
    assert run_s == design.RUN_MOST_S
    assert half_width(run_s, 1.5, 0.3) < half_width(4 * 1.5, 1.5, 0.3)


def test_three_runs_of_a_pair_fit_into_its_time_where_they_can() -> None:
    run_s = design.run_s(overhead_s=0.2, warmup_s=0.1, room_s=2.7)
    assert design.RUN_LEAST_S < run_s and 3 * (run_s + 0.3) <= 2.7 + 1e-9
    assert design.run_s(overhead_s=0.2, warmup_s=0.1, room_s=1.0) == design.RUN_LEAST_S


# --- rates that are too high, and of whom nothing counts ------------------------------------------


def run_of(number: int, name: str) -> Piece:
    return Piece(
        TOGETHER, number, ("ref", name), 0.5, 1000.0, (), {}, {}, {}, wall_s=1.0, loaded_s=1.0
    )


def match_of(pieces: list[Piece], starved: set[int], left_s: float = 100.0) -> Any:
    """A duel of a hundred seconds in the middle of its sweeps."""
    plan = Plan((), Load(), (TOGETHER,), (0.5,), 100.0, 0.0, 1)
    names = list(dict.fromkeys(p.names[1] for p in pieces))
    stage = SimpleNamespace(
        plan=plan,
        record=Record([entry("ref", REFERENCE)], pieces, rates={0.5: 1000.0}),
        overhead_s={TOGETHER: 0.3},
        warmup_s=lambda: 0.1,
        pairs=lambda _: [entry(name) for name in names],
    )
    match: Any = measure_duel._Match(cast(Any, stage), cast(Any, None))
    match._outlook = measure_duel.Outlook({}, 0, frozenset(starved))
    match._left_s = lambda: left_s
    return match


MANY = [run_of(i, name) for i, name in enumerate(["a", "b", "c", "d", "slow"] * 2)]


@pytest.mark.parametrize(
    ("starved", "left_s", "lowered"),
    [
        ({4, 9}, 100.0, True),  # one pair in both of its runs
        ({4, 8}, 100.0, False),  # two pairs in one of two
        ({0, 1, 4, 8}, 100.0, True),  # more than a third of all
        ({4}, 100.0, False),
        ({4, 9}, -49.0, False),  # no time to begin anew
    ],
)
def test_rates_are_lowered_for_many_starved_runs_or_for_one_pair_that_never_keeps_up(
    starved: set[int], left_s: float, lowered: bool
) -> None:
    assert match_of(MANY, starved, left_s)._too_fast(0.5) is lowered


def test_of_whom_nothing_counts_is_measured_again_in_overtime_a_few_times() -> None:
    match = match_of(MANY, set(), left_s=0.0)
    match._outlook = measure_duel.Outlook({}, blank={(TOGETHER, 0.5): frozenset({"slow"})})
    measured: list[str] = []
    match._pair = lambda entry, fraction: measured.append(entry.name)
    while match._make_up():
        pass
    assert measured == ["slow"] * measure_duel.MAKE_UPS
    match = match_of(MANY, set(), left_s=-50.0)
    match._outlook = measure_duel.Outlook({}, blank={(TOGETHER, 0.5): frozenset({"slow"})})
    assert not match._make_up()


def test_one_that_never_keeps_up_with_a_given_rate_is_said_to_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build, file = tmp_path / "build", tmp_path / "duel.json"
    add_loadgen(build)
    add_server(build, "ref")
    add_server(build, "slow", cost=100_000)
    monkeypatch.setenv("TENK_BUILD", str(build))
    arguments = ["ref", "slow", "-R", "20k", "-c", "10", "--arrangement", "together"]
    cli.main(["duel", *arguments, "--seconds", "5", "--json", str(file), "--no-keep"])
    said = capsys.readouterr().out
    (sentence,) = [s for s in json.loads(file.read_text())["answer"] if s.startswith("slow")]
    assert "did not keep up with 20.0k/s each" in sentence and "a lower -R would help" in sentence
    assert said.count("nothing counts") == 2, "in the answer, and under the table"
