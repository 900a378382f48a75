# SPDX-License-Identifier: MIT
"""What a student is told of a submission: plain text for the terminal, a page for the browser.

Made of the record alone (schema tenk.submission/1), so that a page can be made again from a file.
"""
from __future__ import annotations

import csv
import io
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from harness.paths import TEMPLATES

WIDTH = 100
Record = Mapping[str, Any]

# What each outcome means, said to the student.
MEANING = {
    "ok": "Everything that was tried is right.",
    "not compiled": "The compiler did not make a program of it, so nothing was tried.",
    "cannot describe itself": "The program does not answer --describe: nobody knows what to try.",
    "no ready line": "The program started, and did not say that it is ready.",
    "crashed": "The program ended by itself while clients were there.",
    "hung": "The program lived on, and what it owed did not come.",
    "limit": "The program used more than it was allowed to use.",
    "wrong": "The program answered, and not as it should.",
    "not applicable": "Nothing that was asked for applies to this program.",
    "not reached": "There was no time to try everything.",
}


def points(value: float) -> str:
    """ "4", "2.5", "0.33"."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def score(record: Record) -> str:
    """ "12 of 20 points, 3 not applicable"; '' without a sheet."""
    if not record.get("sheet"):
        return ""
    apart = record["not_applicable"]
    more = f", {points(apart)} not applicable" if apart else ""
    return f"{points(record['points'])} of {points(record['of'])} points{more}"


def tally(record: Record) -> str:
    """ "12 ok, 3 hung": the cases by outcome."""
    count: dict[str, int] = {}
    for one in record["tried"]:
        count[one["outcome"]] = count.get(one["outcome"], 0) + 1
    return ", ".join(f"{n} {outcome}" for outcome, n in count.items()) or "nothing was tried"


def text(record: Record) -> str:
    """All of it for a terminal, at most 100 columns wide but for commands and the compiler."""
    lines = [f"{record['name']}: {record['outcome']}"]
    lines += _wrapped(MEANING[record["outcome"]], "  ")
    if not record["causes"] and record["text"]:
        lines += _wrapped(record["text"], "  ")
    if record["compiler"]:
        lines += ["", f"The compiler said ({record['warnings']} warnings):", ""]
        lines += [f"  {line}" for line in record["compiler"].splitlines()]
    for number, cause in enumerate(record["causes"], 1):
        lines += ["", *_cause(number, cause)]
    if record["credits"]:
        lines += ["", f"Points ({record['sheet']}):", ""]
        for credit in record["credits"]:
            apart = credit["not_applicable"]
            note = f" ({points(apart)} not applicable)" if apart else ""
            note += f" ({credit['note']})" if credit["note"] else ""
            earned = f"{points(credit['points']):>5} of {points(credit['of']):<4}"
            lines += _wrapped(f"{earned} {credit['what']}{note}", "  ", "                 ")
    lines += ["", f"{tally(record)}; {record['seconds']:.0f} s"]
    if record["not_bounded"]:
        lines += _wrapped(f"Not held on this machine: {', '.join(record['not_bounded'])}.", "")
    if record["sheet"]:
        lines.append(score(record))
    return "\n".join(lines) + "\n"


def _cause(number: int, cause: Record) -> list[str]:
    """One cause, one paragraph, and how to see it again."""
    where = f"{', '.join(cause['cases'])} ({', '.join(cause['protocols'])})"
    lines = _wrapped(f"{number}. {cause['title']} [{cause['outcome']}]", "", "   ")
    lines += _wrapped(f"Seen: {cause['text']}", "   ")
    lines += _wrapped(f"In: {where}", "   ")
    if cause["usually"]:
        lines += _wrapped(f"What usually goes wrong: {cause['usually']}", "   ")
    if cause["report"]:
        lines += ["   The sanitizer says:", *(f"     {row}" for row in cause["report"].split("\n"))]
    return [*lines, "   To see it:", *(f"     {command}" for command in cause["again"])]


def _wrapped(said: str, indent: str, hanging: str | None = None) -> list[str]:
    rest = indent if hanging is None else hanging
    found = []
    for number, line in enumerate(said.splitlines()):
        first = rest if number else indent
        found += textwrap.wrap(line, WIDTH, initial_indent=first, subsequent_indent=rest)
    return found


# --- all of a course -----------------------------------------------------------------------------


def table(records: Sequence[Record]) -> str:
    """One line for each submission, for the terminal."""
    left = max([len(record["name"]) for record in records] + [10])
    lines = [f"{'submission':{left}}  {'outcome':22} {'points':>13} {'s':>5}  causes"]
    for record in records:
        earned = f"{points(record['points'])} of {points(record['of'])}" if record["of"] else "-"
        found = ", ".join(cause["cause"] for cause in record["causes"])
        row = f"{record['name']:{left}}  {record['outcome']:22} {earned:>13}"
        lines.append(f"{row} {record['seconds']:5.0f}  {found}".rstrip())
    return "\n".join(lines) + "\n"


def as_csv(records: Sequence[Record]) -> str:
    """One row for each submission, for a spreadsheet."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(
        ["name", "outcome", "points", "of", "not_applicable", "warnings", "seconds", "causes"]
    )
    for record in records:
        found = " ".join(cause["cause"] for cause in record["causes"])
        numbers = [points(record[key]) for key in ("points", "of", "not_applicable")]
        rest = [record["warnings"], f"{record['seconds']:.1f}", found]
        rows.writerow([_plain(record["name"]), record["outcome"], *numbers, *rest])
    return out.getvalue()


def _plain(name: str) -> str:
    """A spreadsheet takes a cell that begins so for a formula."""
    return f"'{name}" if name[:1] in "=+-@" else name


def page(record: Record) -> str:
    """The page of one student, which shows nothing of the others."""
    return _render("student.html.j2", record=record, score=score(record), tally=tally(record))


def overview(records: Sequence[Record], title: str, links: Mapping[str, str]) -> str:
    """The teacher's page; links: name → address of that student's page."""
    return _render(
        "grades.html.j2", records=records, title=title, links=links, causes=often(records)
    )


def often(records: Sequence[Record]) -> list[tuple[str, str, int]]:
    """What to speak of in the next lesson: each cause, its sentence, in how many submissions; the
    most frequent first."""
    titles = {cause["cause"]: cause["title"] for record in records for cause in record["causes"]}
    count = Counter(name for one in records for name in {c["cause"] for c in one["causes"]})
    return [
        (name, titles[name], count[name]) for name in sorted(count, key=lambda n: (-count[n], n))
    ]


def _render(name: str, **values: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True
    )
    environment.filters["points"] = points
    return environment.get_template(name).render(meaning=MEANING, **values)
