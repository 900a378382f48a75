# SPDX-License-Identifier: MIT
"""A server model, as far as planning needs to know it; harness.measure.models asks the binaries."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.design.load import OWN_PROTOCOLS, Load

# What `.family` of a model may say, in the order in which families are listed (docs/models.md).
FAMILIES = ("blocking", "readiness", "completion", "hybrid", "coroutine", "library")


# Of a model that uses a CPU while nobody asks: it can neither run beside another nor take turns.
KEEPS_BUSY = "keeps a CPU busy while it waits"


@dataclass(frozen=True)
class Model:
    """One server as it describes itself; `unavailable` says why it cannot run here, or is ''.

    broken: that is its own fault and not this machine's: it cannot say what it is, or it is stale.
    stale: the binary is older than its source.
    """

    name: str
    path: Path
    summary: str = ""
    family: str = ""
    protocols: tuple[str, ...] = ()
    max_connections: int | None = None
    limit_reason: str = ""
    unavailable: str = ""
    broken: bool = False
    stale: bool = False
    describe: dict[str, Any] = field(default_factory=dict, compare=False)
    words: tuple[str, ...] = ()  # of its command line, before all options: a guest's name
    options: tuple[str, ...] = ()  # it is always started with, as its name says
    called: str = ""  # of somebody else's server: the text that guest.parse_foreign() understands

    @property
    def busy_polls(self) -> bool:
        """It says that it uses a CPU while it waits, and means to."""
        return bool(self.describe.get("busy_polls"))

    @property
    def argv(self) -> list[str]:
        """How it is called, without the options of a particular start."""
        return [str(self.path), *self.words, *self.options]

    @property
    def workers(self) -> int:
        """Threads or processes that it would start now, a fixed number as -w says; else 0."""
        return int(self.describe.get("workers") or 0)

    @property
    def per_worker(self) -> int:
        """How many connections each more of its workers (-w) brings, where the limit is that of
        each worker process and -w can be given; else 0."""
        if any(word.startswith("-w") for word in self.options):
            return 0
        return int((self.describe.get("limits") or {}).get("per_worker") or 0)

    @property
    def is_guest(self) -> bool:
        """A server that is not ours: another process starts it and speaks for it."""
        return bool(self.words)

    @property
    def own_protocol(self) -> str:
        """What a guest speaks that none of our models does; '' of everybody else."""
        (first, *others) = self.protocols or ("",)
        return first if self.is_guest and first in OWN_PROTOCOLS and not others else ""

    def asked(self, load: Load) -> Load:
        """That load in requests of the model's own protocol, if it has one: its rate, connections
        and pipelining stay."""
        if not self.own_protocol:
            return load
        paths = (self.describe.get("guest") or {}).get("paths") or ["/"]
        return replace(load, protocol=self.own_protocol, path=str(paths[0]))

    @property
    def is_attached(self) -> bool:
        """It runs already, and is not ours to start or to stop."""
        return bool((self.describe.get("guest") or {}).get("attached"))

    @property
    def url(self) -> str:
        """Where a server that runs already is asked; '' of all others."""
        return self.words[1] if self.words[:1] == ("--url",) else ""

    @property
    def is_unseen(self) -> bool:
        """It runs already, and which process it is cannot be seen from here: nor its CPU time."""
        return self.is_attached and not self.describe["guest"].get("pid")

    def why_not(self, protocol: str, connections: int) -> str:
        """Why this model cannot serve that load, or ''."""
        if self.unavailable:
            return self.unavailable
        if protocol not in self.protocols:
            return f"does not speak {protocol} (only {', '.join(self.protocols)})"
        if self.max_connections is not None and connections > self.max_connections:
            reason = f": {self.limit_reason}" if self.limit_reason else ""
            plural = "" if self.max_connections == 1 else "s"
            return f"serves at most {self.max_connections} connection{plural} at a time{reason}"
        return ""
