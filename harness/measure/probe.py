# SPDX-License-Identifier: MIT
"""Probes: facts that no load shows, as values of cells.

A claim can be about a fact: what a call accepts, what is mapped, who wakes up. Each probe is one
file in harness/measure/probes, found by its name, which is the first word of a cell's `probe`:

    NAME.c   a program, build/probes/NAME. It is run in place of a server and its load, as
             `NAME MODEL WORD...`, on the server's CPUs, and prints one line of JSON: metrics and
             their values. What it cannot do here ends it with status 77 and the reason.
    NAME.py  looks at a server under load: look(pid), shortly before the window, and calls(recorded)
             with the system calls by name, both of which return metrics. Either may be missing.

A metric that a probe names must be in harness/design/metrics.py.
"""
from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import shape
from harness.design.metrics import METRICS
from harness.errors import SetupError
from harness.measure import interrupt
from harness.measure.process import EXIT_CANNOT_RUN_HERE, CannotRunHere, Child, ProcessError
from harness.paths import build_dir

FOLDER = Path(__file__).parent / "probes"
# What a probe waits for in vain, it waits for some seconds at most.
TIMEOUT_S = 30.0


def available() -> dict[str, Path]:
    """The source of every probe, by name."""
    found = [p for p in FOLDER.iterdir() if p.suffix in (".c", ".py") and p.stem != "__init__"]
    return {path.stem: path for path in sorted(found)}


def is_program(probe: str) -> bool:
    """Whether this one is run in place of a load. SetupError where there is no such probe."""
    return _source(probe).suffix == ".c"


def run(model: str, probe: str, cpus: Sequence[int]) -> dict[str, float]:
    """The values that a program prints. CannotRunHere, or ProcessError for one that failed."""
    name, *words = probe.split()
    program = build_dir() / "probes" / name
    if not os.access(program, os.X_OK):
        raise SetupError(f"no probe at {program}: run `make` first")
    with (
        tempfile.TemporaryFile() as out,
        Child([str(program), model, *words], cpus, stdout=out.fileno()) as child,
    ):
        end = child.wait(TIMEOUT_S)
        interrupt.check()
        if end is None:
            raise ProcessError(f"probe {probe}: it did not end within {TIMEOUT_S:g} s")
        if end.status == EXIT_CANNOT_RUN_HERE:
            raise CannotRunHere(child.stderr_tail())
        if end.status:
            complaint = child.stderr_tail()
            raise ProcessError(f"probe {probe}: {end.words(complaint)}")
        out.seek(0)
        return _values(probe, out.read(4096).decode(errors="replace"))


def look(probe: str, pid: int) -> dict[str, float]:
    """What the Python probe sees of a server under load; nothing where it does not look."""
    found = getattr(_module(probe), "look", None)
    return dict(found(pid)) if found is not None else {}


def calls(probe: str, recorded: Mapping[str, int]) -> dict[str, float]:
    """What it makes of the system calls by name."""
    found = getattr(_module(probe), "calls", None)
    return dict(found(recorded)) if found is not None and recorded else {}


def _source(probe: str) -> Path:
    name = probe.split()[0]
    known = available()
    if name not in known:
        raise SetupError(f"no probe '{name}'; there are: {', '.join(known)}")
    return known[name]


def _module(probe: str) -> Any:
    return importlib.import_module(f"harness.measure.probes.{_source(probe).stem}")


def _values(probe: str, text: str) -> dict[str, float]:
    try:
        found = shape.parse(text)
        values = {str(key): float(value) for key, value in dict(found).items()}
    except (ValueError, TypeError):
        raise ProcessError(f"probe {probe}: it printed {text[:200]!r}, and no values") from None
    for name in values:
        if name not in METRICS:
            raise ProcessError(f"probe {probe}: '{name}' is no metric")
    return values
