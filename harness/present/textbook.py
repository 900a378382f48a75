# SPDX-License-Identifier: MIT
"""Claims of the textbooks in words: the table after a run, and the page of all claims.

Pure functions.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.design.experiment import Claim, Experiment, Operand
from harness.design.metrics import METRICS
from harness.design.textbook import Textbook
from harness.judge.claims import REFUTED, SUPPORTED, UNDECIDED, Numbers, Verdict
from harness.judge.levels import LevelDuel
from harness.judge.standings import CPU
from harness.judge.textbook import DEPENDS, OUTCOMES, Settled
from harness.present import answer
from harness.present import levels as ratios
from harness.present import wording
from harness.present.claims import HEADING, PREFIXED, amount, cell, number, rows_of
from harness.store import level_text

IN_TITLE = 2  # parts that the title of a figure tells
WORDS = {SUPPORTED: "Right.", REFUTED: "Wrong.", DEPENDS: "It depends.", UNDECIDED: "Open."}


def behind(settled: Settled) -> str:
    """The number behind a verdict, in a few words: of the first part that has the verdict, or how
    many parts are what."""
    if settled.outcome == UNDECIDED:
        missing = settled.count(UNDECIDED)
        failed = [one.text for one in settled.controls if one.outcome != SUPPORTED]
        if failed:
            return f"the measurement does not show what it must: {failed[0]}"
        known = [part.outcome for part in settled.parts if part.outcome != UNDECIDED]
        others = f"; {len(known)} {known[0]}" if known else ""
        return f"{missing} of {len(settled.parts)} parts cannot be decided{others}"
    if settled.outcome == DEPENDS:
        right, wrong = settled.count(SUPPORTED), settled.count(REFUTED)
        missing = settled.count(UNDECIDED)
        left = f", {missing} cannot be decided" if missing else ""
        return f"of {len(settled.parts)} parts {right} supported, {wrong} refuted{left}"
    told = next((n for part in settled.parts for n in part.numbers), None)
    return f"{told.what} = {number(told)}" if told is not None else settled.parts[0].detail


def sentence(settled: Settled) -> str:
    """The answer of a run: the claim, the verdict, and what is behind it."""
    return f"{settled.textbook.claim} Verdict: {settled.outcome}; {behind(settled)}."


def title(one: Experiment, settled: Settled) -> str:
    """Of its figure: what was measured, the verdict behind it. One part tells it; where parts
    differ, the first that is supported and the first that is refuted."""
    claim = settled.textbook.claim.rstrip(".")
    claims = [c for c in one.claims if not c.control]
    told: dict[str, tuple[Operand, Operand | None, str]] = {}  # of each outcome the first
    for which, part in zip(claims, settled.parts):
        phrase = _phrase(one, which, part) if part.outcome != UNDECIDED else ""
        asked = [(a, b) for a, b, _ in told.values()]
        if phrase and (which.a, which.b) not in asked:  # else the same, measured in another way
            told.setdefault(part.outcome, (which.a, which.b, phrase))
    said = f"\u201c{claim}\u201d: {settled.outcome}"
    phrases = [phrase for _, _, phrase in told.values()]
    begin = "; ".join(phrases if settled.outcome == DEPENDS else phrases[:1])
    begin = begin if begin.split(" ")[0] in _models(one) else begin[:1].upper() + begin[1:]
    return f"{begin}. {said}" if told else f"{said}: {behind(settled)}"


def _models(one: Experiment) -> set[str]:
    """Names that no sentence may begin with in capitals."""
    sides = [side for claim in one.claims for side in (claim.a, claim.b) if side is not None]
    return {str(side.where.get("model")).split(" ", maxsplit=1)[0] for side in sides}


def _phrase(one: Experiment, claim: Claim, part: Verdict) -> str:
    """ "poll pays 8.20 ns per idle connection"; "" for what is no amount."""
    if not part.numbers or claim.a.metric == "probe_worked" or claim.baseline:
        return ""
    told, a, b = part.numbers[0], claim.a, claim.b
    label, model = METRICS[a.metric].label, str(a.where.get("model"))
    if a.slope:
        unit = next((f.unit for f in one.factors if f.name == a.slope), "") or a.slope
        per = f"per {unit.removesuffix('s')}"
        if told.unit == "ns":
            return f"{model} pays {amount(told.estimate, told.unit)} {per} and request"
        return f"{label} of {model}: {_bare(told)} {per}"
    at = _levels(one, a)
    if b is None:
        return f"{label} of {model}{at}: {_bare(told)}"
    if a.metric != b.metric or _levels(one, b) != at:
        return ""
    times = amount(told.estimate, told.unit)
    return answer.compared(a.metric, model, times, str(b.where.get("model"))) + at


def _bare(one: Numbers) -> str:
    """The estimate beside a label that says its unit."""
    return amount(one.estimate, one.unit if one.unit in PREFIXED else "ratio")


def _levels(one: Experiment, operand: Operand) -> str:
    """ " at 100 connections"; of each factor that the operand names, unless its word for the level
    is "", or the level is that of a server without further options."""
    units = {factor.name: factor.unit for factor in one.factors}
    words = {factor.name: factor.words for factor in one.factors}
    told, by = [], "at"
    for name, value in operand.where.items():
        known = words.get(name, {}).get(level_text(value))
        if known:
            told.append(known)
            by = "with"
        elif name != "model" and value != "" and known is None:
            unit = units.get(name) or name
            unit = unit.removesuffix("s") if value == 1 else unit
            amounts = isinstance(value, (int, float))
            told.append(f"{wording.level(value)} {unit}" if amounts else str(value))
    return f" {by} {', '.join(told)}" if told else ""


def rows(found: Sequence[Settled]) -> list[tuple[str, str, str, str]]:
    """Number, claim, verdict and what is behind it, in the order of the numbers."""
    ordered = sorted(found, key=lambda one: one.textbook.number)
    return [(str(s.textbook.number), s.textbook.claim, s.outcome, behind(s)) for s in ordered]


def tally(found: Sequence[Settled]) -> str:
    """ "25 claims: 9 supported, 7 refuted, 6 depends, 3 cannot decide"."""
    counts = Counter(one.outcome for one in found)
    parts = [f"{counts[outcome]} {outcome}" for outcome in OUTCOMES]
    claims = "claim" if len(found) == 1 else "claims"
    return f"{len(found)} {claims}: {', '.join(parts)}"


# --- the page of all claims -----------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One claim on the page. settled: None where no run of it is there. figure: its link, or ""."""

    experiment: Experiment
    settled: Settled | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    duels: Sequence[LevelDuel] = ()
    figure: str = ""


def page(entries: Sequence[Entry], overview: str = "") -> str:
    """The Markdown of docs/claims.md. overview: the link of a figure of all claims, or ""."""
    ordered = sorted(entries, key=lambda one: _textbook(one).number)
    measured = [one for one in ordered if one.settled is not None]
    lines = ["# The textbooks' claims, settled", "", _intro(measured), ""]
    if measured:
        lines += [f"**{tally([one.settled for one in measured if one.settled])}.**", ""]
    if overview:
        lines += [f"![The verdict on each claim, and on its parts]({overview})", ""]
    lines += ["| no. | claim | verdict | what is behind it |", "|---|---|---|---|"]
    for one in ordered:
        told = (one.settled.outcome, behind(one.settled)) if one.settled else ("not measured", "")
        number, name = _textbook(one).number, _textbook(one).claim
        link = f"[{cell(name)}](#{_anchor(number, name)})"
        lines.append(f"| {number} | {link} | {told[0]} | {cell(told[1])} |")
    lines += ["", *_reading()]
    for one in ordered:
        lines += ["", *_section(one)]
    return "\n".join(lines) + "\n"


def _intro(measured: Sequence[Entry]) -> str:
    command = "`harness/tenk run all-claims`"
    if not measured:
        return f"What is said of I/O models, each to be settled by a small experiment: {command}."
    hosts = list(dict.fromkeys(wording.machine(one.meta["host"]) for one in measured))
    commits = list(dict.fromkeys(str(one.meta["git"]["commit"]) for one in measured))
    days = list(dict.fromkeys(str(one.meta["started"])[:10] for one in measured))
    profiles = list(dict.fromkeys(str(one.meta["profile"]) for one in measured))
    return (
        "What is said of I/O models, each settled by a small experiment that varies one thing:"
        f" {command}. This page is made from such a run by `make claims`."
        f" Machine: {'; '.join(hosts)}. Date: {', '.join(days)}. Commit: {', '.join(commits)}."
        f" Profile: {', '.join(profiles)}."
    )


def _reading() -> list[str]:
    return [
        "*Supported* and *refuted*: the whole 95 % interval lies on one side of the bound, which"
        " stood in the experiment's file before the run. *Depends*: some part is supported and"
        " another refuted. *Cannot decide*: else, where the interval of a part holds its bound, or"
        " a control failed. A *control* is what must come out if the measurement sees anything at"
        " all; it is no part of the claim.",
        "",
        "How a part was measured: *together* or *in turns* ([duel.md](duel.md)), with n runs or"
        " blocks of fresh servers; *cells* are single runs, n of each; *slope*, a line through the"
        " cells of several levels, n in all.",
    ]


def _section(one: Entry) -> list[str]:
    told, settled = _textbook(one), one.settled
    lines = [f"## {told.number}. {told.claim}", ""]
    if settled is not None:
        lines += [f"**{WORDS[settled.outcome]}** {_sentence_case(behind(settled))}.", ""]
    lines += [f"- Said: {'; '.join(told.said)}."]
    lines += [f"- Varied: {told.varies}"]
    if told.machine:
        lines += [f"- On another machine: {told.machine}"]
    if settled is None:
        lines += [f"- Parts: {' '.join(claim.text for claim in one.experiment.claims)}"]
    lines += [f"- Again: `harness/tenk run {one.experiment.name}`"]
    if settled is not None:
        lines += ["", *HEADING]
        lines += [row for part in settled.parts for row in rows_of(part)]
        lines += [row for part in settled.controls for row in rows_of(part, "Control: ")]
        notes = _compared(one, (*settled.parts, *settled.controls))
        if notes:
            lines += ["", *(f"- {note}." for note in notes)]
    if one.figure:
        lines += ["", f"![{cell(told.claim)}]({one.figure})"]
    return lines


def _compared(one: Entry, parts: Sequence[Verdict]) -> list[str]:
    """The twin and the control of each duel that a part rests on."""
    bases = {n.basis for part in parts for n in part.numbers}
    return [
        ratios.note(level, arrangement, CPU)
        for level in one.duels
        for arrangement in level.arrangements
        if arrangement.name in bases
    ]


def _textbook(one: Entry) -> Textbook:
    assert one.experiment.textbook is not None
    return one.experiment.textbook


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:] if text[:1].isalpha() and "(" not in text[:40] else text


def _anchor(number: int, claim: str) -> str:
    """Of a heading, as GitHub makes it."""
    kept = re.sub(r"[^\w\- ]", "", f"{number}. {claim}".lower())
    return kept.replace(" ", "-")
