# SPDX-License-Identifier: MIT
"""Fresh servers for one piece of a duel: started, metered, stopped, whatever happens in between."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.design.duel import Entry
from harness.design.load import Load
from harness.measure import interrupt
from harness.measure.meter import Hierarchy, Meter, Sources, has_children
from harness.measure.process import ProcessError, Server, task_state
from harness.measure.targets import Target

# A server that nobody asks goes to sleep. One that has not within this time, and has used so much
# of it on a CPU, spins: it would take the CPU from every other server.
SILENCE_S = 0.25
SPINS_ABOVE = 0.05
_POLL_S = 0.005


class Fault(ProcessError):
    """A server did not do what was agreed; `name` says whose it was."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


@dataclass
class Running:
    """A server that runs, with its meter, and what it counted once it was stopped."""

    entry: Entry
    server: Server
    meter: Meter
    counters: dict[str, Any] = field(default_factory=dict)


class Field:
    """Servers of some entries, started in the order given. A context manager: all of them are gone
    at its end. Raises Fault where one cannot be started, ValueError where two share a name."""

    def __init__(
        self, entries: Sequence[Entry], protocol: str, cpus: Sequence[int], sources: Sources
    ) -> None:
        names = [entry.name for entry in entries]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"two entries are called {name}: the second would replace the first"
                )
        self._running: dict[str, Running] = {}
        try:
            for entry in entries:
                interrupt.check()
                self._running[entry.name] = _start(entry, protocol, cpus, sources.cpu)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def targets(self, order: Sequence[Entry]) -> list[Target]:
        """Where the load generator finds them, in the order given."""
        found = []
        for entry in order:
            running = self._running[entry.name]
            group, server = running.meter.group, running.server
            where = f"cgroup:{group}" if group is not None else f"pid:{server.pid}"
            if group is None and entry.model.is_guest:
                where = "none" if server.unseen else f"tree:{server.server_pid}"
            own = entry.model.asked(Load()) if entry.model.own_protocol else None
            url = own.url(server.port) if own else server.url
            found.append(Target(entry.name, server.port, where, url))
        return found

    def died(self) -> dict[str, str]:
        """Who is gone, and with which last words."""
        gone = {}
        for name, running in self._running.items():
            ended = running.server.wait(0)
            if ended is not None:
                said = running.server.stderr_tail()
                gone[name] = f"server died during the run: exit {ended.status}" + (
                    f": {said}" if said else ""
                )
        return gone

    def spins(self, name: str) -> float:
        """CPU time per wall time of a server that nobody asks and that does not sleep; 0 where it
        sleeps, which is seen at once. To be asked before the first connection."""
        server = self._running[name].server
        before, began = server.cpu_s(), time.monotonic()
        while _awake(server.server_pid):
            wall = time.monotonic() - began
            if wall > SILENCE_S:
                share = (server.cpu_s() - before) / wall
                return share if share > SPINS_ABOVE else 0.0
            time.sleep(_POLL_S)
        return 0.0

    def stop(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Stop all: their counters, and the reason of each that did not end as agreed."""
        failed = self.died()
        for name, running in self._running.items():
            if name not in failed:
                running.server.terminate()
        for name, running in self._running.items():
            if name in failed:
                continue
            try:
                running.counters = running.server.stop()
            except ProcessError as error:
                failed[name] = str(error)
        return {n: r.counters for n, r in self._running.items() if n not in failed}, failed

    def with_children(self) -> list[str]:
        """Before stop(): whose CPU time is not all in its process clock, because children have
        it.
        """
        return [
            name
            for name, r in self._running.items()
            if not r.entry.model.is_guest and has_children(r.server.pid)
        ]

    def close(self) -> None:
        """Kill what is left. Safe to call twice."""
        for running in self._running.values():
            running.server.close()
            running.meter.close()
        self._running.clear()


def _start(entry: Entry, protocol: str, cpus: Sequence[int], groups: Hierarchy | None) -> Running:
    meter = Meter(Sources(None if entry.clock else groups, None))
    try:
        server = Server(entry.argv(protocol), cpus, meter.join)
    except BaseException as error:
        meter.close()
        if isinstance(error, ProcessError):
            raise Fault(entry.name, str(error)) from None
        raise
    meter.pid = server.pid
    return Running(entry, server, meter)


def _awake(pid: int) -> bool:
    """Whether any thread of a process runs, or waits for nothing but a CPU."""
    return any(task_state(task) == "R" for task in Path(f"/proc/{pid}/task").glob("*"))


def extra_ns(counters: Mapping[str, Any]) -> float:
    """What a server says that each of its requests cost more; 0 where it says nothing."""
    value = counters.get("extra_ns_per_request")
    return float(value) if isinstance(value, (int, float)) else 0.0


def waits_per_request(counters: Mapping[str, Any]) -> float:
    """How often a server waited for events, for each request of its life; 0 where it does not
    say."""
    waits, requests = counters.get("waits"), counters.get("requests")
    if not (isinstance(waits, (int, float)) and isinstance(requests, (int, float)) and requests):
        return 0.0
    return waits / requests
