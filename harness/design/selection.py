# SPDX-License-Identifier: MIT
"""Which models: by name, by glob, by family, or as a set that harness/sets.toml names."""
from __future__ import annotations

import fnmatch
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.design.load import OWN_OPTIONS
from harness.design.model import FAMILIES, Model
from harness.errors import UsageError
from harness.paths import SETS

ALL = "all"
FAMILY = "family:"
HOW = (
    "names, globs as 'epoll_*', family:NAME, a set, or all, with commas between them;"
    " also a name with its options, as 'thread_pool -w 32', and guest:NAME or 'guest:*'"
)


def sets(path: Path = SETS) -> dict[str, tuple[str, ...]]:
    """The named sets, each with its models in the order of the file."""
    with open(path, "rb") as file:
        return {name: tuple(one["models"]) for name, one in tomllib.load(file).items()}


def words(text: str) -> tuple[str, ...]:
    """ "poll,epoll_*" as its words."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def with_options(word: str, option: str) -> tuple[str, tuple[str, ...]]:
    """ "thread_pool -w 32" as name and options; UsageError, with the option's name, where it is not
    to be understood, or where the harness sets one of them."""
    try:
        name, *options = shlex.split(word)
    except ValueError as error:
        raise UsageError(option, word, f"a model and its options: {error}") from None
    for one in options:
        # Short options may carry their value: -p80.
        if one.split("=")[0] in OWN_OPTIONS or one[:2] in OWN_OPTIONS:
            raise UsageError(option, word, f"{', '.join(OWN_OPTIONS)} are set by the harness")
    return name, tuple(options)


def is_pattern(word: str) -> bool:
    """Whether the word may stand for several models; a path or an address does not."""
    if not re.fullmatch(r"[\w:*?!\[\]-]+", word):
        return False
    return word == ALL or word.startswith(FAMILY) or any(c in word for c in "*?[") or word in sets()


def select(catalogue: Sequence[Model], wanted: Sequence[str], option: str) -> list[Model]:
    """The models that any of the words stands for, each once, in catalogue order.

    Of a set, what is not in the catalogue is left out. UsageError, with the option's name, for a
    word that stands for nothing, and where there is no word.
    """
    known = sets()
    names = {name for word in wanted for name in _named(catalogue, word, known, option)}
    if not wanted:
        raise UsageError(option, "", f"name at least one: {_known(catalogue, known)}")
    return [model for model in catalogue if model.name in names]


def _named(
    catalogue: Sequence[Model], word: str, known: Mapping[str, Sequence[str]], option: str
) -> list[str]:
    names = [model.name for model in catalogue]
    if word in names:  # before sets: a model that happens to be called like one
        return [word]
    if word == ALL:
        return names
    if word.startswith(FAMILY):
        family = word.removeprefix(FAMILY)
        if family not in FAMILIES:
            raise UsageError(option, word, f"families: {', '.join(FAMILIES)}")
        found = [model.name for model in catalogue if model.family == family]
    elif word in known:
        found = [name for name in known[word] if name in names]
    else:
        found = fnmatch.filter(names, word)
    if not found:
        raise UsageError(option, word, f"it stands for no model here; {_known(catalogue, known)}")
    return found


def _known(catalogue: Sequence[Model], known: Mapping[str, Sequence[str]]) -> str:
    """What may be said, for an error's last words."""
    return (
        f"known models: {', '.join(model.name for model in catalogue)};"
        f" also {FAMILY}{FAMILIES[0]} and the like, a set ({', '.join([*known, ALL])})"
        " or a glob such as 'epoll_*'"
    )


def by_family(catalogue: Sequence[Model]) -> list[tuple[str, list[Model]]]:
    """The models of each family, families in their order; of unknown family last."""
    order = [*FAMILIES, *sorted({m.family for m in catalogue} - set(FAMILIES))]
    grouped = [(family, [m for m in catalogue if m.family == family]) for family in order]
    return [(family, found) for family, found in grouped if found]
