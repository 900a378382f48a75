# SPDX-License-Identifier: MIT
"""How a duel is said: the answer in sentences, the tables, the live view, and tenk.duel/1."""
from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from harness.design.duel import ALONE, TOGETHER, TURNS, Plan
from harness.design.metrics import METRICS
from harness.judge import disturbance, duel, standings
from harness.judge.duel import Ratio
from harness.judge.tails import Tail
from harness.judge.standings import CPU, P50, P99, RATE, Reason, Standing
from harness.present import wording
from harness.present.console import BOX, PLAIN_EVERY_S
from harness.present.wording import change, fixed, half_of
from harness.store import DUEL_SCHEMA

# Wider than any terminal; and than a name should be where room is short.
WIDEST, LONG_NAME = 10_000, 26
HEADINGS = {CPU: "CPU per request", RATE: "rate", P50: "p50", P99: "p99"}
HOW = {
    TOGETHER: "at the same time on the same CPUs",
    TURNS: "one after the other, the CPUs to itself",
    ALONE: "one run after the other with nobody else alive, without controls",
}


@dataclass(frozen=True)
class Result:
    """All that is to be said at the end. standings: those of *together* first, the finest first.
    left_out: status and reason by name. alone: who spins, and how much. seconds: wall time of the
    duel; inside: share of it in slices, settling included. own_requests: who is asked in a protocol
    of its own, and what is compared then; '' where all speak the same."""

    plan: Plan
    level: str
    standings: tuple[Standing, ...]
    agree: Mapping[str, bool | None]
    status: str
    reasons: tuple[Reason, ...]
    left_out: Mapping[str, tuple[str, str]]
    alone: Mapping[str, str]
    lost: tuple[str, ...]
    seconds: float
    inside: float
    own_requests: str = ""

    def of(self, arrangement: str) -> Standing | None:
        """The standing of an arrangement; of several loads, the first that was asked for."""
        return next((s for s in self.standings if s.arrangement == arrangement), None)


# --- the answer, in words -------------------------------------------------------------------------


def answer(result: Result) -> list[str]:
    """The findings in plain sentences, most important first; at most ten."""
    reference = result.plan.reference.name
    together, turns, alone = (result.of(a) for a in (TOGETHER, TURNS, ALONE))
    sentences = []
    for name in _by_cost(result):
        own = alone if name in result.alone else turns
        sentences.append(_about(name, reference, together, own, result.agree.get(name)))
    if len(sentences) > 6:
        sentences = sentences[:6] + [f"{len(sentences) - 6} more stand in the table."]
    if turns is not None and turns.client_set_rate is not None:
        added = f"{100 * (turns.expected - 1):.1f} % more CPU per request"
        sentences.append(
            f"The client set the rate: {added} left it as it was, so the rates say nothing of the"
            " servers."
            if turns.client_set_rate
            else f"The servers set the rate: {added} lowered it."
        )
    said = [_trust(one) for one in result.standings]
    return [*sentences, *[text for text in said if text]][:10]


def _about(
    name: str,
    reference: str,
    together: Standing | None,
    turns: Standing | None,
    agree: bool | None,
) -> str:
    shared = _cpu(together, name)
    alone = _cpu(turns, name)
    if shared is None and alone is None:
        if turns is not None and turns.ratios.get(name):
            return f"{name}: its CPU time is not known; the table has its rate and latencies."
        blank = [one for one in (together, turns) if one is not None and name in one.blank]
        if blank:
            return f"{name}: {'; '.join(why_blank(one, name) for one in blank)}."
        return f"{name}: nothing could be measured."
    if shared is not None and alone is not None and agree is False:
        assert together is not None and turns is not None
        if together.rate_rps == turns.rate_rps:
            on = "how its CPU is shared"
        else:
            on = "the load and on how its CPU is shared"
        return (
            f"What {name} costs against {reference} depends on {on}: {change(shared)} beside it"
            f" ({_load(together)}), {change(alone)} with the CPU to itself ({_load(turns)})."
        )
    if shared is not None and alone is not None and agree:
        where, ratio = "beside it or alone", duel.finer(shared, alone)
    elif shared is not None and not (math.isnan(shared.lo) and alone is not None):
        where, ratio = "beside it", shared
    else:
        assert alone is not None
        where, ratio = "with the CPU to itself", alone
    if math.isnan(ratio.lo):
        return f"{name} against {reference}: {change(ratio)} CPU per request; too few runs to say."
    if ratio.lo <= 1 <= ratio.hi:
        return (
            f"{name} cannot be told from {reference} by its CPU per request, {where}:"
            f" {change(ratio)}."
        )
    if ratio.estimate > 3:
        times = f"{ratio.estimate:.3g} times (± {100 * half_of(ratio) / ratio.estimate:.2g} %)"
        return f"{name} takes {times} the CPU per request of {reference}, {where}."
    word = "more" if ratio.estimate > 1 else "less"
    return f"{name} takes {_size(ratio)} {word} CPU per request than {reference}, {where}."


def why_blank(one: Standing, name: str) -> str:
    """Why nothing of somebody counts in an arrangement, and what would help."""
    starved = one.starved.get(name, 0)
    disturbed = {
        why: count
        for why, count in one.discarded.get(name, {}).items()
        if why != disturbance.STARVED
    }
    said, remedies = [], []
    if starved:
        at = f"{wording.quantity(one.rate_rps, '')}/s each" if one.rate_rps else "a closed loop"
        said.append(
            f"in {starved} {'run' if starved == 1 else 'runs'} one side did not keep up with {at}"
        )
        remedies.append("a lower " + ("--load" if one.fraction else "-R") if one.rate_rps else "")
    if disturbed:
        slices = ", ".join(f"{why}: {count}" for why, count in sorted(disturbed.items()))
        said.append(f"slices were disturbed ({slices})")
    if not said:
        said.append(f"the slices of {one.reference} beside it were disturbed")
    if disturbed or not starved:
        remedies.append("a quieter machine or more --seconds")
    would = " and ".join(word for word in remedies if word)
    would = f"; {would} would help" if would else ""
    return f"{one.arrangement}: nothing counts: {' and '.join(said)}{would}"


def _load(one: Standing) -> str:
    return f"{wording.quantity(one.rate_rps, '')}/s each" if one.rate_rps else "closed loop"


def _trust(one: Standing) -> str:
    twin, control = _cpu(one, one.twin), _cpu(one, one.control)
    if twin is None or control is None or math.isnan(twin.lo) or math.isnan(control.lo):
        return ""
    known = (
        f"{100 * (one.expected - 1):.1f} %" if math.isfinite(one.expected) else "an unknown size"
    )
    return (
        f"May it be believed? {one.arrangement}: the reference against itself {change(twin)};"
        f" a known cost of {known} was found as {change(control)}."
    )


def _size(ratio: Ratio) -> str:
    percent = 100 * abs(ratio.estimate - 1)
    half = 100 * half_of(ratio)
    return f"{fixed(percent, half)} ± {fixed(half, half)} %"


def _cpu(one: Standing | None, name: str) -> Ratio | None:
    return None if one is None else one.ratios.get(name, {}).get(CPU)


def _by_cost(result: Result) -> list[str]:
    names = [c.name for c in result.plan.contenders[1:] if c.name not in result.left_out]

    def key(name: str) -> float:
        for one in result.standings:
            ratio = _cpu(one, name)
            if ratio is not None:
                return ratio.estimate
        return math.inf

    return sorted(names, key=key)


# --- tables ---------------------------------------------------------------------------------------


def fitted(out: Console, one: Standing) -> Table:
    """The table; where the terminal is too narrow for it, with as many cells of two lines as it
    takes. A name that is cut names nobody."""
    for cuts in ("", "["):
        found = table(one, cuts)
        need = out.measure(found, options=out.options.update(max_width=WIDEST)).maximum
        if need <= out.width:
            return found
    return table(one, "[±")


def table(one: Standing, cuts: str = "") -> Table:
    """Ratios to the reference, cheapest first; the reference's own values stand in its row. cuts:
    what begins a second line in a cell; with "±" among them, also how many slices were dropped.
    """
    stacked = "±" in cuts
    metrics = standings.METRICS[one.arrangement]
    share = f", {100 * one.fraction:.0f} % of what a pair sustains" if one.fraction else ""
    title = f"{one.arrangement}: {HOW[one.arrangement]} ({_load(one)}{share})"
    made = Table(title=title, title_justify="left", box=BOX, pad_edge=False)
    if stacked:
        made.padding = (0, 1, 0, 0)
    names = {name: _folded(name) if stacked else name for name in _rows(one)}
    made.add_column("against " + escape(names[one.reference]), no_wrap=stacked)
    for metric in metrics:
        made.add_column(HEADINGS[metric], justify="right")
    made.add_column("slices\ndropped" if stacked else "slices", justify="right", no_wrap=stacked)
    if not stacked:
        made.add_column("dropped", justify="right")
    for name in _rows(one):
        cells = [_cell(one, name, metric) for metric in metrics]
        style = "dim" if name in (one.twin, one.control) else ""
        dropped = sum(one.discarded.get(name, {}).values())
        counts = [str(one.samples.get(name, 0)), str(dropped)]
        for cut in cuts:
            cells = [cell.replace(f" {cut}", f"\n{cut}") for cell in cells]
        if stacked:
            counts = ["\n".join(counts)]
        made.add_row(escape(names[name]), *cells, *counts, style=style)
    return made


def _folded(name: str) -> str:
    """A long name, as of a path, on several lines."""
    return "\n".join(textwrap.wrap(name, LONG_NAME, break_on_hyphens=False))


def _rows(one: Standing) -> Iterator[str]:
    others = [n for n in one.names[1:] if n in one.ratios]
    found = {n: r.estimate for n in others if (r := _cpu(one, n)) is not None}
    yield one.reference
    yield from sorted(others, key=lambda n: found.get(n, math.inf))
    yield from (n for n in (one.twin, one.control) if n in one.ratios)


def _cell(one: Standing, name: str, metric: str) -> str:
    if name == one.reference:
        value = one.values.get(name, {}).get(metric)
        return "–" if value is None else wording.quantity(value, METRICS[metric].unit)
    ratio = one.ratios[name].get(metric)
    return "–" if ratio is None else change(ratio)


def notes(one: Standing) -> list[str]:
    """What stands under a table."""
    fine = [
        f"{HEADINGS[m]} {wording.resolution(r)}"
        for m, r in one.resolution.items()
        if math.isfinite(r)
    ]
    unit = "run of a pair" if one.arrangement == TOGETHER else "block"
    if one.blocks != 1:
        unit = "runs of pairs" if one.arrangement == TOGETHER else "blocks"
    lines = [
        f"resolution: {', '.join(fine) or 'not known yet'} (half of a 95 % interval) from"
        f" {one.blocks} {unit} in {wording.duration(one.seconds)}, {100 * one.inside:.0f} % of it"
        " inside slices"
    ]
    twin = _cpu(one, one.twin)
    if twin is not None:
        known = f", known to be {100 * (one.expected - 1):+.2f} %"
        control = _cpu(one, one.control)
        found = "" if control is None else f"; control {change(control)}"
        lines.append(
            f"CPU per request: twin {change(twin)}{found}"
            + (known if control is not None and math.isfinite(one.expected) else "")
        )
    hungry = {n: k for n, k in one.starved.items() if k and n != one.reference}
    if hungry:
        said = ", ".join(f"{n}: {k}" for n, k in sorted(hungry.items()))
        lines.append(f"runs left out because one side did not keep up: {said}")
    lines += [f"{name}: {why_blank(one, name)}" for name in one.blank]
    return lines


def show(out: Console, result: Result) -> None:
    """The answer, the tables, and what may be doubted."""
    out.print(f"[bold]{escape(result.level)}[/]", soft_wrap=True)
    if result.own_requests:
        out.print(escape(result.own_requests), soft_wrap=True)
    for sentence in answer(result):
        out.print(escape(sentence))
    out.print()
    for one in result.standings:
        out.print(fitted(out, one))
        for line in notes(one):
            out.print(escape(line), style="dim")
        out.print()
    for name, (status, reason) in result.left_out.items():
        out.print(escape(f"{name}: {status}: {reason}"), style="yellow")
    for name, text in result.alone.items():
        out.print(escape(f"{name}: measured alone: it {text}"), style="yellow")
    for doubt in result.reasons:
        style = "red" if doubt.status == standings.VOID else "yellow"
        out.print(escape(f"{doubt.status}: {doubt.code}: {doubt.text}"), style=style)
    share = f"{100 * result.inside:.0f} % of {wording.duration(result.seconds)} inside slices"
    out.print(f"{result.status}; {share}", style="dim")


# --- while it runs --------------------------------------------------------------------------------


class Screen:
    """A table on a terminal whose intervals shrink. Drawn between pieces only."""

    def __init__(self, out: Console, seconds: float) -> None:
        self._out = out
        self._seconds = seconds
        self._began = time.monotonic()
        self._text = ""
        self._tables: list[Any] = []
        self._live = Live(console=out, auto_refresh=False, transient=True)
        self._live.start()

    def stage(self, text: str) -> None:
        """What is about to be measured."""
        self._text = text
        self._draw()

    def update(self, found: Sequence[Standing], hint: str) -> None:
        """The standings after a piece, and when the resolution may be reached."""
        self._tables = [fitted(self._out, one) for one in found]
        self._text = hint
        self._draw()

    def end(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def _draw(self) -> None:
        line = f"{progress(self._began, self._seconds)} · {self._text}"
        self._live.update(Group(*self._tables, escape(line)), refresh=True)


class Lines:
    """Where there is no terminal: a line now and then."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()
        self._said = -math.inf

    def stage(self, text: str) -> None:
        """The first one is said; the others would be too many."""
        if math.isinf(self._said):
            self._say(text)

    def update(self, found: Sequence[Standing], hint: str) -> None:
        """Every ten seconds."""
        if time.monotonic() - self._said < PLAIN_EVERY_S:
            return
        reached = ", ".join(
            f"{one.arrangement} {wording.resolution(one.resolution[CPU])}"
            for one in found
            if math.isfinite(one.resolution.get(CPU, math.inf))
        )
        self._say(f"{reached or 'no interval yet'}{' · ' + hint if hint else ''}")

    def end(self) -> None:
        """Nothing to put back."""

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        print(f"{progress(self._began, self._seconds)} · {text}", flush=True)


def progress(began: float, seconds: float) -> str:
    """ "12 s of 1 min 00 s"."""
    return f"{wording.duration(time.monotonic() - began)} of {wording.duration(seconds)}"


def hint(found: Sequence[Standing], until: float) -> str:
    """How much longer until the wanted resolution; '' where none is wanted or nothing is known."""
    if not until or not found:
        return ""
    left = 0.0
    for one in found:
        for ratios in one.ratios.values():
            if CPU in ratios:
                left = max(left, duel.seconds_left(ratios[CPU], one.seconds, until))
    if not math.isfinite(left):
        return ""
    return f"± {100 * until:g} % in about {wording.duration(left)}"


# --- JSON -----------------------------------------------------------------------------------------


def document(result: Result) -> dict[str, Any]:
    """tenk.duel/1, without what the store adds (host, git, time). Not-a-number becomes null."""
    by_arrangement: dict[str, Any] = {}
    for one in result.standings:
        entry = _arrangement(one)
        if one.arrangement in by_arrangement:
            by_arrangement[one.arrangement]["loads"].append(entry)
        else:
            by_arrangement[one.arrangement] = {**entry, "loads": [entry]}
    plan = result.plan
    _merge_alone(by_arrangement)
    return {
        "schema": DUEL_SCHEMA,
        "reference": plan.reference.name,
        "level": {
            **_level(plan),
            "fractions": list(plan.fractions),
            "text": result.level,
            "own_requests": result.own_requests or None,
        },
        "arrangements": by_arrangement,
        "agree": dict(result.agree),
        "unsupported": [
            {"name": name, "status": status, "reason": reason}
            for name, (status, reason) in result.left_out.items()
        ],
        "lost": list(result.lost),
        "answer": answer(result),
        "verdict": {
            "status": result.status,
            "reasons": [
                {"status": r.status, "code": r.code, "text": r.text} for r in result.reasons
            ],
        },
        "inside": _number(result.inside),
        "seed": plan.seed,
        "seconds": round(result.seconds, 3),
    }


def _merge_alone(by_arrangement: dict[str, Any]) -> None:
    """Who was measured alone stands among the turns, marked: it had its CPU to itself there,
    too.
    """
    alone = by_arrangement.pop(ALONE, None)
    if alone is None:
        return
    others = [{**c, "alone": True} for c in alone["contenders"][1:]]
    turns = by_arrangement.setdefault(TURNS, {**alone, "contenders": alone["contenders"][:1]})
    turns["contenders"] = [*turns["contenders"], *others]


def _level(plan: Plan) -> dict[str, Any]:
    load = plan.load
    return {
        "loop": load.loop,
        "arrival": load.arrival,
        "protocol": load.protocol,
        "path": load.path,
        "connections": load.connections,
        "idle": load.idle,
        "offered_rps": load.offered_rps or None,
        "pipeline": load.pipeline,
        "requests_per_connection": load.requests_per_connection,
        "placement": load.placement,
        **load.special,
    }


def _arrangement(one: Standing) -> dict[str, Any]:
    judged = one.judged_control
    return {
        "contenders": [
            {
                "name": name,
                "ratio": _ratios(one, name),
                "value": {m: _number(v) for m, v in one.values.get(name, {}).items()},
                "samples": one.samples.get(name, 0),
                "discarded": sum(one.discarded.get(name, {}).values()),
                "discarded_for": dict(one.discarded.get(name, {})),
                **_tail(one.tails.get(name)),
                "starved": one.starved.get(name, 0),
            }
            for name in _rows(one)
            if name not in (one.twin, one.control)
        ],
        "twin": _ratios(one, one.twin),
        "control": {
            "expected": {CPU: _number(one.expected)},
            "known_within": _number(one.uncertainty),
            "outcome": judged.outcome if judged is not None else None,
            **_ratios(one, one.control),
        },
        "resolution": {m: _number(r) for m, r in one.resolution.items()},
        "client_set_rate": one.client_set_rate,
        "offered_rps": one.rate_rps or None,
        "fraction": one.fraction or None,
        "blocks": one.blocks,
        "rounds": one.rounds,
        "seconds": round(one.seconds, 3),
        "inside": _number(one.inside),
    }


def _ratios(one: Standing, name: str) -> dict[str, dict[str, Any]]:
    return {
        metric: {
            "estimate": _number(ratio.estimate),
            "lo": _number(ratio.lo),
            "hi": _number(ratio.hi),
            "se": _number(ratio.se),
            "freedom": _number(ratio.freedom),
            "samples": ratio.samples,
            "basis": ratio.basis,
        }
        for metric, ratio in one.ratios.get(name, {}).items()
    }


def _tail(tail: Tail | None) -> dict[str, Any]:
    if tail is None:
        return {}
    return {
        "p99_ns_median_slice": _number(tail.median_ns),
        "stalls": {"slices": tail.slices, "with_stall": tail.stalls, "share": _number(tail.share)},
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
