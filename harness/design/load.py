# SPDX-License-Identifier: MIT
"""The load of one cell: everything about the client that an experiment may fix or vary."""
from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

LOOPS = ("closed", "open")
ARRIVALS = ("fixed", "poisson")
PLACEMENTS = ("split", "shared")
# Only guests speak these. A path is a key there, which is asked for; "/" is a PING of redis.
OWN_PROTOCOLS = ("memcached", "redis")


@dataclass(frozen=True)
class Load:
    """Each field can be a factor of an experiment; its name is then the factor's name.

    offered_rps is the intended rate of the whole client in requests per second (open loop only).
    freeze_ms stops the server (SIGSTOP) once for that long, a quarter into the measuring window.
    placement '' means: as chosen on the command line.
    """

    loop: str = "closed"
    arrival: str = "poisson"
    protocol: str = "http"
    path: str = "/"
    connections: int = 1
    offered_rps: float = 0.0
    pipeline: int = 1
    requests_per_connection: int = 0
    idle: int = 0
    freeze_ms: float = 0.0
    placement: str = ""

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
        if min(self.idle, self.requests_per_connection) < 0 or self.freeze_ms < 0:
            return "idle, requests_per_connection and freeze_ms cannot be negative"
        if self.loop == "open" and self.offered_rps <= 0:
            return "an open loop needs offered_rps above 0"
        if self.loop == "closed" and self.offered_rps:
            return "a closed loop has no offered_rps"
        return ""

    @property
    def url_target(self) -> str:
        """What follows scheme://host:port."""
        return self.path if self.protocol in ("http", *OWN_PROTOCOLS) else ""

    def url(self, port: int) -> str:
        """Of a server of this machine."""
        return f"{self.protocol}://127.0.0.1:{port}{self.url_target}"


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
