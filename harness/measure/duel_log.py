# SPDX-License-Identifier: MIT
"""The slices of a duel as a file, from which every figure of it can be made again.

slices.jsonl.gz: one JSON object per line. A line with "piece" begins a piece (see
harness.design.pieces.Piece); the lines after it are its slices.
"""
from __future__ import annotations

import gzip
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.design.pieces import Piece, Slice


def write(path: Path, pieces: Iterable[Piece]) -> None:
    """Write all pieces, whole or not at all. Raises OSError."""
    temporary = path.with_name(f".{path.name}.tmp")
    with gzip.open(temporary, "wt", encoding="utf-8") as out:
        for line in _lines(pieces):
            out.write(json.dumps(_plain(line), allow_nan=False) + "\n")
    os.replace(temporary, path)


def read(path: Path) -> list[Piece]:
    """What `write` wrote. Raises OSError, or ValueError for what it did not write, as it would now:
    an older version's file may lack a field, or have another."""
    found: list[tuple[dict[str, Any], list[Slice]]] = []
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                entry = {key: _back(value) for key, value in json.loads(line).items()}
                if "piece" in entry:
                    found.append((entry["piece"], []))
                else:
                    found[-1][1].append(Slice(**_known(entry)))
        return [_piece(head, tuple(slices)) for head, slices in found]
    except (TypeError, KeyError, IndexError, AttributeError, EOFError) as error:
        raise ValueError(f"{path}: not the slices of this version of tenk: {error}") from None


def _lines(pieces: Iterable[Piece]) -> Iterator[dict[str, Any]]:
    for piece in pieces:
        head = {k: v for k, v in vars(piece).items() if k != "slices"}
        yield {"piece": head}
        for one in piece.slices:
            yield asdict(one)


def _piece(head: dict[str, Any], slices: tuple[Slice, ...]) -> Piece:
    verdicts = {name: (said[0], tuple(said[1])) for name, said in head["verdicts"].items()}
    changed = {"names": tuple(head["names"]), "verdicts": verdicts, "slices": slices}
    fields: dict[str, Any] = {**head, **changed}
    return Piece(**fields)


def _known(entry: dict[str, Any]) -> dict[str, Any]:
    """Percentiles that are not known are nan, other numbers None."""
    unknown = [key for key in ("p50_ns", "p99_ns") if entry[key] is None]
    return {**entry, **dict.fromkeys(unknown, math.nan)}


def _plain(value: Any) -> Any:
    """nan as null, infinities as the string "inf"."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf"
    return value


def _back(value: Any) -> Any:
    return math.inf if value == "inf" else value
