# SPDX-License-Identifier: MIT
"""What a duel measures: contenders, the load they share, who meets whom, and in which order.

A duel always has two controls beside its contenders: the *twin*, which is the reference once more,
and the *control*, which is the reference with a known cost added to every request. It starts
nothing.
"""
from __future__ import annotations

import random
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.design import guest
from harness.design.load import OWN_OPTIONS, OWN_PROTOCOLS, Load
from harness.design.model import Model
from harness.errors import UsageError

# ALONE is for who cannot be alive beside others; nobody asks for it.
TOGETHER, TURNS, ALONE = "together", "turns", "alone"
ARRANGEMENTS = (TOGETHER, TURNS)
REFERENCE, TWIN, CONTROL, CONTENDER = "reference", "twin", "control", "contender"

# What the control adds to the reference's CPU time per request.
CONTROL_SHARE = 0.03
# The load generator takes up to 32 targets; eight that take turns still have a slice each within a
# second.
MOST_IN_TURN = 8
# A run together, in seconds under load after its warm-up. What one start of servers has of its own
# differs from run to run by some 0.6 % (event loops, 100 to 10,000 connections, a quiet machine),
# and what half a second of slices leaves is less than that: more runs say more than longer ones.
# So a run is as long as makes its load RUN_INSIDE times what starting and stopping take (four is
# 80 % inside), and no longer than the most: then it is starting that costs, and more of it is
# still worth more than longer runs.
RUN_LEAST_S, RUN_MOST_S, RUN_INSIDE = 0.5, 1.5, 4.25
# As few runs of a pair as an interval takes.
RUNS_LEAST = 3
# Kernel memory of both ends of a connection with small buffers, in bytes, from above. What the
# server's model adds to it (a thread, a process) is not in it.
BYTES_PER_CONNECTION = 40_000

T = TypeVar("T")


@dataclass(frozen=True)
class Contender:
    """Someone to be measured. name: what the user wrote, and what tables say.

    program: a binary, or None for the built model of that name. words: what a guest is called
    with, before the options; of nobody else. options: further words of the server's command line.
    """

    name: str
    model: str
    program: Path | None = None
    options: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A contender, or one of the controls, as it takes part.

    model: as it described itself with its options. extra_ns: added CPU time per request.
    clock: whether its own process clock is all its CPU time; otherwise its control group's is read.
    """

    name: str
    role: str
    model: Model
    options: tuple[str, ...] = ()
    extra_ns: int = 0
    clock: bool = True

    def argv(self, protocol: str) -> list[str]:
        """How its server is started; the port is the kernel's choice."""
        extra = ["--extra-ns", str(self.extra_ns)] if self.extra_ns else []
        spoken = self.model.own_protocol or protocol
        return [*self.model.argv, "-p", "0", "-P", spoken, *self.options, *extra]


@dataclass(frozen=True)
class Plan:
    """What the command line asked for. load: of each contender; its offered_rps is 0 unless given.

    fractions: of what a pair sustains when it shares its CPUs, the rates that both are offered in
    *together*; empty where the rate is given or the loop is closed. seconds: of the whole duel.
    until: the resolution (a fraction) at which it ends earlier, or 0.
    """

    contenders: tuple[Contender, ...]
    load: Load
    arrangements: tuple[str, ...]
    fractions: tuple[float, ...]
    seconds: float
    until: float
    seed: int

    @property
    def reference(self) -> Contender:
        return self.contenders[0]


def parse_contender(text: str) -> Contender:
    """'epoll_lt', 'thread_pool -w 32', './other-build/servers/epoll_lt', 'guest:nginx',
    'cmd=node app.js {port}' or 'url=http://127.0.0.1:8080/,pid=1234'; UsageError if none of them.
    """
    if found := guest.parse_foreign(text, "CONTENDER"):
        return Contender(found.name, found.name, guest.HOST, found.options, found.words)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError("CONTENDER", text, f"a model and its options: {error}") from None
    if not words:
        raise UsageError("CONTENDER", text, "name a model, 'a model and its options', or a binary")
    first, *options = words
    if re.match(r"[a-z0-9]+:", first):
        raise UsageError(
            "CONTENDER",
            text,
            "a model or the path of a binary; guest:NAME, cmd=COMMAND or url=URL[,pid=N]",
        )
    for option in options:
        # Short options may carry their value: -p80.
        if option.split("=")[0] in OWN_OPTIONS or option[:2] in OWN_OPTIONS:
            raise UsageError("CONTENDER", text, f"the duel sets {', '.join(OWN_OPTIONS)} itself")
    program = Path(first) if "/" in first else None
    name = " ".join(words)
    return Contender(name, program.name if program else first, program, tuple(options))


def parse_contenders(texts: Sequence[str]) -> tuple[Contender, ...]:
    """All of them, the first being the reference; each may be named once."""
    found = tuple(parse_contender(text) for text in texts)
    if found[0].words:
        raise UsageError(
            "CONTENDER",
            found[0].name,
            "the first one is the reference, and a model of ours: the control is made of it",
        )
    names = [contender.name for contender in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError("CONTENDER", name, "name each once; the first meets its twin anyhow")
    return found


def parse_fractions(text: str) -> tuple[float, ...]:
    """'50%' or '33%,67%' as fractions, each from 1 % to 95 % and named once."""
    allowed = "percentages from 1% to 95%, each once, as 33%,67%"
    parts = [part.strip() for part in text.split(",")]
    fractions = tuple(_percent(part) or 0.0 for part in parts)
    if not all(0.01 <= f <= 0.95 for f in fractions) or len(set(fractions)) < len(fractions):
        raise UsageError("--load", text, allowed)
    return fractions


def parse_until(text: str) -> float:
    """'1%' as 0.01; from 0.1 % to 50 %."""
    value = _percent(text)
    if value is None or not 0.001 <= value <= 0.5:
        raise UsageError("--until", text, "a percentage from 0.1% to 50%, as 1%")
    return value


def controls(reference: Entry, extra_ns: int) -> tuple[Entry, Entry]:
    """The twin and the control of a reference."""
    ref = reference
    twin = Entry(f"{ref.name} again", TWIN, ref.model, ref.options, 0, ref.clock)
    # Two --extra-ns in one command line would be a matter of which one counts.
    own = ref.options.index("--extra-ns") if "--extra-ns" in ref.options else None
    base, options = 0, ref.options
    if own is not None:
        base = int(ref.options[own + 1])
        options = ref.options[:own] + ref.options[own + 2 :]
    name = f"{ref.name} +{100 * CONTROL_SHARE:g}%"
    return twin, Entry(name, CONTROL, ref.model, options, base + extra_ns, ref.clock)


def own_requests(entries: Sequence[Entry], load: Load) -> str:
    """Who answers a request of a protocol of its own, and what is compared then; '' if nobody."""
    own = [entry for entry in entries if entry.model.own_protocol]
    if not own:
        return ""
    told = [f"{entry.name} answers {_request(entry.model.asked(load))}" for entry in own]
    return (
        f"{', '.join(told)}, the others {_request(load)}: each a request of its own protocol, so"
        " what is compared is the whole service of one request."
    )


def _request(load: Load) -> str:
    if load.protocol == "redis" and load.path == "/":
        return "PING of redis"
    if load.protocol in OWN_PROTOCOLS:
        return f"get {load.path.removeprefix('/')} of {load.protocol}"
    return f"{load.protocol} {load.url_target}".strip()


def control_ns(cpu_ns_per_request: float) -> int:
    """What to ask of --extra-ns so that it is CONTROL_SHARE of that cost; at least 20 ns, because
    what a few steps of a spin cost is hardly known."""
    return max(20, round(CONTROL_SHARE * cpu_ns_per_request))


def run_s(overhead_s: float, warmup_s: float, room_s: float) -> float:
    """Seconds that a run together counts: see RUN_INSIDE. overhead_s: what starting and stopping
    take. warmup_s: under load before that. room_s: of the pair, in which RUNS_LEAST runs should
    fit; the least is kept to all the same."""
    worthwhile = RUN_INSIDE * overhead_s - warmup_s
    fitting = room_s / RUNS_LEAST - overhead_s - warmup_s
    return max(RUN_LEAST_S, min(RUN_MOST_S, fitting, worthwhile))


def groups(
    entries: Sequence[Entry], connections: int, memory_bytes: int, most: int = MOST_IN_TURN
) -> list[list[Entry]]:
    """Who takes turns with whom. Each group begins with the reference, the twin and the control.

    Where all do not fit (`most`, or the connections of all in half of the memory), the rest is
    cut into groups as even as can be, in the order given.
    """
    core = [e for e in entries if e.role != CONTENDER]
    others = [e for e in entries if e.role == CONTENDER]
    fit = memory_bytes // 2 // max(1, connections * BYTES_PER_CONNECTION)
    room = max(1, min(most, fit) - len(core))
    count = max(1, -(-len(others) // room))
    cuts = [round(i * len(others) / count) for i in range(count + 1)]
    return [core + others[a:b] for a, b in zip(cuts, cuts[1:])]


def shuffled(items: Sequence[T], *key: object) -> list[T]:
    """The items in an order that depends on the key alone, on every machine."""
    order = list(items)
    random.Random(":".join(["tenk-duel", *map(str, key)])).shuffle(order)
    return order


def client_seed(*key: object) -> int:
    """A seed for the load generator, for each piece of a duel another one."""
    return random.Random(":".join(["tenk-client", *map(str, key)])).randrange(1, 2_000_000_000)


def _percent(text: str) -> float | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    return float(match.group(1)) / 100 if match else None
