# SPDX-License-Identifier: MIT
"""The style of this project, as far as a machine can hold it; the direction of imports is in
test_layers.py, layout is clang-format's and black's.
"""
from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from harness.design import source
from harness.design.model import FAMILIES
from harness.measure import models
from harness.paths import ROOT, build_dir, servers_dir

SOURCES = source.sources()
CODE = {".c", ".cc", ".h", ".py", ".gp", ".sh", ".toml"}
SCRIPTS = (
    "Makefile",
    "harness/deps",
    "harness/tenk",
    ".ci/run",
    "tests/unit/run",
    "tests/fuzz/run",
)
SHARED = ("common/", "loadgen/", "servers/lib/")
MAX_COLUMNS = 100
# The formatters do not break comments and documentation. Left out: tables laid out by hand
# (loadgen), and programs in strings (tests).
MEASURED = ("servers/", "common/", "harness/", "plots/")


def tracked() -> list[Path]:
    """The files of the project; without git, those that are no output."""
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = done.stdout.split("\n") if done.returncode == 0 else []
    found = [ROOT / name for name in names if name] or list(ROOT.rglob("*"))
    skipped = {build_dir(), ROOT / "results"}
    return [p for p in found if p.is_file() and not skipped & set(p.parents)]


FILES = tracked()
TEXTS = [
    p for p in FILES if p.suffix in CODE | {".md", ".j2"} or str(p.relative_to(ROOT)) in SCRIPTS
]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", [pytest.param(p, id=named(p)) for p in paths])


def each_model() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", [pytest.param(s, id=s.path.name) for s in SOURCES])


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) >= 10 and len(TEXTS) > 100


# --- models --------------------------------------------------------------------------------------


@each_model()
def test_a_model_has_one_name_everywhere(model: source.Source) -> None:
    assert model.title == model.name == model.path.stem
    binary = servers_dir() / model.name
    assert binary.exists(), "not built under its own name"
    described = models.describe(binary)
    if not described.unavailable:
        assert described.describe["name"] == model.name


@each_model()
def test_a_model_says_what_it_is_and_what_to_look_for(model: source.Source) -> None:
    assert model.summary and model.family in FAMILIES
    for field in source.FIELDS:
        assert model.fields[field], f"the header has no '{field}:'"
    assert f"build/servers/{model.name}" in model.fields["Try"]


@each_model()
def test_what_to_try_looks_at_the_server_and_not_at_its_client(model: source.Source) -> None:
    """In a shell $! is the last command that was put into the background."""
    before, named, _ = model.fields["Try"].partition("$!")
    if named:
        assert "build/servers/" in before.split("&")[-2], "$! is another command's"


@each_model()
def test_what_to_try_asks_for_no_longer_pause_than_is_served(model: source.Source) -> None:
    wire = (ROOT / "common" / "wire.h").read_text(encoding="utf-8")
    most = re.search(r"^#define HTTP_PAUSE_US_MAX +(\d+)", wire, re.M)
    assert most
    for pause in re.findall(r"/(?:sleep|work)/(\d+)", model.fields["Try"]):
        assert int(pause) <= int(most[1]), "404"


@each_model()
def test_a_model_exports_one_symbol(model: source.Source) -> None:
    made = build_dir() / "obj" / "servers" / f"{model.name}.o"
    if not made.exists():
        pytest.skip("a library it needs is not installed, so it was not compiled")
    done = subprocess.run(
        ["nm", "--extern-only", "--defined-only", "--format=posix", str(made)],
        capture_output=True,
        text=True,
        check=True,
    )
    symbols = [line.split()[:2] for line in done.stdout.splitlines() if line.strip()]
    # Weak ones (V, W, u) are what a C++ compiler makes of templates and inline functions.
    strong = {name for name, kind in symbols if kind not in "VWu"}
    assert strong == {"model"}


def test_readme_shows_every_model_as_its_file_describes_it() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert source.table(SOURCES) in text, "README.md is behind servers/: make readme"


@each_model()
def test_a_model_is_described_alike_by_its_file_and_its_binary(model: source.Source) -> None:
    described = models.describe(servers_dir() / model.name)
    if described.unavailable:
        pytest.skip(described.unavailable)
    assert (described.family, described.summary) == (model.family, model.summary)


# --- every file ----------------------------------------------------------------------------------


@each([p for p in FILES if p.suffix in {".c", ".cc", ".h", ".py"} or named(p) in SCRIPTS])
def test_a_source_names_its_licence_at_the_top(path: Path) -> None:
    if path.stat().st_size == 0:
        return
    first = path.read_text(encoding="utf-8").split("\n", 4)[:4]
    assert any("SPDX-License-Identifier: MIT" in line for line in first)


@each(TEXTS)
def test_a_text_is_finished_and_says_nothing_of_one_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    unfinished = re.search(r"\b(TO" + "DO|FIX" + r"ME|XX" + r"X)\b", text)
    assert not unfinished, f"unfinished: {unfinished.group(0) if unfinished else ''}"
    private = re.search(r"(?<![\w.])/(?:home|root|Users)/\w", text)
    assert not private, f"a path of one machine: {private.group(0) if private else ''}"


@each(TEXTS)
def test_lines_end_plainly(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "\r" not in text
    assert not text or text.endswith("\n"), "the last line does not end"
    if path.suffix != ".md":
        trailing = [n for n, line in enumerate(text.split("\n"), 1) if line != line.rstrip()]
        assert not trailing, f"blanks at the end of lines {trailing}"


@each([p for p in TEXTS if p.suffix in {".c", ".cc", ".h", ".py"} if named(p).startswith(MEASURED)])
def test_no_line_is_longer_than_a_hundred_columns(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    long = [n for n, line in enumerate(lines, 1) if len(line.expandtabs(8)) > MAX_COLUMNS]
    assert not long, f"lines {long}"


@each([p for p in FILES if p.suffix == ".c" and p.with_suffix(".h") in FILES])
def test_a_source_includes_its_own_header_first(path: Path) -> None:
    """So that a header which lacks an include of its own is noticed where it is made."""
    includes = re.findall(r'^#include\s+[<"]([^>"]+)', path.read_text(encoding="utf-8"), re.M)
    assert includes[0] == str(path.with_suffix(".h").relative_to(ROOT))


@each([p for p in TEXTS if p.suffix in {".c", ".cc", ".h"}])
def test_a_heading_between_functions_is_one_line(path: Path) -> None:
    """clang-format moves the end of a comment of more than a hundred columns to the next line."""
    broken = re.findall(r"^/\* -{3} [^*]*-\n \*/", path.read_text(encoding="utf-8"), re.M)
    assert not broken


def test_each_struct_has_a_tag_of_its_own() -> None:
    """So that ctags and a debugger find the right one. Models and tests are programs of their own."""
    seen: dict[str, str] = {}
    for path in FILES:
        if path.suffix not in {".c", ".h"} or not named(path).startswith(SHARED):
            continue
        for tag in re.findall(
            r"^(?:struct|union) (\w+) \{", path.read_text(encoding="utf-8"), re.M
        ):
            assert tag not in seen, f"struct {tag} in {named(path)} and in {seen[tag]}"
            seen[tag] = named(path)
    assert {"conn", "session", "client"} <= set(seen)


def test_files_have_plain_names() -> None:
    """An unquoted `>=2.3` in a shell makes a file of that name."""
    strange = [named(p) for p in FILES if not re.fullmatch(r"[\w.][\w.+-]*", p.name)]
    assert not strange


FOLDERS = "harness|plots|servers|loadgen|common|tests|docs"
PLACEHOLDER = re.compile(r"/(?:[A-Z]+|mine|my_\w+)\.\w+$")


@each([p for p in TEXTS if p.suffix in {".md", ".py", ".c", ".cc", ".h"}])
def test_a_file_that_is_named_is_there(path: Path) -> None:
    """Names in comments and manuals are not compiled: they outlive what they name."""
    text = path.read_text(encoding="utf-8")
    pattern = rf"(?<![\w/.])((?:{FOLDERS})/[\w/.-]*\w\.(?:py|cc?|h|md|toml|gp|tsv|j2))(?!\w)"
    named_there = {name for name in re.findall(pattern, text) if not PLACEHOLDER.search(name)}
    gone = {name for name in named_there if not (ROOT / name).exists()}
    assert not gone


def test_every_page_of_the_manual_can_be_reached_from_the_readme() -> None:
    def links(page: Path) -> set[Path]:
        targets = re.findall(r"\]\(([^)#:]+\.md)", page.read_text(encoding="utf-8"))
        return {(page.parent / target).resolve() for target in targets}

    reached, new = set(), {ROOT / "README.md"}
    while new:
        page = new.pop()
        assert page.exists(), f"a link to {page}, which is not there"
        reached.add(page)
        new |= links(page) - reached
    assert {p for p in FILES if p.suffix == ".md" and ROOT / "docs" in p.parents} <= reached
