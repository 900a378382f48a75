# SPDX-License-Identifier: MIT
"""The catalogue of server models: every executable in build/servers, asked with --describe."""
from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.design.model import Model
from harness.errors import EXIT_USAGE, SetupError, UsageError
from harness.paths import servers_dir

EXIT_CANNOT_RUN_HERE = 77


def discover(directory: Path | None = None) -> list[Model]:
    """All models, by name. Raises SetupError when nothing is built."""
    where = directory or servers_dir()
    files = sorted(p for p in where.glob("*") if p.is_file() and os.access(p, os.X_OK))
    if not files:
        raise SetupError(f"no servers in {where}: run `make` first")
    return [describe(path) for path in files]


def choose(models: Iterable[Model], names: str | None) -> list[Model]:
    """The models named in a comma separated list, in catalogue order; all when it is None."""
    catalogue = list(models)
    if names is None:
        return catalogue
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [m.name for m in catalogue]
    for name in wanted:
        if name not in known:
            raise UsageError("--models", name, f"known models: {', '.join(known)}")
    if not wanted:
        raise UsageError("--models", names, f"name at least one of: {', '.join(known)}")
    return [m for m in catalogue if m.name in wanted]


def describe(path: Path, options: Sequence[str] = ()) -> Model:
    """Ask one server what it is; a server that cannot say so is listed as unavailable.

    options: what it is to be started with, which may change its limits. UsageError if it refuses
    them.
    """
    try:
        done = subprocess.run(
            [str(path), *options, "--describe"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Model(path.name, path, unavailable=f"--describe: {error}")
    if done.returncode == EXIT_CANNOT_RUN_HERE:
        return Model(path.name, path, unavailable=_last_line(done.stderr) or "exit status 77")
    if done.returncode == EXIT_USAGE and options:
        raise UsageError(path.name, " ".join(options), _last_line(done.stderr))
    if done.returncode != 0:
        why = _last_line(done.stderr) or "no message"
        return Model(path.name, path, unavailable=f"--describe: exit {done.returncode}: {why}")
    try:
        said = json.loads(done.stdout)
        limits = said.get("limits") or {}
        connections = limits.get("connections")
        return Model(
            name=path.name,
            path=path,
            summary=str(said.get("summary", "")),
            family=str(said.get("family", "")),
            protocols=tuple(said["protocols"]),
            max_connections=int(connections) if connections else None,
            limit_reason=str(limits.get("reason") or ""),
            describe=said,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Model(path.name, path, unavailable=f"--describe: not as agreed: {error!r}")


def fingerprint(path: Path) -> str:
    """First 16 hex digits of the SHA-256 of a file: is this still the binary that was measured?"""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
