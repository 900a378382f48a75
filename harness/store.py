# SPDX-License-Identifier: MIT
"""The run directory: results/<machine>/<experiment>/<utc>-<git>/ and what lies in it.

Every file is written whole or not at all (temporary name, fsync, rename), so a run that was killed
at any moment can be read and resumed. Whoever measures into a run holds its lock; it ends with the
process. What is read is checked first: a record that is not right is named, with what is wrong in
it. docs/harness.md describes the files.
"""
from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from harness import packed, shape
from harness.errors import HOST_ERRNOS, HostFault, SetupError, UsageError, why
from harness.paths import results_dir

RUN_SCHEMA = "tenk.run/1"
CELL_SCHEMA = "tenk.cell/1"
DUEL_SCHEMA = "tenk.duel/1"

# From harmless to useless; a set of replicates is as good as the worst it must answer for.
STATUSES = ("ok", "client-limited", "suspect", "void", "unsupported", "failed")
USABLE = ("ok", "client-limited", "suspect")

LOCK = "run.lock"

# What every reader of a run needs; what else is in run.json is for people, or for --resume.
_META_TYPES: dict[str, shape.Shape] = {
    "experiment": shape.table(),
    "profile": shape.text,
    "seed": shape.whole,
    "host": shape.table(),
    "git": shape.record({"commit": shape.text, "dirty": shape.optional(shape.boolean)}),
    "placement": shape.record({"name": shape.one_of("split", "shared"), "note": shape.text}),
    "sources": shape.record(
        {"cpu": shape.text, "memory": shape.text}, {"syscalls": shape.optional(shape.text)}
    ),
    "models": shape.table(shape.table()),
    "binaries": shape.table(shape.text),
    "started": shape.text,
    "complete": shape.boolean,
}
_SETTING = shape.record(
    {
        "model": shape.text,
        "factors": shape.table(shape.level),
        "load": shape.table(shape.level),
        "seconds": shape.finite,
        "warmup": shape.finite,
        "unsupported": shape.text,
        "badges": shape.items(shape.text),
    },
    {"warmup_passes": shape.whole},
)
_PRESENT = shape.record(
    {"experiment": shape.record({"name": shape.text})},
    {
        **{name: kind for name, kind in _META_TYPES.items() if name != "experiment"},
        "session": shape.text,
        "plan": shape.optional(
            shape.items(shape.record({"model": shape.text, "factors": shape.table(shape.level)}))
        ),
    },
)
_WHOLE = shape.record(_META_TYPES)
_RESUMABLE = shape.record(
    {
        **_META_TYPES,
        "session": shape.text,
        "plan": shape.optional(shape.items(_SETTING)),
        "placement": shape.record(
            {
                "wanted": shape.one_of("split", "shared"),
                "server_cpus": shape.items(shape.whole),
                "client_cpus": shape.items(shape.whole),
            }
        ),
    }
)
_VERDICT = shape.record(
    {},
    {
        "reasons": shape.optional(
            shape.items(shape.record({}, {"code": shape.text, "text": shape.text}))
        )
    },
)
_INTERVAL = shape.record(
    {"start_ns": shape.finite, "end_ns": shape.finite, "replies": shape.finite}
)
_CELL = shape.record(
    {
        "id": shape.text,
        "experiment": shape.text,
        "model": shape.text,
        "factors": shape.table(shape.level),
        "replicate": shape.whole,
        "block": shape.whole,
        "order": shape.whole,
        "status": shape.one_of(*STATUSES),
        "reason": shape.text,
        "badges": shape.items(shape.text),
        "metrics": shape.table(shape.number),
        "server": shape.table(),
        "client": shape.record(
            {},
            {
                "verdict": shape.optional(_VERDICT),
                "config": shape.optional(shape.table()),
                "intervals": shape.optional(shape.items(_INTERVAL)),
            },
        ),
        "timing": shape.record({}, {"cell_s": shape.finite, "moved_warmup_s": shape.finite}),
    },
    {"machine": shape.table()},
)

_NUMBER = shape.optional(shape.number)
_RATIOS = shape.table(
    shape.record(
        {"estimate": _NUMBER, "lo": _NUMBER, "hi": _NUMBER, "se": _NUMBER, "freedom": _NUMBER}
        | {"samples": shape.whole, "basis": shape.text}
    )
)
_DUEL = shape.record(
    {
        "factors": shape.table(shape.level),
        "reference": shape.text,
        "arrangements": shape.table(
            shape.record(
                {
                    "contenders": shape.items(shape.record({"name": shape.text, "ratio": _RATIOS})),
                    "twin": _RATIOS,
                    "control": shape.record({"expected": shape.table(_NUMBER)}),
                    "resolution": shape.table(_NUMBER),
                }
            )
        ),
        "unsupported": shape.items(
            shape.record({"name": shape.text, "status": shape.text, "reason": shape.text})
        ),
        "verdict": shape.record({"status": shape.text, "reasons": shape.items(shape.table())}),
    }
)


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
    machine: Mapping[str, Any] = field(default_factory=dict)  # machine-wide, nobody's own

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


def duel_stem(factors: Mapping[str, Any]) -> str:
    """File stem of the duel at these levels, each character safe in a file name."""
    parts = [f"{name}={level_text(level)}" for name, level in factors.items()]
    return ".".join(re.sub(r"[^A-Za-z0-9_=.+-]", "_", part) for part in parts)


class Run:
    """A run directory, opened for reading and writing."""

    def __init__(self, path: Path, meta: dict[str, Any]) -> None:
        self.path = path
        self.meta = meta
        self._lock: IO[str] | None = None

    @staticmethod
    def create(path: Path, meta: Mapping[str, Any]) -> "Run":
        """Make the directory and its run.json; SetupError when that is impossible.

        Where `path` exists already (another run began in the same second) it is path-2, and so on.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            free = _make_free(path)
            run = Run(free, {"schema": RUN_SCHEMA, **meta, "complete": False})
            (free / "cells").mkdir()
            run.save()
        except OSError as error:
            if error.errno in HOST_ERRNOS:
                raise HostFault(f"cannot write {path}: {error.strerror}") from None
            hint = " (--out DIR writes elsewhere)"
            raise SetupError(f"cannot write {path}: {error.strerror}{hint}") from None
        return run

    @staticmethod
    def open(path: Path, whole: bool = False) -> "Run":
        """Read a run; UsageError when the directory is not one, or (whole) lacks what a reader of
        its results needs."""
        name = path / "run.json"
        try:
            meta = shape.read(name)
        except FileNotFoundError:
            raise UsageError("RUN", path, "it must be a directory with a run.json") from None
        except OSError as error:
            raise SetupError(f"cannot read {why(error)}") from None
        except ValueError as error:
            raise UsageError("RUN", path, f"its run.json is damaged: {error}") from None
        if not isinstance(meta, dict) or meta.get("schema") != RUN_SCHEMA:
            raise UsageError("RUN", path, f"its run.json must have schema {RUN_SCHEMA}")
        run = Run(path, meta)
        run._check(_PRESENT)
        if whole:
            run._check(_WHOLE)
        return run

    def check_resumable(self) -> None:
        """UsageError where run.json lacks something that is needed to go on measuring."""
        self._check(_RESUMABLE)

    def _check(self, wanted: shape.Shape) -> None:
        try:
            wanted(self.meta, "")
        except ValueError as error:
            raise UsageError("RUN", self.path, f"its run.json is damaged: {error}") from None

    def lock(self) -> None:
        """Keep others from measuring into this run; SetupError with who does so already.

        The lock is the kernel's (flock) and ends with this process, however it ends.
        """
        if self._lock is not None:
            return
        name = self.path / LOCK
        while True:
            file = open(name, "a+", encoding="ascii")  # pylint: disable=consider-using-with
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read(200).strip() or "another process"
                file.close()
                raise SetupError(
                    f"{self.path}: {holder} is measuring it: wait for its end"
                ) from None
            # Whoever held it may have removed the file between our open and our lock.
            if _is_same(name, file.fileno()):
                break
            file.close()
        file.truncate(0)
        file.write(f"process {os.getpid()}\n")
        file.flush()
        self._lock = file

    def reload(self) -> None:
        """Read run.json again: until it was locked, another process may have written it."""
        self.meta = Run.open(self.path, whole=True).meta

    def unlock(self) -> None:
        """Let others measure; safe to call twice."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                (self.path / LOCK).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

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

    def has_duel(self, factors: Mapping[str, Any]) -> bool:
        """Whether the duel of that level has been measured."""
        return self._duel_path(factors).exists()

    def write_duel(self, document: Mapping[str, Any]) -> None:
        """Keep a tenk.duel/1 document that has its "factors". Raises OSError."""
        path = self._duel_path(document["factors"])
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, to_json({**document, "id": path.stem}))

    def duels(self) -> list[dict[str, Any]]:
        """The documents of all levels that were compared together or in turns; SetupError for one
        that is none."""
        if packed.has_duels(self.path):
            found = list(packed.read_duels(self.path))
        else:
            found = []
            for path in sorted((self.path / packed.DUELS).glob("*.json")):
                try:
                    found.append((str(path), shape.read(path)))
                except (OSError, ValueError) as error:
                    said = error.strerror if isinstance(error, OSError) else error
                    raise SetupError(f"{path}: not a {DUEL_SCHEMA} record: {said}") from None
        return [self._duel(*one) for one in found]

    def _duel_path(self, factors: Mapping[str, Any]) -> Path:
        return self.path / packed.DUELS / f"{duel_stem(factors)}.json"

    def _duel(self, where: str, document: Any) -> dict[str, Any]:
        try:
            if not isinstance(document, dict) or document.get("schema") != DUEL_SCHEMA:
                raise ValueError("another schema")
            _DUEL(document, "")
            factors = self.meta["experiment"].get("factors")
            if isinstance(factors, dict) and set(factors) != set(document["factors"]):
                raise ValueError(f"factors must be {', '.join(factors)}")
            return document
        except ValueError as error:
            raise SetupError(f"{where}: not a {DUEL_SCHEMA} record of this run: {error}") from None

    def cells(self) -> list[CellRecord]:
        """All records, in the order they were measured; a file that is not one is an error."""
        if packed.is_packed(self.path):
            records = [self._record(*found) for found in packed.read(self.path)]
            _refuse_copies(self.path / packed.NAME, records)
        else:
            records = [self._read(path) for path in sorted((self.path / "cells").glob("*.json"))]
        return sorted(records, key=lambda c: (c.block, c.order))

    def _read(self, path: Path) -> CellRecord:
        try:
            document = shape.read(path)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise SetupError(f"{path}: not a {CELL_SCHEMA} record of this run: {said}") from None
        return self._record(str(path), document, path.stem)

    def _record(self, path: str, document: Any, stem: str = "") -> CellRecord:
        """The record in a document. path: where that stands, for the message if it is none; stem:
        which id it must have there, if that is known."""
        try:
            if not isinstance(document, dict) or document.pop("schema", None) != CELL_SCHEMA:
                raise ValueError("another schema")
            _CELL(document, "")
            said = document.pop("id")
            document["badges"] = tuple(document["badges"])
            document["metrics"] = {k: float(v) for k, v in document["metrics"].items()}
            record = CellRecord(**document)
            if not said == record.id == (stem or record.id):
                raise ValueError(f"by its content it is {record.id}, so this is a stray copy")
            self._check_membership(record)
            return record
        except (ValueError, TypeError) as error:
            raise SetupError(f"{path}: not a {CELL_SCHEMA} record of this run: {error}") from None

    def _check_membership(self, record: CellRecord) -> None:
        """ValueError for a cell of another experiment, model or factor than the run has."""
        if record.experiment != self.experiment_name:
            raise ValueError(f"experiment is {record.experiment!r}, not {self.experiment_name!r}")
        models = self.meta.get("models")
        if models is not None and record.model not in models:
            raise ValueError(f"model {record.model!r} is not one of the run")
        factors = self.meta["experiment"].get("factors")
        if isinstance(factors, dict) and set(factors) != set(record.factors):
            raise ValueError(f"factors must be {', '.join(factors)}")

    def sweep(self) -> None:
        """Remove what an interrupted cell left: temporary files, spectra without a record."""
        cells = self.path / "cells"
        for path in [*cells.glob(".*.tmp"), *(self.path / packed.DUELS).glob(".*.tmp")]:
            if path.is_dir():  # the files of a cell's server
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for path in cells.glob("*.hgrm"):
            if not path.with_name(path.name.removesuffix(".hgrm") + ".json").exists():
                path.unlink(missing_ok=True)


def _refuse_copies(path: Path, records: Sequence[CellRecord]) -> None:
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise SetupError(f"{path}: it has {record.id} twice")
        seen.add(record.id)


def new_folder(path: Path) -> Path:
    """Make a directory for what is no run of cells (a duel, evidence); where `path` exists already
    it is path-2, and so on. SetupError when that is impossible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _make_free(path)
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error.strerror}") from None


def _make_free(path: Path) -> Path:
    for number in itertools.count(1):
        free = path if number == 1 else path.with_name(f"{path.name}-{number}")
        with contextlib.suppress(FileExistsError):
            free.mkdir()
            return free
    raise AssertionError("there is always a next number")


def _is_same(path: Path, descriptor: int) -> bool:
    """Whether the open file still has that name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the whole new one.

    Two writers at once do not meet: the temporary name has the process in it. Nothing is left
    behind where it cannot be written (OSError). What is there and no regular file (a device, a
    pipe, /dev/stdout) is written to and stays what it is.
    """
    try:
        if path.exists() and not path.is_file():
            with open(path, "w", encoding="utf-8", errors="replace") as out:
                out.write(text)
        else:
            _replace(path, text)
    except OSError as error:
        error.filename = str(path)  # which a failed write() does not know
        raise


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8", errors="replace") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


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


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep others from measuring into this folder; SetupError where somebody does so already. The
    lock is the kernel's (flock) and ends with this process, however it ends."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(f"{folder}: another process measures it: wait for its end") from None
        yield
    finally:
        os.close(handle)


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
