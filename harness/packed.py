# SPDX-License-Identifier: MIT
"""The cells of a finished run in one compressed file instead of two files each: cells.jsonl.xz.

A line is the document of one cells/<id>.json, with the text of its <id>.hgrm under "hgrm" where
there is one; lines are in the order of the ids. `xzcat` shows it. A run has either the folder or
the file. What was compared together and in turns lies beside it in the same way: duels/<level>.json
or duels.jsonl.xz. So do the files that say what the cells amount to, which repeat themselves a lot:
CONCLUSIONS, or conclusions.tar.xz with the same files in it. run.json stays, without indentation.
"""
from __future__ import annotations

import io
import json
import lzma
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import shape
from harness.errors import SetupError

NAME = "cells.jsonl.xz"
FOLDER = "cells"
DUELS_NAME = "duels.jsonl.xz"
DUELS = "duels"
CONCLUSIONS_NAME = "conclusions.tar.xz"
CONCLUSIONS = ("summary.tsv", "answer.json", "answer.md")


def is_packed(run: Path) -> bool:
    return (run / NAME).exists()


def read(run: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, document without "hgrm") of each cell; SetupError for a damaged file."""
    for where, document in _lines(run / NAME):
        document.pop("hgrm", None)
        yield where, document


def has_duels(run: Path) -> bool:
    """Whether there is a file of duels in that run."""
    return (run / DUELS_NAME).exists()


def read_duels(run: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, document) of each level; SetupError for a damaged file."""
    yield from _lines(run / DUELS_NAME)


def read_conclusions(run: Path) -> dict[str, str]:
    """Text of each file in conclusions.tar.xz, by name; none where there is no such archive.
    SetupError for a damaged one."""
    path = run / CONCLUSIONS_NAME
    if not path.exists():
        return {}
    try:
        with tarfile.open(path, "r:xz") as archive:
            members = [(one.name, archive.extractfile(one)) for one in archive]
            return {name: file.read().decode() for name, file in members if file is not None}
    except (OSError, EOFError, ValueError, tarfile.TarError, lzma.LZMAError) as error:
        raise SetupError(f"{path}: damaged: {error}") from None


def write_conclusions(run: Path, files: Sequence[tuple[str, str]]) -> None:
    """Write (name, text) of each file as conclusions.tar.xz, and remove those that lie there
    openly. The same texts give the same bytes. OSError where it cannot be written."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in sorted(files):
            about = tarfile.TarInfo(name)  # whose time and owner are nought
            about.size = len(text.encode())
            archive.addfile(about, io.BytesIO(text.encode()))
    content = _compress(out.getvalue())
    target = run / CONCLUSIONS_NAME
    if not target.exists() or target.read_bytes() != content:
        _write(target, content)
    for name in CONCLUSIONS:
        (run / name).unlink(missing_ok=True)


def pack(run: Path) -> Path:
    """Replace the folder of cells, that of duels and the conclusions by a file each; returns that
    of the cells.

    A folder goes only after its file was written and read back as what is in the folder. OSError
    where it cannot be written, SetupError for a record that is no JSON object; then its folder is
    as it was.
    """
    open_files = [(name, run / name) for name in CONCLUSIONS if (run / name).exists()]
    if open_files:
        write_conclusions(run, [(name, path.read_text("utf-8")) for name, path in open_files])
    if (run / DUELS).exists():
        _pack(run, DUELS, DUELS_NAME)
    packed = _pack(run, FOLDER, NAME)
    _about(run, lambda about: json.dumps(about) + "\n")
    return packed


def _about(run: Path, text: Callable[[Mapping[str, Any]], str]) -> None:
    """run.json in another form: a fifth of one with indentation is blanks."""
    path = run / "run.json"
    if path.exists():
        _write(path, text(shape.read(path)).encode())


def _pack(run: Path, folder: str, name: str) -> Path:
    documents = list(_documents(run / folder))
    text = "".join(json.dumps(one) + "\n" for one in documents)
    target = run / name
    _write(target, _compress(text.encode()))
    if [document for _, document in _lines(target)] != documents:
        target.unlink()
        raise SetupError(f"{target}: it does not read as what was written: check the disk")
    shutil.rmtree(run / folder)
    return target


def _compress(content: bytes) -> bytes:
    return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)


def _write(target: Path, content: bytes) -> None:
    """The whole file, on the disk, or none."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def unpack(run: Path) -> Path:
    """The folders again instead of the files; returns that of the cells."""
    for name, text in read_conclusions(run).items():
        if name in CONCLUSIONS:
            (run / name).write_text(text, encoding="utf-8")
    (run / CONCLUSIONS_NAME).unlink(missing_ok=True)
    if has_duels(run):
        _unpack(run, DUELS, DUELS_NAME)
    unpacked = _unpack(run, FOLDER, NAME)
    _about(run, _as_file)
    return unpacked


def _unpack(run: Path, kind: str, name: str) -> Path:
    new, folder = run / f".{kind}.{os.getpid()}.tmp", run / kind
    new.mkdir()
    try:
        for where, document in _lines(run / name):
            stem = str(document.get("id", ""))
            if not stem or "/" in stem:
                raise SetupError(f"{where}: it has no id that could be a file's name")
            spectrum = document.pop("hgrm", None)
            (new / f"{stem}.json").write_text(_as_file(document), encoding="utf-8")
            if spectrum is not None:
                (new / f"{stem}.hgrm").write_text(spectrum, encoding="utf-8")
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    (run / name).unlink()
    return folder


def _as_file(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1) + "\n"


def _documents(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.json")):
        try:
            document = shape.read(path)
        except ValueError as error:
            raise SetupError(f"{path}: not JSON: {error}") from None
        if not isinstance(document, dict):
            raise SetupError(f"{path}: not a JSON object")
        spectrum = path.with_name(path.name.removesuffix(".json") + ".hgrm")
        if spectrum.exists():
            try:
                document["hgrm"] = spectrum.read_text(encoding="utf-8")
            except ValueError as error:
                raise SetupError(f"{spectrum}: not text: {error}") from None
        yield document


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                document = shape.parse(line)
                if not isinstance(document, dict):
                    raise ValueError("not a JSON object")
                yield f"{path}:{number}", document
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise SetupError(f"{path}: damaged: {error}") from None


def keep_small(run: Path, meta: Mapping[str, Any], target: Path) -> None:
    """A packed copy of a finished run in the new folder `target`: everything that its conclusions
    and figures are made of, and no more.

    Left out: the spectra of latencies, the records of server and machine, of the client's report
    all but its verdict and intervals, the plan, and of each model all but its name, summary and
    family. OSError where it cannot be written, SetupError for a damaged record.
    """
    target.mkdir(parents=True)
    cells = _lines(run / NAME) if is_packed(run) else _each(run / FOLDER)
    duels = _lines(run / DUELS_NAME) if has_duels(run) else _each(run / DUELS)
    _write(target / NAME, _compress("".join(_line(_small(one)) for _, one in cells).encode()))
    texts = [_line(one) for _, one in duels]
    if texts:
        _write(target / DUELS_NAME, _compress("".join(texts).encode()))
    models = {
        name: {
            key: told[key] for key in ("name", "summary", "family", "unavailable") if key in told
        }
        for name, told in meta["models"].items()
    }
    kept: dict[str, Any] = {**meta, "models": models, "plan": None}
    _write(target / "run.json", (json.dumps(kept, indent=1) + "\n").encode())


def _small(cell: Mapping[str, Any]) -> dict[str, Any]:
    client = cell.get("client") or {}
    rate = {"rate": (client.get("config") or {}).get("rate")}
    told = {"verdict": client.get("verdict"), "config": rate, "intervals": client.get("intervals")}
    timing = {k: v for k, v in (cell.get("timing") or {}).items() if k in ("cell_s",)}
    dropped = ("hgrm", "machine")
    kept = {key: value for key, value in cell.items() if key not in dropped}
    return {**kept, "server": {}, "client": told if client else {}, "timing": timing}


def _each(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for document in _documents(folder):
        yield str(folder), document


def _line(document: Mapping[str, Any]) -> str:
    return json.dumps(document) + "\n"
