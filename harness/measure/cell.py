# SPDX-License-Identifier: MIT
"""Measure one cell: a fresh server, a load generator, samples of the server's cost, one record.

What happens when (events are lines of the load generator):

    server ready    memory before any client
    connected       all connections are up; warm-up begins. Memory once more shortly before its end:
                    every connection has been served by then, and the window is left undisturbed
    warming         twice, at a fifth and at four fifths of the warm-up: system calls in between
    measure         the window begins: server CPU time; a planned freeze is counted from here
    done            the window is over: server CPU time again. (The load generator reads it, too,
                    at the same moment as its replies. Where it could, its reading counts, and
                    this one only says how user and system time share it.)
    client's exit   SIGTERM to the server: its counters and its rusage

Nothing else runs in this process meanwhile: it sleeps in poll(2).
"""
from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import shape
from harness.errors import HostFault, why
from harness.measure import (
    accounts,
    callnames,
    client,
    files,
    host,
    interrupt,
    probe,
    syscalls,
    way,
)
from harness.measure import derive as m
from harness.design.load import Load
from harness.measure.meter import Meter, Sources, cpu_between, has_children, kernel_bytes, tree_pss
from harness.paths import from_root
from harness.measure.placement import Placement, cpu_list
from harness.design.plan import Setting, descriptor_limit
from harness.design.reach import client_workers
from harness.measure import process
from harness.measure.process import (
    EXIT_CANNOT_RUN_HERE,
    CannotRunHere,
    Child,
    Exit,
    ProcessError,
    Server,
)

# When memory is sampled, as a fraction of the warm-up.
MEMORY_AT = 0.7
# When a planned freeze begins, as a fraction of the window.
FREEZE_AT = 0.25
# How long replies are waited for after the window. Past capacity an open loop has requests that
# will not be answered however long one waits; a closed loop has at most one per connection.
OPEN_DRAIN_S = 0.25
CLOSED_DRAIN_S = 2.0
# How much longer than planned a warm-up may be, for its passes.
PASSES_MOST_S = 5.0
# Into how many intervals the window is cut, for the test whether the rate had settled.
INTERVALS = 10
LEAST_INTERVAL_S = 0.01

# What a saturated open loop looks like to the load generator: requests are due that no connection
# is free for, the answered ones do not speak for the others, and after a while only overdue
# requests are sent, so that perhaps none of the window was answered.
SATURATED = frozenset({"schedule", "unanswered"})
SATURATION = SATURATED | {"littles-law", "too-few"}

_EXITS = {0: "ok", 3: "suspect", 4: "void"}


@dataclass(frozen=True)
class Bench:
    """What all cells of a run share."""

    commands: Mapping[str, Callable[[Load], list[str]]]  # by model: the server's argv for a load
    loadgen: Path
    placements: Mapping[str, Placement]  # by Load.placement, "" being the default
    sources: Sources
    seed: int
    prime: bool  # the load generator can wait until the server has answered on every connection
    tracepoint: int | None = None  # to count system calls by, where this machine lets us
    edges: bool = False  # it reads the server's CPU time itself, at both ends of the window
    # To tell system calls by name, where the experiment wants it and this machine lets us.
    points: callnames.Points | None = None
    # From the load generator's report: whether the rate had not settled when the window began.
    unsettled: Callable[[Mapping[str, Any]], bool] | None = None


@dataclass
class Outcome:
    """What a cell came to; the store's record is made from it."""

    status: str
    reason: str = ""
    badges: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)


def measure(setting: Setting, bench: Bench, cell_seed: int, scratch: Path) -> Outcome:
    """Run one cell. scratch: path prefix for the client's files; <scratch>.hgrm is left there.

    Whatever goes wrong with the server is the outcome, not an exception. What the machine lacked is
    a HostFault: it says nothing about the model. KeyboardInterrupt passes through. Every process
    has ended in each case.
    """
    began = time.monotonic()
    try:
        if setting.load.probe and probe.is_program(setting.load.probe):
            cpus = bench.placements[setting.load.placement].server
            found = probe.run(setting.model, setting.load.probe, cpus)
            timing = {"cell_s": round(time.monotonic() - began, 4)}
            return Outcome("ok", badges=setting.badges, metrics=found, timing=timing)
        meter = Meter(bench.sources)
        try:
            outcome = _measure(setting, bench, cell_seed, scratch, meter)
        finally:
            meter.close()
            way_path(scratch).unlink(missing_ok=True)
    except CannotRunHere as error:
        outcome = Outcome("unsupported", str(error))
    except ProcessError as error:
        if error.host_fault:
            raise HostFault(str(error)) from None
        outcome = Outcome("failed", str(error))
    except OSError as error:
        raise HostFault(why(error)) from None
    outcome.badges = setting.badges + outcome.badges
    outcome.timing["cell_s"] = round(time.monotonic() - began, 4)
    return outcome


def server_command(argv: Sequence[str]) -> Callable[[Load], list[str]]:
    """How a model is started for a load; the port is always the kernel's choice. argv: how it is
    called, without options."""
    return lambda load: [*argv, "-p", "0", "-P", load.protocol, *load.server_words]


def warmup_most(setting: Setting) -> float:
    """How long the warm-up may be, in seconds, if the passes take long."""
    return setting.warmup + (PASSES_MOST_S if setting.warmup_passes else 0.0)


def warmed_up(setting: Setting, client: Mapping[str, Any]) -> float:
    """How long the warm-up was, in seconds, from the load generator's report."""
    told = client.get("warmup")
    found = m.number(told.get("seconds")) if isinstance(told, Mapping) else None
    return setting.warmup if found is None else found


def client_argv(
    loadgen: Path, setting: Setting, port: int, cpus: tuple[int, ...], seed: int, scratch: Path
) -> list[str]:
    """The load generator's command line for a cell; one worker per client CPU, at most one per
    active connection; more where the descriptors of so many are too few. Several on a CPU must not
    spin until a request is due: each would keep the others from theirs."""
    load = setting.load
    needed = client_workers(load.all_connections, descriptor_limit())
    workers = max(1, min(max(len(cpus), needed), load.connections))
    if load.stamps == "way":
        workers = 1
    argv = [str(loadgen), "-q", "-c", str(load.connections), "-t", str(workers)]
    argv += ["-d", f"{setting.seconds:g}s", "--warmup", f"{setting.warmup:g}s"]
    if setting.warmup_passes:
        argv += ["--warmup-passes", str(setting.warmup_passes)]
        argv += ["--warmup-most", f"{warmup_most(setting):g}s"]
    argv += ["--interval", f"{max(LEAST_INTERVAL_S, setting.seconds / INTERVALS):g}s"]
    argv += ["--seed", str(seed), "--cpus", cpu_list(cpus)]
    if load.loop == "open":
        argv += ["-R", f"{load.offered_rps:.12g}", "--arrival", load.arrival]
        if workers > len(cpus):
            argv += ["--pace", "sleep"]
        drain = max(OPEN_DRAIN_S, load.freeze_ms / 1000)
    else:
        drain = CLOSED_DRAIN_S
    argv += ["--drain", f"{drain:g}s"]
    argv += client.options(load, requests_path(scratch))
    if load.stamps == "way":
        argv += ["--way", str(way_path(scratch))]
    argv += ["--json", f"{scratch}.client.tmp", "--hgrm", f"{scratch}.hgrm"]
    argv.append(load.url(port))
    return argv


def way_path(scratch: Path) -> Path:
    """Where the client leaves the times of each request, if the load asks for them."""
    return Path(f"{scratch}.way.tmp")


def requests_path(scratch: Path) -> Path:
    """Where the client finds the mix of a load, while it runs."""
    return Path(f"{scratch}.requests.tmp")


def _grouped(meter: Meter) -> bool:
    cpu = meter.sources.cpu
    return cpu is not None and cpu.version == 2


def server_clock(meter: Meter, server: Server) -> str:
    """Where the load generator reads the server's CPU time. A control group has that of children,
    too, and nobody knows beforehand which model will have some; without one it is the process's own
    clock, which is of no use if there were children (see edge_cpu)."""
    if _grouped(meter):
        return f"cgroup:{meter.group}"
    return f"{'pid' if server.server_pid == server.pid else 'tree'}:{meter.pid}"


def verdict(exit_status: int, client: Mapping[str, Any], open_loop: bool) -> tuple[str, str]:
    """(status, reason) of a cell from the load generator's exit status and verdict.

    A client that finds itself limited is a status of its own. Past a server's capacity an open loop
    has requests that are never sent or answered; the percentiles count them as infinite, so this is
    a result and not a doubt (the cell's badge "saturated" says so).
    """
    said = client.get("verdict") or {}
    reasons = said.get("reasons") or []
    codes = {str(reason.get("code")) for reason in reasons}
    text = "; ".join(f"{reason.get('code')}: {reason.get('text')}" for reason in reasons)
    status = _EXITS.get(exit_status, "failed")
    if status in ("suspect", "void") and open_loop and codes & SATURATED:
        grave = {str(r.get("code")) for r in reasons if r.get("status") == "void"} - SATURATION
        codes -= SATURATION
        status = "void" if grave else "suspect" if codes else "ok"
    if status == "suspect" and codes == {"client-limited"}:
        status = "client-limited"
    return status, text


def _measure(
    setting: Setting, bench: Bench, cell_seed: int, scratch: Path, meter: Meter
) -> Outcome:
    cpus = bench.placements[setting.load.placement].client
    with files.made(setting.load, Path(f"{scratch}.files.tmp"), cpus) as options:
        return _measure_with(options, setting, bench, cell_seed, scratch, meter)


def _measure_with(
    options: Sequence[str],
    setting: Setting,
    bench: Bench,
    cell_seed: int,
    scratch: Path,
    meter: Meter,
) -> Outcome:
    """options: further ones of the server, for this cell alone."""
    load = setting.load
    placement = bench.placements[load.placement]
    argv = [*bench.commands[setting.model](load), *options]
    with Server(argv, placement.server, meter.join) as server:
        if server.attached:  # what ran before could not be put into a control group of ours
            meter = Meter(Sources(None, None))
        meter.pid = 0 if server.unseen else server.server_pid
        watch = _Watch(setting, meter, server, bench.tracepoint, bench.points)
        events_in, events_out = os.pipe()
        try:
            command = client_argv(
                bench.loadgen, setting, server.port, placement.client, cell_seed, scratch
            )
            # Where connections take turns, not all of them are answered before others have ended.
            prime = ["--prime"] if bench.prime and not load.takes_turns else []
            command[1:1] = ["--events-fd", str(events_out), *prime]
            if bench.edges and not server.unseen:
                command[1:1] = ["--server-cpu", server_clock(meter, server)]
            if server.url:
                command[-1] = server.url
            with (
                client.asked_for(load, requests_path(scratch)),
                Child(command, placement.client, pass_fds=(events_out,)) as child,
            ):
                os.close(events_out)
                events_out = -1
                watch.run(child, events_in)
                client_exit = child.wait(0)
                complaint = child.stderr_tail()
        finally:
            watch.close()
            os.close(events_in)
            if events_out >= 0:
                os.close(events_out)
        report = _read_client(Path(f"{scratch}.client.tmp"))
        outcome = _judge(watch, client_exit, report, complaint, setting)
        outcome.timing.update(watch.timing())
        outcome.server.update(
            watch.server_record(report),
            argv=[from_root(word) for word in server.argv],
            cpus=list(placement.server),
        )
        outcome.client = report
        outcome.machine = watch.machine_record()
        # A server whose death the client has just noticed may not have ended quite yet.
        died = server.wait(0.2 if outcome.status in ("failed", "void") else 0)
        try:
            counters = server.stop()
        except ProcessError as error:
            if error.host_fault:
                raise
            outcome.status = "failed"
            outcome.reason = f"server died during the run: {error}" if died else str(error)
            return outcome
        outcome.server["counters"] = counters
        if server.left_behind:
            outcome.badges += ("left processes behind",)
    if server.exit is not None:
        outcome.server["rusage_whole_life"] = {
            "user_s": server.exit.user_s,
            "system_s": server.exit.system_s,
            "context_switches": server.exit.context_switches,
        }
        if outcome.status != "failed":
            outcome.metrics = watch.metrics(report)
            outcome.server["syscalls"].update(watch.by_name(outcome.metrics))
            outcome.metrics.update(watch.probed())
            outcome.metrics.update(m.counter_metrics(counters, server.exit.context_switches))
            outcome.metrics.update(m.worker_metrics(counters))
            outcome.metrics.update(watch.way.metrics(report, way_path(scratch)))
            outcome.server.update(watch.way.record())
    if load.loop == "open" and _falls_short(outcome.metrics.get("throughput_rps"), load):
        outcome.badges += ("saturated",)
    return outcome


def _falls_short(achieved: float | None, load: Load) -> bool:
    """Whether goodput is below 97 % of the offered load; Poisson counts vary, so allow 3 sigma."""
    return achieved is not None and achieved < 0.97 * load.offered_rps * (
        1 - 3 / max(9.0, load.offered_rps) ** 0.5
    )


def _read_client(path: Path) -> dict[str, Any]:
    """The load generator's report, {} where there is none. The file is removed."""
    try:
        document = shape.read(path)
    except (FileNotFoundError, ValueError):
        return {}
    finally:
        path.unlink(missing_ok=True)
    if not isinstance(document, dict):
        return {}
    config = document.get("config")
    if isinstance(config, dict):
        document["config"] = {
            option: from_root(value) if isinstance(value, str) else value
            for option, value in config.items()
        }
    return document


def _judge(
    watch: "_Watch",
    client_exit: Exit | None,
    report: Mapping[str, Any],
    complaint: str,
    setting: Setting,
) -> Outcome:
    """What the client's end and report make of the cell. Raises ProcessError where it is the
    machine's fault that there is none."""
    if watch.overdue or client_exit is None:
        return Outcome("failed", f"client did not end within {watch.allowed_s:.0f} s")
    if client_exit.status == EXIT_CANNOT_RUN_HERE:
        return Outcome("unsupported", f"load generator: {complaint}")
    if client_exit.status not in _EXITS:
        text = f"load generator: {client_exit.words(complaint)}"
        if client_exit.is_host_fault(complaint):
            raise ProcessError(text, host_fault=True)
        return Outcome("failed", text)
    if not report:
        # It ended well, so it wrote one: what became of it is not the server's doing.
        text = f"load generator: its report was lost: {complaint or 'no message'}"
        raise ProcessError(text, host_fault=True)
    wrong = accounts.contradiction(report, setting.seconds)
    if wrong:
        return Outcome("failed", f"load generator: {wrong}")
    return Outcome(*verdict(client_exit.status, report, setting.load.loop == "open"))


class _Watch:
    """The time line of one cell: reacts to the client's events and to its own alarms."""

    def __init__(
        self,
        setting: Setting,
        meter: Meter,
        server: Server,
        tracepoint: int | None,
        points: callnames.Points | None = None,
    ) -> None:
        self._setting = setting
        self._points = points
        self._recorder: callnames.Recorder | None = None
        self._events: callnames.Events | None = None
        self._tracepoint = tracepoint
        self._syscalls: syscalls.Counter | None = None
        self._syscalls_source: str | None = None
        self._calls: list[m.CallSample] = []
        self._meter = meter
        self._server = server
        self._at: dict[str, float] = {}
        self._cpu: dict[str, m.CpuUse | None] = {}
        self._children = False
        self._alarms: list[tuple[float, Callable[[], None]]] = []
        self._frozen: list[float] = []
        self._sampling_s = 0.0
        self._machine_before = host.counters()
        self._user_before = meter.user_bytes()
        self._kernel_before = kernel_bytes()
        self._user_after: float | None = None
        self._kernel_after: float | None = None
        self._looked: dict[str, float] = {}
        self._client_pid = 0
        self._client_bytes: float | None = None
        self._began = 0.0
        load = setting.load
        self.allowed_s = (
            15
            + load.all_connections * 2e-3
            + warmup_most(setting)
            + setting.seconds
            + 2 * load.timeout_s
            + load.freeze_ms / 1000
        )
        self.overdue = False
        self.way = _Way(load.stamps == "way", server)

    def run(self, client: Child, events: int) -> None:
        """Until the client has ended; it is told to stop when it takes far too long."""
        self._began = time.monotonic()
        self._client_pid = client.pid
        deadline = self._began + self.allowed_s
        poller = select.poll()
        poller.register(events, select.POLLIN)
        poller.register(client.pidfd, select.POLLIN)
        text = b""
        while client.wait(0) is None:
            interrupt.check()
            now = time.monotonic()
            if now >= deadline:
                self.overdue = True
                client.signal(signal.SIGINT)
                client.wait(3.0)
                return
            until = min([deadline, *(when for when, _ in self._alarms)])
            for fd, _ in poller.poll(max(0.0, 1000 * (until - now))):
                if fd == events:
                    chunk = os.read(events, 4096)
                    if not chunk:
                        poller.unregister(events)
                    text += chunk
                    *lines, text = text.split(b"\n")
                    for line in lines:
                        self._event(line.decode(errors="replace").split())
            self._ring()
        if self._frozen and len(self._frozen) == 1:
            self._server.signal(signal.SIGCONT)

    def _event(self, words: list[str]) -> None:
        now = time.monotonic()
        if not words:
            return
        self._at[words[0]] = now
        if words[0] == "connected":
            self._alarms.append((now + MEMORY_AT * self._setting.warmup, self._sample_memory))
            self._count_syscalls()
            self.way.start()
        elif words[0] == "warming" and self._syscalls is not None:
            read_ns = time.monotonic_ns()
            calls = self._syscalls.read()
            self._calls.append(m.CallSample(calls, read_ns, int(words[1]), int(words[2])))
            if len(self._calls) == 2:
                self._syscalls.end()
                if self._recorder is not None:
                    self._recorder.pause()
            elif self._recorder is not None:
                self._recorder.start()
        elif words[0] in ("measure", "done"):
            self._cpu[words[0]] = self._meter.cpu()
            # The processes of a guest are all read, whoever is whose child.
            ours = self._server.server_pid == self._server.pid
            if words[0] == "done" and ours and not _grouped(self._meter):
                self._children = has_children(self._meter.pid)
            if words[0] == "done":
                self.way.pause()
            self._sampling_s = max(self._sampling_s, time.monotonic() - now)
            if words[0] == "measure" and self._setting.load.freeze_ms > 0:
                self._alarms.append((now + FREEZE_AT * self._setting.seconds, self._freeze))

    def _ring(self) -> None:
        now = time.monotonic()
        due = [alarm for alarm in self._alarms if alarm[0] <= now]
        self._alarms = [alarm for alarm in self._alarms if alarm[0] > now]
        for _, action in due:
            action()

    def _count_syscalls(self) -> None:
        if self._tracepoint is None or self._server.unseen:
            return
        with contextlib.suppress(OSError, syscalls.Unavailable):  # then the metric is absent
            self._syscalls = syscalls.Counter.of(
                self._tracepoint, self._meter.group, self._server.server_pid
            )
            self._syscalls_source = self._syscalls.source
        if self._points is not None and self._meter.group is not None:
            with contextlib.suppress(OSError):  # then they have no names
                self._recorder = callnames.Recorder(self._points, self._meter.group)

    def close(self) -> None:
        """Release what is left of the samples' sources; what was recorded is read before."""
        self.way.close()
        if self._recorder is not None:
            if len(self._calls) == 2:
                self._events = self._recorder.read()
            self._recorder.close()
        if self._syscalls is not None:
            self._syscalls.close()

    def _sample_memory(self) -> None:
        if "measure" not in self._at:
            if self._setting.load.probe and not self._server.unseen:
                self._looked = probe.look(self._setting.load.probe, self._server.server_pid)
            self._kernel_after = kernel_bytes()
            self._user_after = self._meter.user_bytes()
            if self._setting.load.all_connections >= m.MIN_CONNECTIONS_FOR_MEMORY:
                self._client_bytes = tree_pss(self._client_pid)

    def _freeze(self) -> None:
        self._server.signal(signal.SIGSTOP)
        self._frozen = [time.monotonic()]
        self._alarms.append((self._frozen[0] + self._setting.load.freeze_ms / 1000, self._thaw))

    def _thaw(self) -> None:
        self._server.signal(signal.SIGCONT)
        self._frozen.append(time.monotonic())

    def _window_s(self, report: Mapping[str, Any], edges: bool) -> float | None:
        """Between the two readings of the server's CPU time."""
        if edges:
            wall_ns = m.number((report.get("server") or {}).get("wall_ns"))
            return wall_ns / 1e9 if wall_ns else None
        if not {"measure", "done"} <= self._at.keys():
            return None
        return self._at["done"] - self._at["measure"]

    @property
    def _frozen_s(self) -> float:
        return self._frozen[1] - self._frozen[0] if len(self._frozen) == 2 else 0.0

    def _grown(self, before: float | None, after: float | None) -> float | None:
        return None if before is None or after is None else after - before

    def metrics(self, report: Mapping[str, Any]) -> dict[str, float]:
        """Everything that can be said about the window."""
        out = m.client_metrics(report)
        requests = report.get("requests") or {}
        replies = m.number(requests.get("completed")) or 0.0
        load = self._setting.load
        memory = m.MemoryUse(
            self._grown(self._user_before, self._user_after),
            self._grown(self._kernel_before, self._kernel_after),
            self._client_bytes,
        )
        if "connected" in self._at:
            out["open_s"] = self._at["connected"] - self._began
        cpu = cpu_between(self._cpu.get("measure"), self._cpu.get("done"))
        edges = m.edge_cpu(report, cpu, self._children)
        if edges is not None:
            cpu, replies = edges
        out.update(m.cost_metrics(int(replies), load.all_connections, cpu, memory))
        out.update(m.cpu_fraction(cpu, self._window_s(report, edges is not None)))
        if len(self._calls) == 2:
            out.update(m.syscall_metrics(self._calls[0], self._calls[1], load.connections))
            if self._events is not None and not self._events.full:
                told = (self._events.switches, self._events.sleeps)
                out.update(m.switch_metrics(self._calls[0], self._calls[1], *told))
        if load.freeze_ms > 0 and self._frozen_s > 0:
            out.update(m.frozen_percentiles(out, self._frozen_s, self._setting.seconds))
        return out

    def server_record(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """The samples behind the metrics, with their sources."""
        cpu = cpu_between(self._cpu.get("measure"), self._cpu.get("done"))
        edges = m.edge_cpu(report, cpu, self._children)
        used, replies = edges if edges is not None else (cpu, None)
        clock = edges is not None and not _grouped(self._meter)
        return {
            "cpu": {
                "source": "process clock" if clock else self._meter.sources.cpu_name,
                # Whose reading the cost of a request is made of.
                "read_by": "load generator" if edges is not None else "harness",
                "replies": replies,
                "total_s": used.total if used else None,
                "user_s": used.user if used else None,
                "system_s": used.system if used else None,
                "longest_sampling_s": round(self._sampling_s, 6),
            },
            "memory": {
                "source": self._meter.sources.memory_name,
                "user_before_bytes": self._user_before,
                "user_after_bytes": self._user_after,
                "kernel_source": "/proc/meminfo: Slab + KernelStack + PageTables, whole machine",
                "kernel_before_bytes": self._kernel_before,
                "kernel_after_bytes": self._kernel_after,
                "client_bytes": self._client_bytes,
            },
            "syscalls": {"source": self._syscalls_source},
        }

    def by_name(self, metrics: Mapping[str, float]) -> dict[str, Any]:
        """The system calls of the warm-up, each by its name: how many were recorded, and what that
        comes to per request. Nothing where none were recorded."""
        if self._events is None:
            return {}
        calls = self._events.calls
        return {
            "recorded": dict(calls),
            "recording_full": self._events.full,
            "by_name": m.calls_by_name(metrics.get("syscalls_per_request"), calls),
        }

    def probed(self) -> dict[str, float]:
        """What the probe of this cell saw of the server, if it has one."""
        if not self._setting.load.probe:
            return {}
        called = self._events.calls if self._events is not None else {}
        return {**self._looked, **probe.calls(self._setting.load.probe, called)}

    def machine_record(self) -> dict[str, Any]:
        """What happened on the whole machine meanwhile, by whomever: it may have disturbed."""
        return {
            "scope": "the whole machine, from the server's start to the client's end",
            **host.grown(self._machine_before, host.counters()),
        }

    def timing(self) -> dict[str, Any]:
        start = self._at.get("connected")
        out = {k: round(v - start, 6) for k, v in self._at.items() if start and k != "connected"}
        if self._frozen_s:
            out["frozen_s"] = round(self._frozen_s, 6)
        return out


class _Way:
    """The way of the requests of one cell, if it is wanted (harness.measure.way)."""

    def __init__(self, wanted: bool, server: Server) -> None:
        self._wanted = wanted
        self._server = server
        self._recorder: way.Recorder | None = None
        self._pids: set[int] = set()
        self._on_cpu: way.OnCpu | None = None
        self._why = ""  # it is not known

    def start(self) -> None:
        if not self._wanted:
            return
        if self._server.unseen:
            self._why = "the server's processes cannot be seen"
            return
        try:
            self._recorder = way.Recorder()
        except way.Unknown as error:
            self._why = str(error)
            return
        self._pids.update(process.tree(self._server.server_pid))
        self._recorder.start()

    def pause(self) -> None:
        if self._recorder is not None:
            self._recorder.pause()
            self._pids.update(process.tree(self._server.server_pid))

    def close(self) -> None:
        if self._recorder is None:
            return
        try:
            self._on_cpu = self._recorder.of(self._pids)
        except way.Unknown as error:
            self._why = str(error)
        finally:
            self._recorder.close()
            self._recorder = None

    def metrics(self, report: Mapping[str, Any], path: Path) -> dict[str, float]:
        """Nothing where the way is not known: record() says why."""
        if self._on_cpu is None:
            return {}
        try:
            return way.metrics(way.read(path), self._on_cpu, report)
        except way.Unknown as error:
            self._why = str(error)
            return {}

    def record(self) -> dict[str, Any]:
        return {"way": {"unknown": self._why}} if self._wanted else {}
