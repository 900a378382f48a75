# SPDX-License-Identifier: MIT
"""The load of a cell: what may be asked for, what the client and the server are told of it, and
what is made of the client's report."""
from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from harness.design import experiment, plan
from harness.design.load import Load, coerce
from harness.design.model import Model
from harness.design.plan import Setting
from harness.judge.claims import Verdict
from harness.judge.findings import Answer, Finding
from harness.measure import cell, client, derive, models, targets
from harness.present import answer
from harness_fakes import EXPERIMENT

ROOT = Path(__file__).resolve().parent.parent
FOUR = {"silent": 20, "slow_readers": 3, "slow_writers": 2, "short_lived": 1}


def told(**changes: Any) -> list[str]:
    return client.options(Load(**changes), Path("asked"))


# --- what may be asked for ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"silent": -1}, "silent = -1"),
        ({"short_lived": -1}, "short_lived = -1"),
        ({"close": "politely"}, "close = 'politely'; allowed: fin, rst"),
        ({"timeout_s": 0.0}, "timeout_s = 0"),
        ({"slow_rate": 0}, "slow_rate = 0"),
        ({"size": 9}, "size = 9; only echo and rot13"),
        ({"size": 0, "protocol": "echo"}, "size = 0"),
        ({"pipeline": 4, "requests_per_connection": 2}, "pipeline = 4"),
        ({"server": "nodelay"}, "server = 'nodelay'; allowed: options"),
        ({"server": "-w 'two"}, "No closing quotation"),
        ({"server": "-p80"}, "-p"),
        ({"server": "--nodelay 0 -P echo"}, "-P"),
        ({"reply_bytes": 12, "path": "/work/1"}, "reply_bytes = 12"),
        ({"reply_bytes": 12, "protocol": "echo"}, "reply_bytes = 12"),
        ({"mix": "/", "protocol": "echo"}, "it needs protocol http"),
        ({"mix": "/, /work/1", "reply_bytes": 5}, "instead of path"),
        ({"mix": "work"}, 'as "/work/100 1, / 99"'),
        ({"mix": "/ 1, /work/1"}, "or none"),
        ({"mix": "/ 0"}, "from 1 to"),
        ({"mix": "/ 1 2"}, "from 1 to"),
        ({"mix": "/,,/"}, "allowed: PATH"),
    ],
)
def test_a_load_that_cannot_be_is_refused_with_the_name_of_its_field(
    change: dict[str, Any], said: str
) -> None:
    assert said in Load(**change).problem()


def test_every_new_field_has_a_type_and_a_default_that_is_allowed() -> None:
    assert Load().problem() == ""
    for field in fields(Load):
        assert coerce(field.name, field.default) == field.default


def test_a_load_of_an_older_run_is_read_with_the_usual_values() -> None:
    document = Setting("m", {}, Load(connections=5), 1.0, 0.1).to_json()
    old = {k: v for k, v in document["load"].items() if k in ("connections", "idle", "loop")}
    assert Setting.from_json({**document, "load": old}).load == Load(connections=5)


# --- what the client is told ----------------------------------------------------------------------


def test_the_client_is_told_what_is_not_as_usual_and_nothing_else() -> None:
    assert told() == ["-T", "5s"]
    assert told(**FOUR, slow_rate=100)[2:] == [
        *("--silent", "20", "--slow-readers", "3", "--slow-writers", "2"),
        *("--short-lived", "1", "--slow-rate", "100"),
    ]
    assert told(close="rst", timeout_s=0.25, requests_per_connection=1) == [
        *("-T", "0.25s", "--requests-per-connection", "1", "--close", "rst")
    ]
    assert told(protocol="echo", size=9)[2:] == ["--size", "9"]
    assert told(slow_rate=5)[2:] == []  # nobody is slow


def test_one_server_and_several_are_loaded_with_the_same_options(tmp_path: Path) -> None:
    load = Load(**FOUR, connections=4, mix="/work/9 1, / 2", close="rst", timeout_s=2.0)
    setting = Setting("m", {}, load, 1.0, 0.1)
    one = cell.client_argv(Path("lg"), setting, 80, (0,), 1, tmp_path / "c")
    found = [targets.Target("a", 80, "pid:1"), targets.Target("b", 81, "pid:2")]
    timing = targets.Timing("turns", rounds=1)
    several = targets.argv(Path("lg"), load, found, timing, (0,), 1, tmp_path / "duel.json")
    for words, file in ((one, "c.requests.tmp"), (several, "duel.requests")):
        shared = client.options(load, tmp_path / file)
        at = words.index("-T")
        assert words[at : at + len(shared)] == shared
        assert words[words.index("--requests") + 1] == str(tmp_path / file)


def test_a_mix_is_a_file_as_long_as_the_client_runs(tmp_path: Path) -> None:
    file = tmp_path / "asked"
    with client.asked_for(Load(mix="/work/100 1, HEAD / 99"), file):
        assert file.read_text() == "GET /work/100 1 rare\nHEAD / 99 usual\n"
    assert not file.exists()
    with client.asked_for(Load(mix="/work/100, /"), file):
        assert file.read_text() == "GET /work/100\nGET /\n"
    with client.asked_for(Load(), file):
        assert not file.exists()


@pytest.mark.parametrize(
    ("mix", "classes"),
    [
        ("/work/100 1, / 99", ("rare", "usual")),
        ("/a 2, /b 5, /c 3", ("rare", "usual", "rare")),
        ("/ 200", ("usual",)),
        ("/", ("usual",)),
        ("/a 5, /b 5", ()),
        ("/a, /b", ()),
        ("", ()),
    ],
)
def test_the_request_that_weighs_most_is_the_usual_one(mix: str, classes: tuple[str, ...]) -> None:
    assert Load(mix=mix).classes == classes


def test_all_files_of_a_mix_are_of_one_class() -> None:
    load = Load(mix="/file/* 1, / 9", files=2)
    told = "GET /file/0 1 rare\nGET /file/1 1 rare\nGET / 18 usual\n"
    assert load.problem() == "" and load.mix_lines == told
    assert Load(mix="/file/*", files=2).mix_lines == "GET /file/0\nGET /file/1\n"


def test_a_reply_of_a_given_size_is_a_path() -> None:
    assert Load(reply_bytes=1000).url(80) == "http://127.0.0.1:80/bytes/1000"


# --- what the server is told ----------------------------------------------------------------------


def test_a_server_is_started_with_the_options_of_the_load() -> None:
    start = cell.server_command(["./epoll_lt"])
    words = start(Load(server="--nodelay 0 --buffer '4k'"))
    assert words == ["./epoll_lt", "-p", "0", "-P", "http", "--nodelay", "0", "--buffer", "4k"]


def test_a_model_that_does_not_heed_an_option_is_unsupported_with_that_reason() -> None:
    (pool,) = models.choose(models.discover(only=("thread_pool",)), "thread_pool")
    (loop,) = models.choose(models.discover(only=("epoll_lt",)), "epoll_lt")
    small = models.started_with(pool, "-w 20")
    assert (small.name, small.max_connections, small.argv) == ("thread_pool", 20, pool.argv)
    assert models.started_with(loop, "-w 20").unavailable == (
        "-w: the model epoll_lt does not use this option"
    )
    assert models.started_with(loop, "--nodelay 0").unavailable == ""
    assert models.started_with(loop, "") is loop
    five = models.set_up([pool], "thread_pool -w 5", "--models")
    assert "-w" in models.started_with(five, "-w20").unavailable  # its name would not be true
    assert models.started_with(five, "--nodelay 0").max_connections == 5


def test_a_plan_asks_each_model_what_it_is_with_the_options_of_the_level() -> None:
    raw = tomllib.loads(EXPERIMENT)
    for profile in raw["profiles"].values():
        profile["levels"] = {"server": ["", "-w 2"]}
        profile.pop("at", None)
    changes = {
        "load": {"loop": "closed", "connections": 3},
        "factors": {"server": {}},
        "claims": [],
        "summary": [],
    }
    one = experiment.parse({**raw, **changes}, "tiny.toml")
    plain = Model("m", Path("m"), protocols=("http",), max_connections=9)

    def started_with(model: Model, options: str) -> Model:
        return replace(model, max_connections=2) if options else model

    found = plan.settings(one, one.profiles["quick"], [plain], {}, 1000, started_with=started_with)
    assert [(s.factors["server"], bool(s.unsupported)) for s in found] == [
        ("", False),
        ("-w 2", True),
    ]


# --- who counts -----------------------------------------------------------------------------------


def test_silent_clients_fill_a_server_without_making_it_unsupported() -> None:
    load = Load(connections=5, idle=1, **FOUR)
    assert load.all_connections == 32
    assert load.served == 12


# --- what is made of the client's report ----------------------------------------------------------


def test_connects_per_second_are_those_after_the_first_of_each_connection() -> None:
    report = {
        "connections": {"wanted": 10, "opened": 610},
        "window_s": 2.0,
        "warmup": {"seconds": 1.0},
        "latency_ns": {"connect": {"p50": 5, "p99": 9}, "response": {"max": "inf"}},
        "requests": {"completed": 30, "failed": 2, "unanswered": 3, "unsent": 5},
    }
    found = derive.client_metrics(report)
    assert found["connects_per_s"] == 200
    assert (found["connect_p50_ns"], found["max_ns"]) == (5, float("inf"))
    assert found["errors_per_request"] == 0.25
    kept = derive.client_metrics({**report, "connections": {"wanted": 10, "opened": 10}})
    assert "connects_per_s" not in kept


def test_classes_have_percentiles_of_their_own_where_a_request_was_of_them() -> None:
    report = {
        "classes": {
            "usual": {"share": 0.99, "latency_ns": {"count": 9, "p50": 5, "p99": "inf"}},
            "rare": {"share": 0.01, "latency_ns": {"count": 0, "p50": 0, "p99": 0}},
        }
    }
    assert derive.client_metrics(report) == {"usual_p50_ns": 5, "usual_p99_ns": float("inf")}


def test_where_nothing_was_sent_there_is_no_service_time() -> None:
    latency = {"response": {"count": 5, "max": "inf"}, "service": {"count": 0, "max": 0, "p50": 0}}
    assert derive.client_metrics({"latency_ns": latency}) == {"max_ns": float("inf")}


def test_what_is_not_in_the_report_is_no_metric() -> None:
    assert (
        derive.client_metrics(
            {"requests": {"completed": 0, "failed": 0, "unanswered": 0, "unsent": 0}}
        )
        == {}
    )
    assert derive.cpu_fraction(None, 1.0) == {}
    assert derive.cpu_fraction(derive.CpuUse(1.0, 0.5, 0.5), None) == {}


def test_the_server_s_cpus_are_its_time_by_the_time_between_its_readings() -> None:
    assert derive.cpu_fraction(derive.CpuUse(3.0, 1.0, 2.0), 2.0) == {"server_cpu_fraction": 1.5}


# --- what is said ---------------------------------------------------------------------------------


def test_a_hint_at_tenk_duel_has_the_load_or_is_not_given() -> None:
    one = experiment.parse(tomllib.loads(EXPERIMENT), "tiny.toml")
    plain = replace(one, base=replace(one.base, reply_bytes=1000, pipeline=4))
    assert answer._options(plain, {"connections": 7}) == [
        *("-c", "7", "--path", "/bytes/1000", "--pipeline", "4")
    ]
    slow = replace(one, base=replace(one.base, slow_readers=4))
    assert answer._options(slow, {"connections": 7}) is None


def test_a_sentence_keeps_the_options_of_a_model_in_its_name() -> None:
    raw = {**tomllib.loads(EXPERIMENT), "metric": "p99_ns"}
    one = experiment.parse(raw, "tiny.toml")
    finding = Finding("p99_ns", "epoll_lt", {"connections": 7}, (), (), (), (), (), 0.1)
    said = answer._sentence(one, finding, [("thread_pool -w 20", "3.1"), ("poll", "2")])
    assert "thread_pool -w 20 has 3.1 and poll 2 times the response time p99 of epoll_lt" in said


def test_the_figure_of_a_factor_is_titled_by_the_first_claim_that_holds() -> None:
    raw = tomllib.loads(EXPERIMENT)
    raw["claims"] = 2 * raw["claims"]
    one = experiment.parse(raw, "tiny.toml")
    said = [Verdict(f"{outcome}.", outcome, "") for outcome in ("refuted", "supported")]
    nothing = Answer((), (), (), (), ())
    assert answer.document(one, nothing, said)["titles"]["factor"] == "supported"
    assert "factor" not in answer.document(one, nothing, said[:1])["titles"]
    # The figure shows the main metric: what holds of another one is no title for it.
    other = experiment.parse({**raw, "metric": "p99_ns"}, "tiny.toml")
    assert "factor" not in answer.document(other, nothing, said)["titles"]


def test_an_answer_calls_a_level_what_the_experiment_calls_it() -> None:
    raw = tomllib.loads(EXPERIMENT)
    raw["factors"]["connections"]["words"] = {"0": "clients that stay"}
    one = experiment.parse(raw, "tiny.toml")
    finding = Finding("throughput_rps", "slow", {"connections": 0}, (), (), (), (), (), 0.1)
    said = answer._sentence(one, finding, [("fast", "2")])
    assert said == "With clients that stay fast has 2 times the throughput of slow"
    elsewhere = replace(finding, factors={"connections": 1024})
    assert answer._sentence(one, elsewhere, [("fast", "2")]).startswith("At 1024 connections fast")
