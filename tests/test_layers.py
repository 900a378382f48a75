# SPDX-License-Identifier: MIT
"""The direction of imports: what docs/architecture.md draws, held against every import there is.

Imports inside functions and those for type checkers count like any other: to understand a module,
one reads what it names. There is no list of exceptions.
"""
from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each floor may use itself and what stands here. The files right under harness/ are the ground that
# all others stand on; only the command line, which holds the commands together, is on top, and the
# store is a floor of its own.
BELOW: Mapping[str, frozenset[str]] = {
    "cli": frozenset({"commands", "measure", "base"}),
    "commands": frozenset(
        {"present", "judge", "measure", "conformance", "design", "store", "base"}
    ),
    "present": frozenset({"judge", "design", "store", "base"}),
    "judge": frozenset({"design", "store", "base"}),
    "conformance": frozenset({"measure", "design", "store", "base"}),
    "measure": frozenset({"design", "store", "base"}),
    "design": frozenset({"store", "base"}),
    "store": frozenset({"base"}),
    "base": frozenset(),
}


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read(root: Path, *packages: str) -> dict[str, Path]:
    """Every module below those folders, by its dotted name."""
    paths = (path for package in packages for path in (root / package).rglob("*.py"))
    return {module_name(path, root): path for path in paths}


def imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules among `known` that a file names, wherever in it and however."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; name it in full"
            within = [f"{node.module}.{alias.name}" for alias in node.names]
            wanted = [name if name in known else str(node.module) for name in within]
        elif isinstance(node, ast.Call) and _calls_import(node):
            wanted = [a.value for a in node.args if isinstance(a, ast.Constant)]
        else:
            continue
        yield from (name for name in wanted if name in known)


def _calls_import(node: ast.Call) -> bool:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name in ("import_module", "__import__")


def graph(known: Mapping[str, Path]) -> dict[str, set[str]]:
    return {name: set(imported(path, known)) - {name} for name, path in known.items()}


def floor(module: str) -> str:
    """Where a module of the harness stands: in its package, or right under harness/."""
    _, _, within = module.partition(".")
    package, _, _ = within.partition(".")
    return package if package in BELOW else "base"


def packages(root: Path) -> set[str]:
    return {path.parent.name for path in (root / "harness").glob("*/__init__.py")}


def wrong_way(arrows: Mapping[str, set[str]]) -> list[str]:
    return [
        f"{module} ({floor(module)}) must not know {other} ({floor(other)})"
        for module, others in sorted(arrows.items())
        for other in sorted(others)
        if floor(other) != floor(module) and floor(other) not in BELOW[floor(module)]
    ]


def circle(arrows: Mapping[str, set[str]]) -> list[str]:
    """Some circle of modules, or []: what is left when nobody unused or unusing remains."""
    left = {name: set(others) for name, others in arrows.items()}
    while ends := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in ends}
    used = {other for others in left.values() for other in others}
    return sorted(left.keys() & used)


def test_every_import_in_the_harness_points_down() -> None:
    arrows = graph(read(ROOT, "harness"))
    assert packages(ROOT) <= set(BELOW), "a package nobody has given a floor"
    assert {floor(module) for module in arrows} == set(BELOW)
    assert not wrong_way(arrows)


@pytest.mark.parametrize("package", ["harness", "plots"])
def test_no_two_modules_need_each_other(package: str) -> None:
    assert not circle(graph(read(ROOT, package)))


def test_plots_know_the_harness_only_through_its_files() -> None:
    both = read(ROOT, "harness", "plots")
    known = {
        f"{module} knows {other}"
        for module, others in graph(both).items()
        for other in others
        if module.startswith("plots") and other.startswith("harness")
    }
    assert not known


def test_nobody_but_a_command_asks_for_figures() -> None:
    askers = {
        floor(module)
        for module, others in graph(read(ROOT, "harness", "plots")).items()
        if module.startswith("harness") and any(other.startswith("plots") for other in others)
    }
    assert askers == {"commands"}


@pytest.mark.parametrize(
    "text",
    [
        "from harness.present import console",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import harness.present.console",
        "def late() -> None:\n    from harness.present.console import Bar",
        "import importlib\nx = importlib.import_module('harness.present.console')",
    ],
)
def test_an_import_that_points_up_is_seen_however_it_is_written(tmp_path: Path, text: str) -> None:
    for name, content in (("judge", text), ("present", "")):
        (tmp_path / "harness" / name).mkdir(parents=True)
        (tmp_path / "harness" / name / "console.py").write_text(content, encoding="utf-8")
    arrows = graph(read(tmp_path, "harness"))
    assert wrong_way(arrows) == [
        "harness.judge.console (judge) must not know harness.present.console (present)"
    ]


def test_a_circle_is_seen(tmp_path: Path) -> None:
    (tmp_path / "harness").mkdir()
    for name, other in (("a", "b"), ("b", "c"), ("c", "a"), ("above", "a")):
        text = f"from harness import {other}\n"
        (tmp_path / "harness" / f"{name}.py").write_text(text, encoding="utf-8")
    assert circle(graph(read(tmp_path, "harness"))) == ["harness.a", "harness.b", "harness.c"]
