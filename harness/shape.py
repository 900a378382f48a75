# SPDX-License-Identifier: MIT
"""Is a JSON document what it should be? Says where it is not, in words for people.

A shape is a function that takes a value and the place where it stands, and raises ValueError with
that place and what is allowed there.
"""
from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Shape = Callable[[Any, str], None]


def read(path: Path) -> Any:
    """The JSON document in a file. Raises OSError, or ValueError with what is wrong with it."""
    return parse(path.read_text(encoding="utf-8"))


def parse(said: str) -> Any:
    """The JSON document in a text. Raises ValueError with what is wrong with it."""
    try:
        return json.loads(said, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def anything(_value: Any, _place: str) -> None:
    """No condition at all."""


def text(value: Any, place: str) -> None:
    _require(isinstance(value, str), place, "text", value)


def boolean(value: Any, place: str) -> None:
    _require(isinstance(value, bool), place, "true or false", value)


def whole(value: Any, place: str) -> None:
    """A whole number from 0 on."""
    right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    _require(right, place, "a whole number from 0", value)


def finite(value: Any, place: str) -> None:
    right = isinstance(value, (int, float)) and not isinstance(value, bool)
    _require(right and _is_finite(value), place, "a finite number", value)


def number(value: Any, place: str) -> None:
    """A finite number, or "inf" or "-inf"."""
    if value not in ("inf", "-inf"):
        finite(value, place)


def level(value: Any, place: str) -> None:
    """A level of a factor: text or a finite number."""
    if not isinstance(value, str):
        finite(value, place)


def one_of(*allowed: str) -> Shape:
    def check(value: Any, place: str) -> None:
        right = isinstance(value, str) and value in allowed
        _require(right, place, f"one of {', '.join(allowed)}", value)

    return check


def optional(shape: Shape) -> Shape:
    """That, or null."""

    def check(value: Any, place: str) -> None:
        if value is not None:
            shape(value, place)

    return check


def items(shape: Shape) -> Shape:
    """A list of such."""

    def check(value: Any, place: str) -> None:
        _require(isinstance(value, list), place, "a list", value)
        for index, item in enumerate(value):
            shape(item, f"{place}[{index}]")

    return check


def table(shape: Shape = anything) -> Shape:
    """An object with any names, each of whose values is such."""

    def check(value: Any, place: str) -> None:
        _require(isinstance(value, dict), place, "an object", value)
        for name, item in value.items():
            shape(item, _below(place, name))

    return check


def record(needed: Mapping[str, Shape], others: Mapping[str, Shape] | None = None) -> Shape:
    """An object with the `needed` names, perhaps the `others`, and perhaps more that nobody
    reads."""

    def check(value: Any, place: str) -> None:
        _require(isinstance(value, dict), place, "an object", value)
        for name, shape in needed.items():
            if name not in value:
                raise ValueError(f"{_below(place, name)} is missing")
            shape(value[name], _below(place, name))
        for name, shape in (others or {}).items():
            if name in value:
                shape(value[name], _below(place, name))

    return check


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _require(right: bool, place: str, allowed: str, value: Any) -> None:
    if not right:
        said = repr(value)
        shown = said if len(said) <= 40 else said[:37] + "..."
        raise ValueError(f"{place or 'it'} must be {allowed}, not {shown}")
