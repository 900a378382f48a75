# SPDX-License-Identifier: MIT
"""What /proc says of a process that goes on meanwhile: what is closed while one reads is not there."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def descriptors(pid: int) -> Iterator[tuple[str, str]]:
    """Number and target ("socket:[17]") of each descriptor of a process."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield entry.name, os.readlink(entry)
        except FileNotFoundError:
            continue


def sockets(pid: int) -> set[str]:
    """The inodes of its sockets."""
    links = (link for _, link in descriptors(pid))
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
