# SPDX-License-Identifier: MIT
"""How many receives a server makes for each accept.

A scan tries to accept once at the end of each pass, so this is how many receives a pass takes. A
server that waits to be told accepts nothing while nobody comes: then there is no such number.
"""
from __future__ import annotations

from collections.abc import Mapping

RECEIVES = ("recvfrom", "recv", "recvmsg", "read")
ACCEPTS = ("accept4", "accept")


def calls(recorded: Mapping[str, int]) -> Mapping[str, float]:
    """recorded: system calls by name."""
    accepts = sum(recorded.get(name, 0) for name in ACCEPTS)
    receives = sum(recorded.get(name, 0) for name in RECEIVES)
    return {"receives_per_pass": receives / accepts} if accepts else {}
