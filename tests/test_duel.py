# SPDX-License-Identifier: MIT
"""tenk duel from the outside: fake servers and a fake load generator for what is decided, real ones
once at the end."""
from __future__ import annotations

import gzip
import io
import json
import math
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from duel_fakes import add_loadgen, add_server
from rich.console import Console

from harness import cli, errors, paths
from harness.design.duel import TURNS as IN_TURNS
from harness.design.duel import CONTENDER, MOST_IN_TURN, Entry, Plan
from harness.design.load import Load
from harness.design.model import Model
from harness.design.pieces import Piece
from harness.judge.duel import BLOCKS, NOTHING, Ratio
from harness.judge.standings import Standing
from harness.measure import duel as measure_duel
from harness.measure import duel_log, meter
from harness.measure.field import Field
from harness.measure.meter import Sources
from harness.measure.staging import Stage
from harness.present import duel as present

CPU, RATE = "server_cpu_us_per_request", "throughput_rps"
# Where one arrangement shows as much as both.
TURNS = ("--arrangement", "turns")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build with a reference, one that costs a tenth more, and a load generator."""
    build = tmp_path / "build"
    add_loadgen(build)
    add_server(build, "ref")
    add_server(build, "dear", cost=11_000)
    monkeypatch.setenv("TENK_BUILD", str(build))
    return build


def tenk(*arguments: object) -> int:
    try:
        return cli.main([str(a) for a in arguments])
    except SystemExit as usage:
        return int(usage.code or 0)


def duel(tmp_path: Path, *arguments: object, until: str = "20%") -> tuple[int, dict[str, Any]]:
    """Status and tenk.duel/1 of a duel that ends as soon as there is an interval."""
    file = tmp_path / "duel.json"
    file.unlink(missing_ok=True)
    wanted = ("--until", until) if until else ()
    status = tenk("duel", *arguments, *wanted, "--json", file, "--out", tmp_path / "results")
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return status, found


def children() -> set[int]:
    return set(meter.tree(os.getpid())) - {os.getpid()}


def by_name(found: dict[str, Any], arrangement: str) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in found["arrangements"][arrangement]["contenders"]}


# --- what comes out -------------------------------------------------------------------------------


def test_a_duel_finds_a_known_difference_and_its_controls_and_keeps_the_result(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Two runs of a pair are few: one interval in twenty misses, with some seeds here, too.
    status, found = duel(tmp_path, "ref", "dear", "-c", 10, "--seed", 3)
    said = capsys.readouterr().out
    assert status == errors.EXIT_OK, said
    assert (found["schema"], found["reference"]) == ("tenk.duel/1", "ref")
    assert found["level"]["connections"] == 10
    assert set(found["arrangements"]) == {"together", "turns"}
    for name, arrangement in found["arrangements"].items():
        assert [c["name"] for c in arrangement["contenders"]] == ["ref", "dear"]
        ratio = by_name(found, name)["dear"]["ratio"][CPU]
        assert ratio["lo"] < 1.1 < ratio["hi"] and ratio["lo"] > 1.05
        assert arrangement["twin"][CPU]["lo"] < 1 < arrangement["twin"][CPU]["hi"]
        control = arrangement["control"]
        assert control["expected"][CPU] == pytest.approx(1.03, abs=0.003)
        assert control[CPU]["lo"] < control["expected"][CPU] < control[CPU]["hi"]
        assert 0 < arrangement["resolution"][CPU] < 0.2
        assert arrangement["blocks"] >= 2 and arrangement["seconds"] > 0
        assert all({"samples", "discarded", "value"} <= set(c) for c in arrangement["contenders"])
    assert set(found["arrangements"]["together"]["twin"]) == {CPU}
    assert set(found["arrangements"]["turns"]["twin"]) == {CPU, RATE, "p50_ns", "p99_ns"}
    assert found["agree"] == {"dear": True}
    assert found["verdict"]["status"] == "valid" and found["seconds"] > 0
    assert "dear takes" in said and "more CPU per request than ref" in said
    assert not children()


def test_a_result_lies_under_results_with_the_slices_it_was_made_from(
    build: Path, tmp_path: Path
) -> None:
    duel(tmp_path, "ref", "dear")
    (folder,) = (tmp_path / "results").glob("*/duel/*")
    kept = json.loads((folder / "duel.json").read_text())
    assert kept == json.loads((tmp_path / "duel.json").read_text())
    pieces = duel_log.read(folder / "slices.jsonl.gz")
    counted = sum(len(p.counted("dear")) for p in pieces if p.arrangement == "turns")
    entry = by_name(kept, "turns")["dear"]
    assert counted == entry["samples"] + entry["discarded"] > 0


def test_nothing_is_kept_where_that_is_wanted(build: Path, tmp_path: Path) -> None:
    assert tenk("duel", "ref", "dear", "--until", "20%", "--no-keep", *TURNS) == 0
    assert not (tmp_path / "results").exists()


def test_one_contender_alone_is_a_test_of_the_method(build: Path, tmp_path: Path) -> None:
    status, found = duel(tmp_path, "ref")
    assert status == 0
    assert [c["name"] for c in found["arrangements"]["turns"]["contenders"]] == ["ref"]
    assert CPU in found["arrangements"]["together"]["control"]


def test_starting_and_connecting_have_another_order_in_each_piece_and_the_seed_gives_it(
    build: Path, tmp_path: Path
) -> None:
    orders = []
    for seed in (1, 1, 2):
        duel(tmp_path, "ref", "dear", "--seed", seed, until="1%")
        (folder,) = (tmp_path / "results").glob("*/duel/*")
        found = duel_log.read(folder / "slices.jsonl.gz")
        orders.append([p.names for p in found if p.arrangement == "together"])
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    least = min(map(len, orders))
    assert orders[0][:least] == orders[1][:least] != orders[2][:least]
    assert len({names.index("ref") for names in orders[0]}) == 2


@pytest.mark.parametrize(("client_ns", "expected"), [(1000, False), (20_000, True)])
def test_whether_the_client_set_the_rate_is_read_from_what_the_control_did_to_it(
    build: Path, tmp_path: Path, client_ns: int, expected: bool
) -> None:
    add_loadgen(build, client_ns=client_ns, noise=0.002, drift=0.0005)
    _, found = duel(tmp_path, "ref", "--arrangement", "turns", until="1%")
    assert found["arrangements"]["turns"]["client_set_rate"] is expected


def test_both_of_a_pair_are_offered_the_same_rate_a_share_of_what_they_sustain_together(
    build: Path, tmp_path: Path
) -> None:
    _, found = duel(
        tmp_path, "ref", "dear", "--load", "25%,50%", "--arrangement", "together", until="5%"
    )
    loads = found["arrangements"]["together"]["loads"]
    assert [entry["fraction"] for entry in loads] == [0.25, 0.5]
    # Both cost 21 us of one CPU: 47,600 requests/s of each.
    cpus = max(1, len(os.sched_getaffinity(0)) // 2)
    most = min(1e9 / 21_000 * cpus, 1e9 / 11_000)
    assert loads[1]["offered_rps"] == pytest.approx(0.5 * most, rel=0.15)
    assert loads[0]["offered_rps"] == pytest.approx(0.25 * most, rel=0.15)


def test_a_rate_that_is_given_holds_for_everyone(build: Path, tmp_path: Path) -> None:
    _, found = duel(tmp_path, "ref", "dear", "-R", "5k")
    assert found["level"]["offered_rps"] == 5000
    assert all(a["offered_rps"] == 5000 for a in found["arrangements"].values())


@pytest.mark.parametrize(
    ("offered", "said"),
    [(0.0, "depends on the load and on how its CPU"), (5000.0, "depends on how its CPU")],
)
def test_arrangements_that_differ_are_put_down_to_sharing_only_where_the_load_is_the_same(
    offered: float, said: str
) -> None:
    together = standing("together", 5000.0, 1.8)
    turns = standing("turns", offered, 1.0)
    assert said in present._about("dear", "ref", together, turns, False)


def standing(arrangement: str, rate_rps: float, estimate: float) -> Standing:
    ratio = Ratio(estimate, estimate - 0.01, estimate + 0.01, 0.005, 10, 5, BLOCKS)
    return Standing(
        arrangement=arrangement,
        fraction=0.0,
        rate_rps=rate_rps,
        names=("ref", "dear"),
        twin="ref again",
        control="ref +3%",
        ratios={"dear": {CPU: ratio}},
        values={},
        tails={},
        samples={},
        discarded={},
        starved={},
        expected=1.03,
        resolution={},
        blocks=5,
        rounds=5,
        seconds=10.0,
        inside=0.9,
        wanted_rounds=0,
    )


def test_of_two_arrangements_the_one_with_an_interval_speaks() -> None:
    vague = Ratio(1.197, math.nan, math.nan, math.nan, 0.0, 1, NOTHING)
    known = Ratio(1.79, 1.44, 2.23, 0.02, 8.0, 5, BLOCKS)
    together = replace(standing("together", 0, 1), ratios={"dear": {CPU: vague}})
    turns = replace(standing("turns", 0, 1), ratios={"dear": {CPU: known}})
    told = present._about("dear", "ref", together, turns, None)
    assert told.endswith("more CPU per request than ref, with the CPU to itself.")
    assert "too few runs" in present._about("dear", "ref", together, None, None)


def test_what_costs_many_times_as_much_is_said_so_and_not_in_hundreds_of_per_cent() -> None:
    much = Ratio(4.94, 4.38, 5.5, 0.02, 8.0, 5, BLOCKS)
    turns = replace(standing("turns", 0, 1), ratios={"dear": {CPU: much}})
    assert present._about("dear", "ref", None, turns, None) == (
        "dear takes 4.94 times (± 11 %) the CPU per request of ref, with the CPU to itself."
    )


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_name_is_cut_however_narrow_the_terminal(width: int) -> None:
    metrics = (CPU, RATE, "p50_ns", "p99_ns")
    wide = Ratio(0.79, 0.31, 2.05, 0.2, 3.0, 2, BLOCKS)
    names = ("epoll_lt", "io_uring_multishot_accept", "thread_pool -w 32", "./build-a/servers/poll")
    controls = ("epoll_lt again", "epoll_lt +3%")
    found = replace(
        standing("turns", 0, 1),
        names=names,
        twin=controls[0],
        control=controls[1],
        ratios={name: {m: wide for m in metrics} for name in (*names[1:], *controls)},
        values={names[0]: dict(zip(metrics, (4.6, 2e5, 242e3, 931e3)))},
        samples={name: 123 for name in names},
    )
    out = Console(file=io.StringIO(), width=width, highlight=False)
    out.print(present.fitted(out, found))
    text = cast(io.StringIO, out.file).getvalue()
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    for word in (word for name in (*names, *controls) for word in name.split()):
        assert word in text
    assert text.count("2.05]") == 5 * len(metrics) and text.count("123") == len(names)


# --- what cannot take part ------------------------------------------------------------------------


def test_a_model_that_cannot_serve_the_level_is_listed_with_its_reason(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_server(build, "small", limit=5)
    add_server(build, "absent", fault="absent")
    status, found = duel(tmp_path, "ref", "dear", "small", "absent", "-c", 10, *TURNS)
    assert status == 0
    reasons = {entry["name"]: entry["reason"] for entry in found["unsupported"]}
    assert reasons["small"] == "serves at most 5 connections at a time: it is small"
    assert reasons["absent"] == "liburing is not installed"
    said = capsys.readouterr().out
    assert "small: unsupported: serves at most 5" in said


def test_options_belong_to_a_contender_and_change_what_it_can_serve(
    build: Path, tmp_path: Path
) -> None:
    add_server(build, "pool", fault="pool")
    _, found = duel(tmp_path, "ref", "pool -w 8", "pool -w 20", "-c", 10, *TURNS)
    assert [entry["name"] for entry in found["unsupported"]] == ["pool -w 8"]
    assert list(by_name(found, "turns")) == ["ref", "pool -w 20"]


def test_a_contender_may_be_a_binary_of_another_build(build: Path, tmp_path: Path) -> None:
    other = add_server(tmp_path / "other", "ref", cost=12_000)
    status, found = duel(tmp_path, "ref", other, *TURNS)
    assert status == 0
    ratio = by_name(found, "turns")[str(other)]["ratio"][CPU]
    assert ratio["lo"] < 1.2 < ratio["hi"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("dies", "server died during the run: exit 134: assertion failed: true"),
        ("unready", "server did not start: exit 1: cannot listen: no luck"),
    ],
)
def test_a_contender_that_fails_is_left_out_and_the_others_are_measured(
    build: Path, tmp_path: Path, fault: str, reason: str
) -> None:
    add_server(build, "bad", fault=fault)
    status, found = duel(tmp_path, "ref", "bad", "dear", *TURNS)
    assert status == errors.EXIT_DOUBTFUL
    (entry,) = found["unsupported"]
    assert (entry["name"], entry["status"]) == ("bad", "failed")
    assert reason in entry["reason"]
    assert by_name(found, "turns")["dear"]["ratio"][CPU]["lo"] > 1.05
    assert not children()


def test_a_contender_whose_answers_are_wrong_has_no_cost(build: Path, tmp_path: Path) -> None:
    add_loadgen(build, fault="verification")
    add_server(build, "wrong", cost=7777)
    status, found = duel(tmp_path, "ref", "wrong", "dear", *TURNS)
    assert status == errors.EXIT_DOUBTFUL
    assert "3 replies were wrong" in found["unsupported"][0]["reason"]
    assert "wrong" not in by_name(found, "turns")


def test_a_model_that_works_in_children_is_read_from_a_control_group_or_not_at_all(
    build: Path, tmp_path: Path
) -> None:
    add_server(build, "forks", fault="children")
    _, found = duel(tmp_path, "ref", "forks", "dear", *TURNS)
    groups = meter.probe().cpu
    if groups is None or groups.version != 2:
        assert "control group" in found["unsupported"][0]["reason"]
    else:
        assert CPU in by_name(found, "turns")["forks"]["ratio"]


def test_a_model_that_spins_is_measured_alone_and_the_result_says_so(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_server(build, "spins", fault="spins")
    status, found = duel(tmp_path, "ref", "spins", "dear")
    assert status == errors.EXIT_OK
    assert "spins" not in by_name(found, "together")
    entry = by_name(found, "turns")["spins"]
    assert entry["alone"] is True and entry["samples"] >= 2
    assert RATE in entry["ratio"]
    assert "spins: measured alone: it uses" in capsys.readouterr().out


def test_a_model_that_says_it_keeps_a_cpu_busy_is_refused_with_what_would_measure_it(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_server(build, "polls", fault="busy")
    for words in (["ref", "polls"], ["polls", "ref"], ["ref", "polls -w 2"]):
        status, found = duel(tmp_path, *words)
        said = capsys.readouterr().err
        assert status == errors.EXIT_USAGE and not found
        assert said.count("\n") == 1 and "keeps a CPU busy while it waits" in said
        assert "harness/tenk run c10k --models" in said


def test_a_pattern_stands_for_the_models_that_are_not_named_and_leaves_out_the_busy_one(
    build: Path, tmp_path: Path
) -> None:
    add_server(build, "polls", fault="busy")
    _, found = duel(tmp_path, "ref", "family:readiness", *TURNS)
    assert list(by_name(found, "turns"))[0] == "ref" and "dear" in by_name(found, "turns")
    (left_out,) = found["unsupported"]
    assert left_out["name"] == "polls" and "keeps a CPU busy" in left_out["reason"]


# --- set-up and usage -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "known models: dear, ref"),
        (["ref", "ref"], "name each once"),
        (["ref", "dear", "-c", "0"], "'0' is not allowed"),
        (["ref", "dear", "--arrangement", "duet"], "allowed: together, turns, both"),
        (["ref", "dear", "--load", "0%"], "percentages from 1% to 95%"),
        (["ref", "dear", "--load", "50%", "-R", "5k"], "-R"),
        (["ref", "dear", "--load", "50%", "--arrangement", "turns"], "--arrangement together"),
        (["ref", "dear", "--closed", "-R", "5k"], "-R"),
        (["ref", "dear", "--until", "0"], "percentage"),
        (["ref", "dear", "--seconds", "nan"], "seconds from 5"),
        (["ref", "dear", "--path", "work"], "begins with /"),
        (["ref", "dear", "--protocol", "gopher"], "allowed: http, echo, rot13"),
        (["ref", "dear", "--placement", "moon"], "allowed: split, shared"),
        (["ref", "dear --bogus"], "unknown option '--bogus'"),
        (["ref", "dear -p 80"], "the duel sets"),
        (["ref", "'"], "a model and its options"),
        (["ref", " "], "name a model"),
        (["ref", "./no/such/server"], "a program that can run"),
        (["ref", "http://127.0.0.1:1/"], "a model or the path of a binary"),
    ],
)
def test_bad_usage_is_one_line_that_names_the_remedy_and_nothing_is_written(
    build: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    status = tenk("duel", *arguments, "--out", tmp_path / "results")
    complaint = capsys.readouterr().err
    assert status == errors.EXIT_USAGE
    assert said in complaint and complaint.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["small", "ref", "-c", "10"], "small, the reference: serves at most 5 connections"),
        (["ref", "small", "-c", "10"], "nobody is left to meet ref"),
        (["ref", "dear", "-c", "9000000"], "descriptors"),
        (["unready", "ref"], "unready, the reference"),
    ],
)
def test_a_duel_that_cannot_be_held_says_why_in_one_line(
    build: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    add_server(build, "small", limit=5)
    add_server(build, "unready", fault="unready")
    status = tenk("duel", *arguments, "--no-keep")
    complaint = capsys.readouterr().err
    assert status == errors.EXIT_FAILURE
    assert said in complaint and complaint.count("\n") == 1
    assert not children()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("crash", "a worker process died"),
        ("absent", "io_uring is not available"),
        ("nonsense", "report not as agreed"),
    ],
)
def test_a_load_generator_that_fails_is_named_with_its_words(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str, said: str
) -> None:
    add_loadgen(build, fault=fault)
    assert tenk("duel", "ref", "dear", "--no-keep") == errors.EXIT_FAILURE
    assert said in capsys.readouterr().err
    assert not children()


def test_without_a_load_generator_the_remedy_is_named(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (build / "loadgen" / "loadgen").unlink()
    assert tenk("duel", "ref", "dear", "--no-keep") == errors.EXIT_FAILURE
    assert "run `make` first" in capsys.readouterr().err


# --- interruption ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_duel_prints_and_writes_what_is_known_and_leaves_nothing_running(
    build: Path, tmp_path: Path, number: int
) -> None:
    file = tmp_path / "duel.json"
    command = [str(paths.ROOT / "harness" / "tenk"), "duel", "ref", "dear", "--json", str(file)]
    command += ["--out", str(tmp_path / "results"), "--seconds", "300", "--arrangement", "turns"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "turns ±" in line:
                break
        running.send_signal(number)
        said, complaint = running.communicate(timeout=60)
    assert running.returncode == errors.EXIT_INTERRUPTED, complaint
    assert "interrupted" in complaint and "without the piece that was under way" in complaint
    assert "turns: one after the other" in said
    found = json.loads(file.read_text())
    assert found["ended"] == "interrupted"
    assert by_name(found, "turns")["dear"]["samples"] > 0
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)


# --- the real ones --------------------------------------------------------------------------------

BUILT = paths.ROOT / "build" / "servers" / "epoll_lt"


@pytest.mark.skipif(not BUILT.exists(), reason="needs `make`")
@pytest.mark.parametrize("options", [["-c", "20"], ["-c", "5", "-R", "2k", "--idle", "20"]])
def test_real_servers_meet_and_every_field_of_the_result_is_there(
    tmp_path: Path, options: list[str]
) -> None:
    # Beside other programs a short duel may have to leave all runs of the control or the twin out.
    for seconds in (8, 20, 60):
        words = ["epoll_lt", "poll", "fork", *options, "--seconds", seconds]
        status, found = duel(tmp_path, *words, until="")
        told = found["arrangements"].values()
        if all(CPU in a["twin"] and a["control"]["expected"][CPU] for a in told):
            break
    assert status in (errors.EXIT_OK, errors.EXIT_DOUBTFUL)
    assert {"epoll_lt", "poll"} <= set(by_name(found, "together"))
    for arrangement in found["arrangements"].values():
        assert {
            "contenders",
            "twin",
            "control",
            "resolution",
            "blocks",
            "rounds",
            "seconds",
        } <= set(arrangement)
        assert {"estimate", "lo", "hi"} <= set(arrangement["twin"][CPU])
        assert arrangement["control"]["expected"][CPU] > 1
    assert not children()


@pytest.mark.parametrize("fault", [errors.HostFault, errors.SetupError])
def test_what_was_measured_is_kept_where_the_machine_fails_in_the_middle(
    build: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: type[Exception],
) -> None:
    block, left = Stage.block, [4]

    def failing(*arguments: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise fault("the disk is full")
        return block(*arguments)

    monkeypatch.setattr(Stage, "block", failing)
    status, found = duel(tmp_path, "ref", "dear", *TURNS, until="")
    said = capsys.readouterr().err
    assert status == errors.EXIT_DOUBTFUL
    assert said == "tenk: ended early: the disk is full\n"
    assert found["ended"] == "failed" and found["arrangements"]["turns"]["blocks"] > 0


# --- who meets whom -------------------------------------------------------------------------------


def pieces_of(tmp_path: Path) -> list[Piece]:
    (log,) = (tmp_path / "results").glob("*/duel/*/slices.jsonl.gz")
    return duel_log.read(log)


def test_more_contenders_than_fit_take_turns_in_groups_that_share_the_reference_and_its_controls(
    build: Path, tmp_path: Path
) -> None:
    others = [f"m{number}" for number in range(MOST_IN_TURN)]
    for name in others:
        add_server(build, name)
    _, found = duel(tmp_path, "ref", *others, *TURNS, until="50%")
    groups = {frozenset(piece.names) for piece in pieces_of(tmp_path)}
    shared = frozenset.intersection(*groups)
    assert len(groups) > 1 and all(len(group) <= MOST_IN_TURN for group in groups)
    assert len(shared) == 3 and "ref" in shared
    assert set(by_name(found, "turns")) >= set(others)
    assert frozenset.union(*groups) - shared == set(others)


def test_closed_loads_a_pair_in_a_closed_loop_and_the_result_names_no_rate(
    build: Path, tmp_path: Path
) -> None:
    _, found = duel(tmp_path, "ref", "dear", "--closed", "--arrangement", "together")
    assert all(piece.rate_rps == 0 for piece in pieces_of(tmp_path))
    assert not found["arrangements"]["together"]["offered_rps"]
    assert CPU in by_name(found, "together")["dear"]["ratio"]


def test_two_servers_of_one_name_are_refused_before_one_is_started(build: Path) -> None:
    path = build / "servers" / "ref"
    entry = Entry("ref", CONTENDER, Model("ref", path))
    before = children()
    with pytest.raises(ValueError, match="two entries are called ref"):
        Field([entry, entry], "http", [0], Sources(None, None))
    assert children() == before


@pytest.mark.parametrize("line", ['{"name": "a"}', '{"piece": {"arrangement": "turns"}}', "[]"])
def test_slices_of_another_version_are_a_value_error_with_the_files_name(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "slices.jsonl.gz"
    path.write_bytes(gzip.compress(line.encode() + b"\n"))
    with pytest.raises(ValueError, match="slices.jsonl.gz: not the slices of this version"):
        duel_log.read(path)


# --- how the time is spent ------------------------------------------------------------------------


@pytest.mark.parametrize("overhead_s", [0.1, 2.0, 8.0])
@pytest.mark.parametrize("groups", [1, 2])
def test_three_blocks_of_every_group_fit_into_the_time_however_long_starting_takes(
    overhead_s: float, groups: int
) -> None:
    plan = Plan((), Load(), (IN_TURNS,), (), 60.0, 0.0, 1)
    stage = SimpleNamespace(
        plan=plan,
        record=SimpleNamespace(spinning=lambda: []),
        overhead_s={IN_TURNS: overhead_s},
        groups=lambda: [[]] * groups,
    )
    match = measure_duel._Match(
        cast(Any, stage), cast(Any, None)
    )  # pylint: disable=protected-access
    block_s = match._block_s()  # pylint: disable=protected-access
    assert 3 * groups * (block_s + overhead_s) <= plan.seconds
    assert block_s >= measure_duel.BLOCK_LEAST_S


def test_what_starting_takes_is_learnt_from_the_first_piece_on(tmp_path: Path) -> None:
    bench = cast(Any, None)
    stage = Stage(Plan((), Load(), (IN_TURNS,), (), 60.0, 0.0, 1), cast(Any, None), bench, tmp_path)
    stage._learn(IN_TURNS, 8.0)  # pylint: disable=protected-access
    assert stage.overhead_s[IN_TURNS] == 8.0
    stage._learn(IN_TURNS, 4.0)  # pylint: disable=protected-access
    assert 4.0 < stage.overhead_s[IN_TURNS] < 8.0
