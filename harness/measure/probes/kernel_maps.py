# SPDX-License-Identifier: MIT
"""How much of a server's memory it shares with the kernel through a descriptor of an I/O model.

epoll, io_uring, eventfd and their like are anonymous inodes, and a mapping of one carries its name
in /proc/PID/maps: "anon_inode:[io_uring]". Native AIO's ring of completions is "/[aio]". What the
kernel maps into every process (vdso, vvar) belongs to no I/O model and is not counted.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+ +(anon_inode:\S+|/\[aio\])", re.M)


def shared_bytes(maps: str) -> int:
    """Of the text of /proc/PID/maps."""
    return sum(int(end, 16) - int(start, 16) for start, end, _ in _MAPPING.findall(maps))


def look(pid: int) -> Mapping[str, float]:
    """Nothing where the server cannot be seen."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {"kernel_shared_bytes": float(shared_bytes(maps))}
