# SPDX-License-Identifier: MIT
"""What may be said of models that met together and in turns: claims, rows and notes on made-up
records, whose ratios are known."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from harness.design import experiment
from harness.design.experiment import Claim, Operand
from harness.judge import claims, findings, levels, ratios, summary
from harness.judge.claims import REFUTED, SUPPORTED, UNDECIDED
from harness.judge.levels import LevelDuel
from harness.present import levels as present
from harness.store import CellRecord

CPU, RATE = "server_cpu_us_per_request", "throughput_rps"
FREEDOM = 20.0
T95 = 2.086  # Student's t, 97.5 %, of so many degrees of freedom


def ratio(estimate: float, half: float = 0.01) -> dict[str, Any]:
    """half: of the 95 % interval, of the logarithm."""
    lo, hi = estimate * math.exp(-half), estimate * math.exp(half)
    numbers = {"estimate": estimate, "lo": lo, "hi": hi, "se": half / T95}
    return {**numbers, "freedom": FREEDOM, "samples": 8, "basis": "blocks"}


def arrangement(
    models: Mapping[str, dict[str, Any]],
    twin: dict[str, Any] | None = None,
    control: dict[str, Any] | None = None,
    metric: str = CPU,
    **more: Any,
) -> dict[str, Any]:
    """models: the ratio of one metric for each. The control is known to be 1.03."""
    return {
        "contenders": [
            {"name": "epoll_lt", "ratio": {}},
            *({"name": name, "ratio": {metric: one}} for name, one in models.items()),
        ],
        "twin": {metric: twin or ratio(1.0)},
        "control": {"expected": {CPU: 1.03}, metric: control or ratio(1.03)},
        "resolution": {metric: 0.01},
        **more,
    }


def level(
    offered_rps: float | None = None, left_out: Mapping[str, str] | None = None, **how: Any
) -> LevelDuel:
    """At 100 connections; how: the arrangements by name."""
    return levels.read(
        {
            "factors": {"connections": 100},
            "reference": "epoll_lt",
            "level": {"offered_rps": offered_rps},
            "arrangements": how,
            "unsupported": [
                {"name": name, "status": "unsupported", "reason": why}
                for name, why in (left_out or {}).items()
            ],
            "verdict": {"status": "valid", "reasons": []},
        }
    )


def claim(
    a: str, b: str, relation: str, factor: float = 1.0, metric: str = CPU, how: str = ""
) -> Claim:
    sides = [Operand(metric, {"model": name, "connections": 100}) for name in (a, b)]
    return Claim("a claim", *sides, relation, factor, 0.0, arrangement=how)


def cells(metric: str = CPU, status: str = "ok", **values: float) -> list[summary.Group]:
    """Three replicates of each model at 100 connections, hardly different."""
    records = [
        CellRecord("c10k", name, {"connections": 100}, n, n, n, status, metrics={metric: v * x})
        for name, v in values.items()
        for n, x in enumerate((0.999, 1.0, 1.001))
    ]
    return summary.group(records, list(values))


TURNS = {"poll": ratio(1.3), "io_uring": ratio(0.94)}


@pytest.mark.parametrize(
    ("a", "b", "relation", "factor", "outcome"),
    [
        ("poll", "epoll_lt", "above", 1.25, SUPPORTED),
        ("poll", "epoll_lt", "above", 1.35, REFUTED),
        ("poll", "epoll_lt", "above", 1.3, UNDECIDED),
        ("io_uring", "epoll_lt", "below", 1.0, SUPPORTED),
        ("epoll_lt", "io_uring", "below", 1.0, REFUTED),
        ("io_uring", "epoll_lt", "within", 1.15, SUPPORTED),
        ("poll", "epoll_lt", "within", 1.15, REFUTED),
        ("poll", "io_uring", "above", 1.35, SUPPORTED),
        ("poll", "io_uring", "below", 1.35, REFUTED),
    ],
)
def test_a_claim_on_two_models_at_one_level_is_judged_on_their_ratio(
    a: str, b: str, relation: str, factor: float, outcome: str
) -> None:
    met = [level(turns=arrangement(TURNS))]
    found = claims.judge_one(claim(a, b, relation, factor), [], met)
    assert found.outcome == outcome
    assert "measured in turns" in found.detail


@pytest.mark.parametrize(
    ("metric", "value", "bound", "told"),
    [
        ("user_bytes_per_connection", 17680.0, 8192, "17,680 [17,6"),
        ("server_cpu_us_per_request", 4.6, 12000, "4.6 [4.589, 4.611]"),
    ],
)
def test_a_claim_on_a_number_is_told_with_its_unit_and_without_powers_of_ten(
    metric: str, value: float, bound: float, told: str
) -> None:
    one = Operand(metric, {"model": "thread", "connections": 100})
    found = claims.judge_one(
        Claim("a claim", one, None, "above", 1.0, bound), cells(metric, thread=value)
    )
    unit = "bytes" if "bytes" in metric else "µs"
    assert told in found.detail and f"] {unit}, against " in found.detail
    assert found.detail.endswith(f"{bound:,}" if bound >= 10000 else f"{bound}")


def test_cells_that_say_otherwise_are_not_asked() -> None:
    groups = cells(poll=5.0, epoll_lt=5.0)
    one = claim("poll", "epoll_lt", "above", 1.2)
    assert claims.judge_one(one, groups).outcome == REFUTED
    assert claims.judge_one(one, groups, [level(turns=arrangement(TURNS))]).outcome == SUPPORTED


def test_a_ratio_through_the_reference_is_wider_than_either() -> None:
    (found,) = levels.over(level(turns=arrangement(TURNS)), "poll", "io_uring", CPU)
    assert found.estimate == pytest.approx(1.3 / 0.94)
    assert math.log(found.hi / found.lo) / 2 == pytest.approx(0.01 * math.sqrt(2), rel=0.05)


def test_a_claim_across_levels_stays_with_the_cells() -> None:
    far = Operand(CPU, {"model": "epoll_lt", "connections": 1000})
    near = Operand(CPU, {"model": "poll", "connections": 100})
    one = Claim("a claim", near, far, "above", 1.0, 0.0)
    found = claims.judge_one(one, cells(poll=5.0), [level(turns=arrangement(TURNS))])
    assert found.outcome == UNDECIDED and "was not part of this run" in found.detail


def test_nothing_is_taken_from_an_arrangement_whose_twin_differs() -> None:
    void = level(turns=arrangement(TURNS, twin=ratio(1.05)))
    found = claims.judge_one(
        claim("poll", "epoll_lt", "above", 1.2), cells(poll=6.5, epoll_lt=5.0), [void]
    )
    assert found.outcome == SUPPORTED  # by the cells
    assert "from cells" in found.detail and "void: the twin differs" in found.detail
    assert ratios.of_run(experiment.load("c10k"), cells(poll=6.5, epoll_lt=5.0), CPU, [void])
    table = present.tables(experiment.load("c10k"), [void])[CPU]
    assert {text for _, entries in table.rows for text in entries} == {"void"}
    assert "VOID" in table.notes[0]
    rows = summary.to_tsv(experiment.load("c10k"), cells(poll=6.5, epoll_lt=5.0), [void])
    (row,) = [r for r in rows.splitlines() if r.startswith("poll") and "turns:" in r]
    assert "\tvoid\t" in row


def test_a_twin_within_its_interval_is_no_reason_for_doubt() -> None:
    assert not level(turns=arrangement(TURNS, twin=ratio(1.008))).arrangements[0].void(CPU)


def test_where_the_control_was_missed_intervals_are_wider_by_what_it_was_off() -> None:
    sound, missed = (
        level(turns=arrangement(TURNS, control=c)) for c in (ratio(1.03), ratio(1.08, 0.001))
    )
    one = claim("poll", "epoll_lt", "above", 1.27)
    assert claims.judge_one(one, [], [sound]).outcome == SUPPORTED
    assert claims.judge_one(one, [], [missed]).outcome == UNDECIDED
    (narrow,), (wide,) = (levels.over(x, "poll", "epoll_lt", CPU) for x in (sound, missed))
    assert wide.lo == pytest.approx(narrow.lo * 1.03 / 1.08)
    assert wide.hi == pytest.approx(narrow.hi * 1.08 / 1.03)


def both(together: float, turns: float, **more: Any) -> LevelDuel:
    return level(
        together=arrangement({"poll": ratio(together)}, **more),
        turns=arrangement({"poll": ratio(turns, 0.03)}),
    )


def test_of_two_arrangements_that_agree_the_finer_one_speaks() -> None:
    (found,) = levels.over(both(1.30, 1.29), "poll", "epoll_lt", CPU)
    assert found.arrangement == "together"


def test_two_arrangements_that_do_not_agree_must_both_support_a_claim() -> None:
    met = both(1.5, 1.1)
    assert claims.judge_one(claim("poll", "epoll_lt", "above"), [], [met]).outcome == SUPPORTED
    found = claims.judge_one(claim("poll", "epoll_lt", "above", 1.3), [], [met])
    assert found.outcome == UNDECIDED and "how the CPU is shared" in found.detail


def test_together_at_another_load_than_the_cells_speaks_only_where_it_is_asked() -> None:
    met = both(1.9, 0.97, offered_rps=40000.0)
    one = claim("poll", "epoll_lt", "above", 1.2)
    assert claims.judge_one(one, [], [met]).outcome == REFUTED
    asked = claim("poll", "epoll_lt", "above", 1.2, how="together")
    assert claims.judge_one(asked, [], [met]).outcome == SUPPORTED
    (at_level,) = ratios.of_run(experiment.load("c10k"), cells(poll=5.0, epoll_lt=5.0), CPU, [met])
    assert at_level.estimate == pytest.approx(0.97)


def test_a_claim_on_an_arrangement_that_was_not_measured_is_not_decided_by_cells() -> None:
    one = claim("poll", "epoll_lt", "above", 1.2, how="together")
    groups = cells(poll=9.0, epoll_lt=5.0)
    assert claims.judge_one(one, groups).outcome == UNDECIDED
    assert claims.judge_one(one, groups, [level(turns=arrangement(TURNS))]).outcome == UNDECIDED


def test_rates_that_the_client_set_support_no_likeness() -> None:
    alike = arrangement({"poll": ratio(1.0)}, metric=RATE)
    one = claim("poll", "epoll_lt", "within", 1.1, metric=RATE)
    assert claims.judge_one(one, [], [level(turns=alike)]).outcome == SUPPORTED
    hidden = level(turns={**alike, "client_set_rate": True})
    assert claims.judge_one(one, [], [hidden]).outcome == UNDECIDED


def test_an_inverse_metric_has_the_ratio_turned_round() -> None:
    (found,) = levels.over(
        level(turns=arrangement(TURNS)), "poll", "epoll_lt", "requests_per_cpu_second"
    )
    assert found.estimate == pytest.approx(1 / 1.3) and found.lo < 1 / 1.3 < found.hi


def test_the_findings_rest_on_ratios_where_there_are_any() -> None:
    one = experiment.load("c10k")
    groups = cells(poll=5.0, epoll_lt=5.0, io_uring=5.0)
    (before,) = findings.of_run(one, groups, [CPU]).findings
    assert not before.more and not before.less
    (after,) = findings.of_run(one, groups, [CPU], [level(turns=arrangement(TURNS))]).findings
    assert [d.model for d in after.more] == ["poll"] and [d.model for d in after.less] == [
        "io_uring"
    ]


def test_summary_has_a_row_for_each_ratio() -> None:
    text = summary.to_tsv(
        experiment.load("c10k"), cells(poll=5.0, epoll_lt=5.0), [level(turns=arrangement(TURNS))]
    )
    header, *lines = [line.split("\t") for line in text.splitlines()]
    (row,) = [dict(zip(header, x)) for x in lines if x[0] == "io_uring"]
    assert (row["metric"], row["unit"], row["n"]) == (f"turns:{CPU}", "ratio", "8")
    assert (row["connections"], row["estimate"], row["status"]) == ("100", "0.94", "ok")
    assert all(len(line) == len(header) for line in lines)


def test_the_note_has_twin_control_and_resolution_and_who_was_left_out() -> None:
    met = level(left_out={"blocking": "serves one"}, turns=arrangement(TURNS))
    table = present.tables(experiment.load("c10k"), [met])[CPU]
    assert table.heading == "server CPU per request against epoll_lt"
    assert dict(table.rows)["poll"] == ["+30.0 ± 1.3 %"]
    assert table.notes == [
        "100 in turns: twin +0.0 ± 1.0 %, control of 3.0 % found as +3.0 ± 1.0 %, resolution ± 1.0 %",
    ]
    assert present.left_out([met]) == ["blocking was not compared at 100: unsupported: serves one"]


def test_the_note_of_a_rate_has_the_control_too_and_what_it_costs() -> None:
    rate = "throughput_rps"
    met = level(turns=arrangement({"poll": ratio(0.9)}, control=ratio(0.98), metric=rate))
    assert present.tables(experiment.load("c10k"), [met])[rate].notes == [
        "100 in turns: twin +0.0 ± 1.0 %, control (a cost of 3.0 % more) -2.0 ± 1.0 %,"
        " resolution ± 1.0 %",
    ]


def test_a_table_without_ratios_says_so_where_others_have_them() -> None:
    found = present.tables(experiment.load("c10k"), [level(turns=arrangement(TURNS))])
    assert "single runs only" in present.apart(found, "user_bytes_per_connection")
    assert present.apart(found, CPU) == "" and present.apart({}, CPU) == ""


def test_an_inverse_metric_has_a_table_of_its_own_with_everything_turned_round() -> None:
    found = present.tables(experiment.load("c10k"), [level(turns=arrangement(TURNS))])
    table = found["requests_per_cpu_second"]
    assert table.heading == "requests per second of server CPU against epoll_lt"
    assert dict(table.rows)["poll"] == ["-23.1 ± 0.8 %"]
    assert table.notes == [
        "100 in turns: twin +0.0 ± 1.0 %, control of -2.9 % found as -2.9 ± 1.0 %, resolution ± 1.0 %",
    ]
