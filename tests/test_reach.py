# SPDX-License-Identifier: MIT
"""How many connections a machine can have open, what stops more, and what a run makes of that."""
from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.design import experiment, plan, reach
from harness.design.load import Load
from harness.design.model import Model
from harness.design.reach import Machine
from harness.measure import cell
from harness.measure import models as catalogue
from harness.measure import reach as here
from harness.errors import UsageError
from harness_fakes import EXPERIMENT

GIB = 1 << 30
LAPTOP = Machine(
    descriptors=4096,
    nr_open=524_288,
    files=(12_000, 1_600_000),
    ports=(32_768, 60_999),
    memory_bytes=6 * GIB,
    memory_of="the machine",
    processes=30_000,
    conntrack=(900, 262_144),
    epoll_watches=3_500_000,
)
TWO_CORES = Machine(
    descriptors=20_000,
    nr_open=1_048_576,
    files=(800, 2_465_610),
    ports=(32_768, 60_999),
    memory_bytes=22 * GIB,
    memory_of="the machine",
    processes=32_000,
    conntrack=None,
    epoll_watches=5_490_265,
)
SERVER = Machine(
    descriptors=1_048_576,
    nr_open=1_073_741_816,
    files=(5_000, 9_223_372_036_854_775_807),
    ports=(15_000, 60_999),
    memory_bytes=500 * GIB,
    memory_of="the machine",
    processes=4_000_000,
    conntrack=(0, 262_144),
    epoll_watches=200_000_000,
)


def what_stops(machine: Machine) -> list[str]:
    return [bound.found.split(" ")[0] for bound in reach.bounds(machine)]


def test_on_a_laptop_connection_tracking_stops_first_then_memory() -> None:
    found = reach.bounds(LAPTOP)
    assert found[0].connections == 262_144 - 900 and "nf_conntrack_max" in found[0].remedy
    assert found[1].connections == int(6 * GIB * 0.8) // reach.BYTES_PER_CONNECTION
    assert "memory" in found[1].found
    assert reach.one_process(LAPTOP).connections == 4096 - 64
    assert "524288" in reach.one_process(LAPTOP).remedy


def test_two_cores_with_20000_descriptors_reach_a_million_all_the_same() -> None:
    first = reach.bounds(TWO_CORES)[0]
    assert first.connections > 1_000_100
    assert "fs.file-max" in first.found
    assert reach.one_process(TWO_CORES).connections < 20_000


def test_what_a_large_server_lacks_first_is_source_addresses() -> None:
    first = reach.bounds(SERVER)[0]
    assert first.connections == 46_000 * 2 // 5 * 250
    assert "source addresses" in first.found


def test_bounds_come_tightest_first_and_each_has_a_value_and_a_remedy() -> None:
    for machine in (LAPTOP, TWO_CORES, SERVER):
        found = reach.bounds(machine)
        assert [b.connections for b in found] == sorted(b.connections for b in found)
        assert all(bound.remedy and any(c.isdigit() for c in bound.found) for bound in found)


def test_less_free_memory_is_fewer_connections_and_the_group_is_named() -> None:
    tight = replace(TWO_CORES, memory_bytes=GIB, memory_of="the control group")
    first = reach.bounds(tight)[0]
    assert first.connections == int(0.8 * GIB) // reach.BYTES_PER_CONNECTION
    assert "control group" in first.found


def test_a_kernel_that_does_not_say_bounds_nothing() -> None:
    silent = replace(TWO_CORES, files=None, ports=None, processes=None, epoll_watches=None)
    assert len(reach.bounds(silent)) == 2


def test_why_not_names_the_limit_and_its_remedy_beyond_it_only() -> None:
    known = reach.bounds(LAPTOP)
    assert reach.why_not(known[0].connections, known) == ""
    said = reach.why_not(known[0].connections + 1, known)
    assert known[0].found in said and known[0].remedy in said
    assert reach.why_not(10**9, []) == ""


def test_the_client_gets_as_many_workers_as_the_descriptors_ask_for() -> None:
    assert reach.client_workers(10_000, 20_000) == 1
    assert reach.client_workers(19_936, 20_000) == 1
    assert reach.client_workers(19_937, 20_000) == 2
    assert reach.client_workers(1_000_100, 20_000) == 51
    assert reach.client_most(20_000, active=100) == 100 * 19_936
    assert reach.client_most(20_000, active=1000) == 256 * 19_936


@pytest.mark.parametrize(("idle", "workers", "pace"), [(900, 1, False), (50_000, 3, True)])
def test_more_client_workers_than_cpus_do_not_spin(
    monkeypatch: pytest.MonkeyPatch, idle: int, workers: int, pace: bool
) -> None:
    monkeypatch.setattr(cell, "descriptor_limit", lambda: 20_000)
    load = Load(loop="open", offered_rps=1_000_000, connections=100, idle=idle)
    setting = plan.Setting("m", {}, load, 1.0, 1.0)
    argv = cell.client_argv(Path("loadgen"), setting, 80, (1,), 1, Path("/tmp/x"))
    assert argv[argv.index("-t") + 1] == str(workers)
    assert (argv[argv.index("--pace") + 1] == "sleep") if pace else "--pace" not in argv
    assert argv[argv.index("-R") + 1] == "1000000"


# --- what is planned ------------------------------------------------------------------------------


def pool(per_worker: int, options: tuple[str, ...] = ()) -> Model:
    limits = {"connections": 2 * per_worker, "reason": "r", "per_worker": per_worker}
    told: dict[str, Any] = {"limits": limits, "workers": 2}
    path = Path("pool")
    return Model(
        "pool", path, "", "", ("http",), 2 * per_worker, "r", "", describe=told, options=options
    )


def grown(model: Model, options: str) -> Model:
    """As it would describe itself with those options."""
    words = options.split()
    if "-w" not in words:
        return model
    return replace(model, max_connections=int(words[words.index("-w") + 1]) * model.per_worker)


def planned(idle: int, model: Model, as_needed: bool = True, **more: Any) -> plan.Setting:
    raw = tomllib.loads(EXPERIMENT)
    raw["load"] = {"connections": 100, "idle": idle, "processes_as_needed": as_needed}
    raw["factors"] = {"idle": {}}
    for profile in raw["profiles"].values():
        profile["levels"] = {"idle": [idle]}
        profile.pop("grid", None)
        profile.pop("at", None)
    raw["claims"], raw["summary"], raw["compare"] = [], [], {}
    one = experiment.parse(raw, "tiny.toml")
    (setting,) = plan.settings(one, one.profiles["quick"], [model], {}, started_with=grown, **more)
    return setting


def test_a_pool_gets_the_processes_that_its_connections_need_and_says_so() -> None:
    setting = planned(999_900, pool(19_275), max_descriptors=20_000)
    assert setting.load.server == "-w 52" and setting.unsupported == ""
    assert setting.badges == ("started with -w 52",)
    few = planned(9_900, pool(19_275), max_descriptors=20_000)
    assert few.load.server == "" and few.badges == ()


def test_a_model_that_more_processes_do_not_help_stays_unsupported() -> None:
    one = Model("m", Path("m"), "", "", ("http",), 19_984, "the descriptor limit")
    setting = planned(99_900, one, max_descriptors=20_000)
    assert "the descriptor limit" in setting.unsupported
    own = pool(19_275, options=("-w", "2"))
    assert "serves at most" in planned(99_900, own, max_descriptors=20_000).unsupported


def test_without_being_asked_to_nobody_gets_more_processes() -> None:
    setting = planned(99_900, pool(19_275), as_needed=False, max_descriptors=20_000)
    assert setting.load.server == "" and setting.unsupported


def test_what_this_machine_cannot_hold_is_unsupported_with_the_reason_and_the_remedy() -> None:
    known = reach.bounds(replace(TWO_CORES, memory_bytes=4 * GIB))
    setting = planned(999_900, pool(19_275), max_descriptors=20_000, bounds=known)
    assert "4.0 GiB of memory free" in setting.unsupported
    assert "this machine goes to about" in setting.unsupported
    assert planned(99_900, pool(19_275), max_descriptors=20_000, bounds=known).unsupported == ""


def test_the_client_too_may_lack_descriptors() -> None:
    setting = planned(999_900, pool(19_275), max_descriptors=1024)
    assert "client's 100 processes" in setting.unsupported


def test_a_model_and_level_left_out_is_not_planned() -> None:
    profile = experiment.load("c1m").profiles["default"]
    assert profile.leaves_out({"idle": 1_000_000, "model": "prefork_reuseport -w 52"})
    assert not profile.leaves_out({"idle": 1_000_000, "model": "prefork_reuseport"})
    assert not profile.leaves_out({"idle": 100_000, "model": "prefork_reuseport -w 52"})


# --- what this machine says -----------------------------------------------------------------------


def test_a_control_group_that_has_less_memory_than_the_machine_is_the_bound(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    for name, text in {
        "self/cgroup": "0::/a/b\n",
        "sys/fs/file-nr": "800\t0\t2465610\n",
        "sys/fs/nr_open": "1048576\n",
        "sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
        "sys/kernel/pid_max": "32768\n",
        "sys/kernel/threads-max": "192686\n",
    }.items():
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / name).write_text(text, encoding="ascii")
    (groups / "a/b").mkdir(parents=True)
    (groups / "a/memory.max").write_text("3000000\n", encoding="ascii")
    (groups / "a/memory.current").write_text("1000000\n", encoding="ascii")
    (groups / "a/b/memory.max").write_text("max\n", encoding="ascii")
    (groups / "a/b/memory.current").write_text("1000\n", encoding="ascii")
    found = here.machine(proc, groups)
    assert (found.memory_bytes, found.memory_of) == (2_000_000, "the control group")
    assert found.files == (800, 2_465_610) and found.ports == (32_768, 60_999)
    assert found.processes == 32_768 and found.conntrack is None


def test_this_machine_can_be_asked() -> None:
    found = here.machine()
    assert found.descriptors > 0 and found.memory_bytes > 0
    assert reach.bounds(found)


def test_a_glob_stands_for_every_guest_and_one_that_fits_none_is_refused() -> None:
    chosen = catalogue._guests_of(["poll", "guest:*", "guest:go"])
    assert chosen[0] == "poll" and "guest:nginx" in chosen
    assert chosen.count("guest:go") == 1
    with pytest.raises(UsageError, match="stands for no guest"):
        catalogue._guests_of(["guest:zz*"])
