# SPDX-License-Identifier: MIT
"""The run directory: results/<machine>/<experiment>/<utc>-<git>/ and what lies in it.

Every file is written whole or not at all (temporary name, fsync, rename), so a run that was killed
at any moment can be read and resumed. docs/harness.md describes the files.
"""
from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness import packed
from harness.errors import SetupError, UsageError
from harness.paths import results_dir

RUN_SCHEMA = "tenk.run/1"
CELL_SCHEMA = "tenk.cell/1"

# From harmless to useless; a set of replicates is as good as the worst it must answer for.
STATUSES = ("ok", "client-limited", "suspect", "void", "unsupported", "failed")
USABLE = ("ok", "client-limited", "suspect")


@dataclass(frozen=True)
class CellRecord:
    """One replicate of one model at one level of every factor. See STATUSES for `status`."""

    experiment: str
    model: str
    factors: Mapping[str, Any]
    replicate: int
    block: int
    order: int
    status: str
    reason: str = ""
    badges: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    client: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return self.status in USABLE

    @property
    def codes(self) -> list[str]:
        """Reason codes of the load generator's verdict."""
        verdict = self.client.get("verdict") or {}
        return [str(reason.get("code")) for reason in verdict.get("reasons") or []]

    @property
    def gist(self) -> str:
        """The reason in as few words as there are: the codes of the verdict, if it has any."""
        return ", ".join(self.codes) or self.reason

    @property
    def id(self) -> str:
        return cell_id(self.model, self.factors, self.replicate)


def cell_id(model: str, factors: Mapping[str, Any], replicate: int) -> str:
    """File stem of a cell: model, levels and replicate, each character safe in a file name."""
    parts = [model, *(f"{name}={level_text(level)}" for name, level in factors.items())]
    safe = [re.sub(r"[^A-Za-z0-9_=.+-]", "_", part) for part in parts]
    return ".".join([*safe, f"r{replicate}"])


def level_text(level: Any) -> str:
    """A level in one spelling: 1000.0 and 1000 are the same."""
    if isinstance(level, float) and level.is_integer():
        return str(int(level))
    return str(level)


class Run:
    """A run directory, opened for reading and writing."""

    def __init__(self, path: Path, meta: dict[str, Any]) -> None:
        self.path = path
        self.meta = meta

    @staticmethod
    def create(path: Path, meta: Mapping[str, Any]) -> "Run":
        """Make the directory and its run.json; SetupError when that is impossible."""
        run = Run(path, {"schema": RUN_SCHEMA, **meta, "complete": False})
        try:
            (path / "cells").mkdir(parents=True)
            run.save()
        except OSError as error:
            raise SetupError(f"cannot write {path}: {error.strerror}") from None
        return run

    @staticmethod
    def open(path: Path) -> "Run":
        """Read a run; UsageError when the directory is not one."""
        try:
            meta = json.loads((path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UsageError("RUN", path, "it must be a directory with a run.json") from None
        if not isinstance(meta, dict) or meta.get("schema") != RUN_SCHEMA:
            raise UsageError("RUN", path, f"its run.json must have schema {RUN_SCHEMA}")
        return Run(path, meta)

    def save(self) -> None:
        write_atomically(self.path / "run.json", to_json(self.meta))

    def update(self, **changes: Any) -> None:
        self.meta.update(changes)
        self.save()

    @property
    def experiment_name(self) -> str:
        return str(self.meta["experiment"]["name"])

    def cell_path(self, stem: str, suffix: str = ".json") -> Path:
        return self.path / "cells" / (stem + suffix)

    def has(self, stem: str) -> bool:
        return self.cell_path(stem).exists()

    def write(self, cell: CellRecord) -> None:
        document = {"schema": CELL_SCHEMA, "id": cell.id, **asdict(cell)}
        write_atomically(self.cell_path(cell.id), to_json(document))

    def cells(self) -> list[CellRecord]:
        """All records, in the order they were measured; a file that is not one is an error."""
        if packed.is_packed(self.path):
            records = [self._record(*found) for found in packed.read(self.path)]
        else:
            records = [self._read(path) for path in sorted((self.path / "cells").glob("*.json"))]
        return sorted(records, key=lambda c: (c.block, c.order))

    def _read(self, path: Path) -> CellRecord:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SetupError(f"{path}: not a {CELL_SCHEMA} record: {error}") from None
        return self._record(str(path), document)

    def _record(self, path: str, document: Any) -> CellRecord:
        """The record in a document; path: where that stands, for the message if it is none."""
        try:
            if document.pop("schema") != CELL_SCHEMA:
                raise ValueError("another schema")
            document.pop("id")
            document["badges"] = tuple(document["badges"])
            document["metrics"] = {k: float(v) for k, v in document["metrics"].items()}
            return CellRecord(**document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SetupError(f"{path}: not a {CELL_SCHEMA} record: {error}") from None

    def sweep(self) -> None:
        """Remove what an interrupted cell left: temporary files, spectra without a record."""
        cells = self.path / "cells"
        for path in cells.glob(".*.tmp"):
            path.unlink(missing_ok=True)
        for path in cells.glob("*.hgrm"):
            if not path.with_name(path.name.removesuffix(".hgrm") + ".json").exists():
                path.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the whole new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)


def to_json(document: Any) -> str:
    """JSON with infinities as the string "inf", as in tenk.loadgen/2; nan is an error."""
    return json.dumps(_plain(document), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, Path):
        return str(value)
    return value


def all_runs(results: Path | None = None) -> list[Path]:
    """Every run directory, oldest first (their names begin with the UTC time).

    The committed reference run counts only where nothing else was measured, as for the plots.
    """
    root = results or results_dir()
    runs = sorted((p.parent for p in root.glob("*/*/*/run.json")), key=lambda p: p.name)
    own = [path for path in runs if path.parent.parent.name != "reference"]
    return own or runs


def find(name: str, results: Path | None = None) -> list[Path]:
    """The runs that `name` means.

    A path: that run. An experiment's name: its newest run. "latest": all runs that the newest
    `tenk run` made, one per experiment. UsageError when there is none.
    """
    given = Path(name)
    if (given / "run.json").exists():
        return [given]
    runs = all_runs(results)
    if name == "latest" and runs:
        session = Run.open(runs[-1]).meta.get("session")
        return [p for p in runs if p == runs[-1] or (session and _session(p) == session)]
    for path in reversed(runs):
        if path.parent.name == name:
            return [path]
    have = sorted({path.parent.name for path in runs})
    known = f"'latest' or one of: {', '.join(have)}" if have else "there is no run yet"
    raise UsageError("RUN", name, f"it must be a run directory, {known}")


def _session(path: Path) -> str | None:
    try:
        found = Run.open(path).meta.get("session")
    except UsageError:
        return None
    return None if found is None else str(found)
