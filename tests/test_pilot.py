# SPDX-License-Identifier: MIT
"""What a pair is taken to sustain together, from made-up slices."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.design.pieces import Slice
from harness.measure import pilot
from harness.measure.placement import Placement
from harness.measure.staging import Stage

SERVER_NS = CLIENT_NS = 10_000.0  # of a request
ALONE_RPS = 100_000


def a_slice(name: str) -> Slice:
    """A second in which one of the two was alone."""
    unknown: dict[str, Any] = {field: None for field in Slice.__dataclass_fields__}
    known = {
        "name": name,
        "from_ns": 0.0,
        "to_ns": 1e9,
        "replies": ALONE_RPS,
        "client_cpu_ns": CLIENT_NS * ALONE_RPS,
    }
    return Slice(**{**unknown, **known})


@pytest.mark.parametrize(
    "placement",
    [Placement("split", (0,), (1,)), Placement("shared", (0, 1), (0, 1))],
    ids=lambda p: str(p.name),
)
def test_a_pair_sustains_no_more_than_both_servers_and_both_clients_have_cpus_for(
    placement: Placement,
) -> None:
    record = SimpleNamespace(reference=SimpleNamespace(name="reference"))
    stage = cast(Stage, SimpleNamespace(record=record, bench=SimpleNamespace(placement=placement)))
    slices = {name: [a_slice(name)] for name in ("reference", "other")}
    costs: dict[str, float | None] = {name: SERVER_NS for name in slices}
    # Two CPUs, and 40 µs of them for a request of each of the two.
    assert pilot._shared_capacity(stage, slices, costs, "other") == pytest.approx(50_000)
