# SPDX-License-Identifier: MIT
"""The load of one cell: everything about the client that an experiment may fix or vary."""
from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass, fields
from typing import Any

LOOPS = ("closed", "open")
ARRIVALS = ("fixed", "poisson")
PLACEMENTS = ("split", "shared")
CLOSES = ("fin", "rst")
STAMPS = ("none", "kernel", "way")
# Of a server's command line; the harness sets these itself.
OWN_OPTIONS = ("-p", "-b", "-P", "--describe", "--help")
# Weights of a mix, as the load generator takes them.
WEIGHT_MOST = 1_000_000
# Only guests speak these. A path is a key there, which is asked for; "/" is a PING of redis.
OWN_PROTOCOLS = ("memcached", "redis")


# Who is connected beside the active ones.
POPULATIONS = ("idle", "silent", "slow_readers", "slow_writers", "short_lived")
SIZE = 64  # bytes of an echo request
_SPECIAL = "reply_bytes server mix files evict_ms size close timeout_s slow_rate freeze_ms".split()
_SPECIAL += [*POPULATIONS[1:], "stamps", "connect_rate", "connect_ahead"]
# In a mix: each of the load's files, in equal shares.
EACH_FILE = "/file/*"
FILES_MOST = 256
# The classes of a mix's requests (Load.classes): metrics are named after them.
USUAL, RARE = "usual", "rare"


@dataclass(frozen=True)
class Load:
    """Each field can be a factor of an experiment; its name is then the factor's name.

    offered_rps is the intended rate of the whole client in requests per second (open loop only).
    freeze_ms stops the server (SIGSTOP) once for that long, a quarter into the measuring window.
    placement '' means: as chosen on the command line. server: further options for every server,
    as "--nodelay 0"; a model that does not heed one of them is unsupported. mix: what is asked for
    instead of path, with weights or in order, as "/work/100 1, / 99". reply_bytes: likewise, a body
    of so many. files: so many of 1 MiB are made for the cell; /file/* in a mix asks for all of them
    alike. evict_ms: their page cache is emptied so often. size: of an echo or rot13 request, in
    bytes. slow_rate: of each slow reader and writer, in bytes per second. connect_rate: new
    connections per second while setting up, 0 for the load generator's own pace; connect_ahead: of
    these so many may be unanswered, 0 for any number. probe: a check of a fact,
    and its words (harness/measure/probe.py): a program that is run in place of server and load, or
    a look at the server. stamps: "kernel" adds the time at which replies arrived in the kernel,
    "way" splits the time of each request (harness/measure/way.py). docs/harness.md ("The load") has
    them all, with their units.
    """

    loop: str = "closed"
    arrival: str = "poisson"
    protocol: str = "http"
    path: str = "/"
    reply_bytes: int = 0
    connections: int = 1
    offered_rps: float = 0.0
    pipeline: int = 1
    requests_per_connection: int = 0
    idle: int = 0
    freeze_ms: float = 0.0
    placement: str = ""
    server: str = ""
    mix: str = ""
    files: int = 0
    evict_ms: float = 0.0
    size: int = SIZE
    close: str = "fin"
    timeout_s: float = 5.0
    silent: int = 0
    slow_readers: int = 0
    slow_writers: int = 0
    slow_rate: int = 1024
    short_lived: int = 0
    probe: str = ""
    stamps: str = "none"
    connect_rate: int = 0
    connect_ahead: int = 0

    def problem(self) -> str:
        """What is wrong with this combination, or ''."""
        if self.loop not in LOOPS:
            return f"loop = '{self.loop}'; allowed: {', '.join(LOOPS)}"
        if self.arrival not in ARRIVALS:
            return f"arrival = '{self.arrival}'; allowed: {', '.join(ARRIVALS)}"
        if self.placement not in ("", *PLACEMENTS):
            return f"placement = '{self.placement}'; allowed: {', '.join(PLACEMENTS)}"
        if self.connections < 1:
            return f"connections = {self.connections}; allowed: 1 or more"
        if self.pipeline < 1:
            return f"pipeline = {self.pipeline}; allowed: 1 or more"
        for name in (*POPULATIONS, "requests_per_connection", "reply_bytes", "freeze_ms"):
            if getattr(self, name) < 0:
                return f"{name} = {getattr(self, name)}; it cannot be negative"
        if self.close not in CLOSES:
            return f"close = '{self.close}'; allowed: {', '.join(CLOSES)}"
        if self.stamps not in STAMPS:
            return f"stamps = '{self.stamps}'; allowed: {', '.join(STAMPS)}"
        if self.stamps == "way" and self.pipeline > 1:
            return f"stamps = 'way'; it needs pipeline = 1, not {self.pipeline}"
        if not 1e-3 <= self.timeout_s <= 3600:
            return f"timeout_s = {self.timeout_s:g}; allowed: from 0.001 to 3600 seconds"
        if not 1 <= self.slow_rate <= 1 << 30:
            return f"slow_rate = {self.slow_rate}; allowed: from 1 to {1 << 30} bytes per second"
        if not 0 <= self.connect_rate <= 1_000_000_000:
            return f"connect_rate = {self.connect_rate}; allowed: from 0 to 1000000000 per second"
        if not 0 <= self.connect_ahead <= 10_000_000:
            return f"connect_ahead = {self.connect_ahead}; allowed: from 0 to 10000000"
        if not 1 <= self.size <= 1 << 20:
            return f"size = {self.size}; allowed: from 1 to {1 << 20} bytes"
        if self.size != SIZE and self.protocol not in ("echo", "rot13"):
            return f"size = {self.size}; only echo and rot13 have requests of a given size"
        if self.reply_bytes and (self.protocol != "http" or self.path != "/"):
            return f"reply_bytes = {self.reply_bytes}; it needs http, and stands instead of path"
        if 0 < self.requests_per_connection < self.pipeline:
            return (
                f"pipeline = {self.pipeline}; it cannot be above"
                f" requests_per_connection ({self.requests_per_connection})"
            )
        if self.loop == "open" and self.offered_rps <= 0:
            return "an open loop needs offered_rps above 0"
        if self.loop == "closed" and self.offered_rps:
            return "a closed loop has no offered_rps"
        if not re.fullmatch(r"([a-z][a-z0-9_]*( [A-Za-z0-9_.-]+)*)?", self.probe):
            return f"probe = '{self.probe}'; allowed: the name of a probe, and words for it"
        return self._server_problem() or self._mix_problem()

    def _server_problem(self) -> str:
        try:
            words = self.server_words
        except ValueError as error:
            return f"server = '{self.server}'; options of a server: {error}"
        if words and not words[0].startswith("-"):
            return f"server = '{self.server}'; allowed: options, as \"--nodelay 0\""
        for word in words:
            # Short options may carry their value: -p80.
            if word.split("=")[0] in OWN_OPTIONS or word[:2] in OWN_OPTIONS:
                return f"server = '{self.server}'; {', '.join(OWN_OPTIONS)} are set by the harness"
        return ""

    def _mix_problem(self) -> str:
        if not 0 <= self.files <= FILES_MOST:
            return f"files = {self.files}; allowed: from 0 to {FILES_MOST}"
        if self.evict_ms < 0 or (self.evict_ms and not self.files):
            return f"evict_ms = {self.evict_ms:g}; it needs files, and cannot be negative"
        if bool(self.files) != (EACH_FILE in [path for _, path, _ in _parts(self.mix)]):
            return (
                f"files = {self.files}; they are asked for with {EACH_FILE} in mix, and only then"
            )
        if not self.mix:
            return ""
        if self.protocol != "http" or self.path != "/" or self.reply_bytes:
            return f"mix = '{self.mix}'; it needs protocol http, and stands instead of path"
        allowed = (
            "allowed: PATH or METHOD PATH with commas between them, each with a weight from 1 to"
            f' {WEIGHT_MOST} behind it, or none, as "/work/100 1, / 99"'
        )
        weighted = 0
        parts = _parts(self.mix)
        for method, path, weight in parts:
            if not (method.isascii() and method.isalpha() and path.startswith("/")):
                return f"mix = '{self.mix}'; {allowed}"
            most = WEIGHT_MOST // max(1, self.files)
            if weight and not (weight.isdecimal() and 1 <= int(weight) <= most):
                return f"mix = '{self.mix}'; {allowed}"
            weighted += bool(weight)
        return "" if weighted in (0, len(parts)) else f"mix = '{self.mix}'; {allowed}"

    @property
    def server_words(self) -> tuple[str, ...]:
        """The further options of a server's command line. Raises ValueError for a text that a shell
        would not take."""
        return tuple(shlex.split(self.server))

    @property
    def mix_lines(self) -> str:
        """The mix as a file for the load generator: METHOD PATH [WEIGHT [CLASS]] in each line."""
        found = []
        classes = self.classes
        for index, (method, path, weight) in enumerate(_parts(self.mix)):
            if classes:
                weight = weight or "1"
            of = classes[index] if classes else ""
            if path == EACH_FILE:
                found += [(method, f"/file/{number}", weight, of) for number in range(self.files)]
            else:
                shares = str(int(weight) * max(1, self.files)) if weight else ""
                found.append((method, path, shares, of))
        return "".join(f"{' '.join(part).strip()}\n" for part in found)

    @property
    def classes(self) -> tuple[str, ...]:
        """Of each request of the mix, in order: whether it is the usual one, which weighs more than
        any other, or one of the rare ones. The load generator measures them apart. Empty where none
        weighs more than any other, or files are asked for in order."""
        parts = _parts(self.mix) if self.mix else []
        weights = [int(weight or 0) for _, _, weight in parts]
        in_order = not any(weights) and (len(parts) > 1 or self.files > 0)
        if not parts or in_order or weights.count(max(weights)) > 1:
            return ()
        return tuple(USUAL if one == max(weights) else RARE for one in weights)

    @property
    def served(self) -> int:
        """Connections that a server must serve at the same time. Silent ones ask for nothing: a
        model whose limit they reach is measured all the same, and what comes of it is the result.
        """
        return self.all_connections - self.silent

    @property
    def takes_turns(self) -> bool:
        """No connection lasts: those that a server has no room for wait in its backlog, and it
        comes to them."""
        return self.loop == "closed" and self.requests_per_connection > 0

    @property
    def room(self) -> int:
        """Connections that a server must have room for, so that everybody is answered."""
        return self.served - (self.connections - 1 if self.takes_turns else 0)

    @property
    def all_connections(self) -> int:
        """Connections that are open at the same time."""
        return self.connections + sum(int(getattr(self, name)) for name in POPULATIONS)

    @property
    def special(self) -> dict[str, Any]:
        """What `tenk duel` has no option for, by name, where it is not as usual."""
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name in _SPECIAL and getattr(self, f.name) != f.default
        }

    @property
    def url_target(self) -> str:
        """What follows scheme://host:port."""
        if self.reply_bytes:
            return f"/bytes/{self.reply_bytes}"
        return self.path if self.protocol in ("http", *OWN_PROTOCOLS) else ""

    def url(self, port: int) -> str:
        """Of a server of this machine."""
        return f"{self.protocol}://127.0.0.1:{port}{self.url_target}"


def _parts(mix: str) -> list[tuple[str, str, str]]:
    """Method, path and weight of each request of a mix; '' for what is not there."""
    found = []
    for words in (part.split() for part in mix.split(",")):
        method = words.pop(0) if len(words) > 1 and not words[0].startswith("/") else "GET"
        path, weight, *more = [*words, "", ""]
        found.append((method, path, " ".join([weight, *more]).strip()))
    return found


FIELD_TYPES: dict[str, type] = {
    f.name: {"int": int, "float": float, "str": str}[str(f.type)] for f in fields(Load)
}


def coerce(name: str, value: Any) -> Any:
    """`value` as the type of field `name`; raises ValueError with what is allowed."""
    if name not in FIELD_TYPES:
        raise ValueError(f"unknown name '{name}'; allowed: {', '.join(FIELD_TYPES)}")
    kind = FIELD_TYPES[name]
    right = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not right or isinstance(value, bool):
        raise ValueError(f"{name} = {value!r}; allowed: {kind.__name__}")
    found = kind(value)
    if kind is float and not math.isfinite(found):
        raise ValueError(f"{name} = {value!r}; allowed: a finite number")
    return found
