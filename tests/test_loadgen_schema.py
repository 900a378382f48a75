# SPDX-License-Identifier: MIT
"""docs/loadgen.md says of the JSON what is in it, field by field, and of errors every kind."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadgen_util import measure, model, run

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "loadgen.md").read_text(encoding="utf-8")
CHAPTER = PAGE.partition("## JSON: schema `tenk.loadgen/2`\n")[2].partition("\n## ")[0]

# Of several of the same kind one is described.
SAME = (
    (r"^targets\[\]\.(?!url$|server_cpu$|verdict)", ""),
    (r"^targets\[\]\.verdict\.", "verdict."),
    (r"^populations\.[a-z_]+", "populations.<name>"),
    (r"^populations\.<name>\.requests\.", "requests."),
    (r"^classes\.[a-z]+", "classes.<name>"),
    (r"^(populations|classes)\.<name>\.latency_ns\.", "latency_ns.*."),
    (r"^latency_ns\.[a-z_]+\.", "latency_ns.*."),
    (r"errors\.[a-z-]+$", "errors.<kind>"),
    (r"^config\.(?!urls?(\[\])?$|server-cpu|slice$|settle$)[a-z-]+(\[\])?$", "config.<option>"),
    (r"^host\.local_ports\[\]", "host.local_ports"),
    (r"^config\.(urls|server-cpu)\[\]", r"config.\1"),
)


def paths(value: Any, at: str = "") -> Iterator[str]:
    """Where a document has values that hold no others, as a.b and a[].b."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from paths(part, f"{at}.{key}" if at else key)
    elif isinstance(value, list) and value:
        for part in value:
            yield from paths(part, f"{at}[]")
    else:
        yield at


def one_name(path: str) -> str:
    """The name by which the page tells of it."""
    for pattern, name in SAME:
        path = re.sub(pattern, name, path)
    return path


def described() -> set[str]:
    """Every field that the tables of the chapter name; ".b" after "a.c" is "a.b", and below a list
    one of its elements."""
    found: set[str] = set()
    around = ""
    for line in CHAPTER.splitlines():
        cells = line.split(" | ")
        if not cells[0].startswith("| `"):
            continue
        for name in re.findall(r"`([^`]+)`", cells[0]):
            if name.startswith("."):
                name = around + name
            found.add(name)
            around = name.rpartition(".")[0]
        if name.endswith("[]"):
            around = name
            # The fields of small elements stand in the sentence.
            inner = re.findall(r"`([a-z0-9_]+)`", cells[-1].partition("everything")[0])
            found |= {f"{name}.{field}" for field in inner}
        elif name.startswith("slices[]"):
            around = "slices[]"
    return found


def test_every_field_of_a_result_is_described_and_every_field_described_is_there(
    tmp_path: Path,
) -> None:
    requests = tmp_path / "requests"
    requests.write_text("GET / 2 page\nGET /nothing 1 wrong\n", encoding="utf-8")
    with model("epoll_lt", "http") as a, model("epoll_lt", "http") as b:
        everybody = ["--idle", "1", "--silent", "1", "--slow-readers", "1", "--slow-writers", "1"]
        everybody += ["--short-lived", "1", "--requests", str(requests), "--warmup-passes", "1"]
        everybody += ["--stamps", "kernel", "--way", str(tmp_path / "way")]
        single = measure(
            a.url("http", "/"), "-c", "2", *everybody, "--server-cpu", f"pid:{a.pid}", seconds=0.2
        )
        sources = ["--server-cpu", f"pid:{a.pid}", "--server-cpu", "none"]
        both = run(
            *("-c", "2", "-R", "500", "--rounds", "1", "--warmup", "100ms", "--json", "-"),
            *(*sources, a.url("http", "/"), b.url("http", "/")),
        )
    raw = {path for done in (single, both) for path in paths(done.json)}
    there = {one_name(path) for path in raw | parents(raw)}
    named = described()
    assert len(named) > 120
    assert there - named - parents(named) == set(), "not described"
    # What is null or empty in one run is not in the other; an error has a kind only where it is.
    assert {re.sub(r"\.<kind>$", "", name) for name in named} - there == set(), "not there"


def parents(names: set[str]) -> set[str]:
    """What the names are in: of a.b[].c a.b[], a.b and a."""
    found: set[str] = set()
    for name in names:
        while "." in name or name.endswith("[]"):
            name = name[:-2] if name.endswith("[]") else name.rpartition(".")[0]
            found.add(name)
    return found


def test_every_kind_of_error_is_described() -> None:
    source = (ROOT / "loadgen" / "record.c").read_text(encoding="utf-8")
    kinds = re.findall(r'\[FAILURE_[A-Z_]+\] = "([a-z-]+)"', source)
    sentence = PAGE.partition("\nKinds of error: ")[2].partition("After a\nfailure")[0]
    assert len(kinds) > 10 and re.findall(r"`([a-z-]+)`", sentence) == kinds


def test_every_reason_of_a_verdict_is_described() -> None:
    source = (ROOT / "loadgen" / "verdict.c").read_text(encoding="utf-8")
    codes = set(re.findall(r'\badd\(\s*v,[^"]*?"([a-z-]+)"', source))
    table = PAGE.partition("\n## Verdict\n")[2].partition("\n### ")[0]
    assert len(codes) > 10 and set(re.findall(r"^\| `([a-z-]+)` \|", table, re.M)) == codes
