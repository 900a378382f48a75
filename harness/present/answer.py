# SPDX-License-Identifier: MIT
"""The answer of a run in a few sentences, and the titles of its figures. Pure functions to text."""
from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.design.experiment import CLAIMS, Experiment
from harness.design.load import Load
from harness.design.metrics import METRICS
from harness.judge.claims import SUPPORTED, UNDECIDED, Verdict
from harness.judge.findings import Answer, Difference, Finding, Hidden, Kept, Slopes
from harness.judge.ratios import MIN_REPLICATES
from harness.judge.slope import Slope
from harness.present import claims, wording
from harness.store import level_text

SCHEMA = "tenk.answer/1"
MOST_SENTENCES = 10  # of all experiments of one `tenk run`
# How many models a sentence or a title names before it says how many more there are.
NAMED = 5
NAMED_IN_TITLE = 3
# A title that names a difference of so much leaves out all smaller ones; and where none is larger
# than the second, it says that. The sentences below it have them all.
LARGE, SMALL = 1.1, 1.02

# What "2 times" is of, and the pair of words for less and more of it.
_NOUNS = {
    "server_cpu_us_per_request": "the server CPU",
    "server_user_us_per_request": "the user CPU",
    "server_system_us_per_request": "the system CPU",
    "requests_per_cpu_second": "the requests per second of server CPU",
    "throughput_rps": "the throughput",
    "user_bytes_per_connection": "the user memory per connection",
    "kernel_bytes_per_connection": "the kernel memory per connection",
    "syscalls_per_request": "the system calls per request",
    "context_switches_per_request": "the context switches per request",
    "waits_per_request": "the waiting calls per request",
}
_VERBS = {
    "server_cpu_us_per_request": "a request costs",
    "server_user_us_per_request": "a request costs",
    "server_system_us_per_request": "a request costs",
}


def sentences(
    experiment: Experiment, answer: Answer, verdicts: Sequence[Verdict] = ()
) -> list[str]:
    """The answer of one run, most important first; each stands alone. verdicts: on its claims."""
    said = []
    wanted = experiment.answers or (experiment.metric,)
    for one in answer.slopes:
        said += _slope_sentences(experiment, one)
    found = {finding.metric: finding for finding in answer.findings}
    # A claim may rest on what was measured together, where no two single runs can be compared.
    pairs = zip(experiment.claims, verdicts) if CLAIMS in wanted else ()
    settled = {claim.a.metric for claim, verdict in pairs if verdict.outcome != UNDECIDED}
    for metric in wanted:
        if metric == CLAIMS:
            said += claims.sentences(experiment.claims, verdicts)
        elif metric in found:
            said += _finding_sentences(experiment, found[metric])
        elif metric not in settled and not answer.hidden:
            said.append(_nothing_sentence(metric))
    if answer.kept:
        said.append(_kept_sentence(answer.kept))
    said += [_hidden_sentence(one) for one in answer.hidden[-1:]]
    if answer.busy:
        said.append(_busy_sentence(answer.busy))
    return said


def shortened(parts: Sequence[Sequence[str]], most: int = MOST_SENTENCES) -> list[list[str]]:
    """At most `most` sentences in all: each part keeps its first ones, by turns."""
    kept = [0] * len(parts)
    while sum(kept) < most and any(k < len(p) for k, p in zip(kept, parts)):
        for i, part in enumerate(parts):
            if kept[i] < len(part) and sum(kept) < most:
                kept[i] += 1
    return [list(part[:k]) for k, part in zip(kept, parts)]


def titles(experiment: Experiment, answer: Answer) -> dict[str, str]:
    """For each metric with a finding, one line that says what was found."""
    found = {f.metric: _title(experiment, f) for f in answer.findings}
    for one in answer.slopes:
        found[f"slope:{one.metric}"] = _slope_title(experiment, one)
    if answer.kept:
        found["kept"] = _kept_title(answer.kept)
    if answer.hidden:
        found["hidden"] = _hidden_sentence(answer.hidden[-1]).rstrip(".")
    return found


def _claimed(experiment: Experiment, verdicts: Sequence[Verdict]) -> dict[str, str]:
    """The title of a figure about levels and not about models: the first claim that holds of what
    the figure shows, the main metric."""
    held = [
        verdict.text
        for claim, verdict in zip(experiment.claims, verdicts)
        if verdict.outcome == SUPPORTED
        and claim.a.metric == experiment.metric
        and not claim.control
    ]
    return {"factor": held[0].rstrip(".")} if held else {}


def document(
    experiment: Experiment, answer: Answer, verdicts: Sequence[Verdict] = ()
) -> dict[str, Any]:
    """answer.json: the sentences, the titles of the figures, and the numbers behind them; of each
    claim the outcome, and what it rests on as data (null where there is no number)."""
    return {
        "schema": SCHEMA,
        "experiment": experiment.name,
        "sentences": sentences(experiment, answer, verdicts),
        "titles": {**titles(experiment, answer), **_claimed(experiment, verdicts)},
        "slopes": [
            {
                "model": s.model,
                "metric": s.metric,
                "factor": s.factor,
                "unit": s.unit,
                "estimate": s.value,
                "lo": _number(s.lo),
                "hi": _number(s.hi),
                "bent": s.bent,
            }
            for one in answer.slopes
            for s in (*one.pays, *one.free)
        ],
        "kept_up_rps": {k.model: k.rate for k in answer.kept},
        "claims": [
            {**_claim(verdict), "control": claim.control}
            for claim, verdict in zip(experiment.claims, verdicts)
        ],
    }


def _claim(verdict: Verdict) -> dict[str, Any]:
    return {
        "text": verdict.text,
        "outcome": verdict.outcome,
        "absent": verdict.absent,
        "detail": verdict.detail,
        "numbers": [
            {k: _number(v) if isinstance(v, float) else v for k, v in vars(one).items()}
            for one in verdict.numbers
        ],
    }


def markdown(experiment: Experiment, said: Sequence[str]) -> str:
    """answer.md: the question, and the sentences that answer it."""
    lines = [f"# {experiment.title}", "", experiment.question, ""]
    return "\n".join([*lines, *(f"- {sentence}" for sentence in said)]) + "\n"


def compared(metric: str, model: str, ratio: str, reference: str) -> str:
    """ "a request costs poll 1.5 times the server CPU of epoll_lt"; ratio: "1.5"."""
    verb = f"{_VERBS[metric]} {model}" if metric in _VERBS else f"{model} has"
    return f"{verb} {ratio} times {_of(metric)} of {reference}"


# --- ratios ---------------------------------------------------------------------------------------


def times(value: float) -> str:
    """A ratio: "1.07", "12.3", "130"; "infinitely many" where there is no number."""
    if math.isinf(value):
        return "infinitely many"
    if value >= 99.5:
        return f"{float(f'{value:.2g}'):.0f}"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def _interval(difference: Difference) -> str:
    at = difference.at
    if not (math.isfinite(at.lo) and math.isfinite(at.hi)):
        return ""
    return f" [{times(at.lo)}, {times(at.hi)}]"


def _at(experiment: Experiment, factors: Mapping[str, Any]) -> str:
    """ "at 10k connections"; every factor that has several levels, in its own unit. Where the
    experiment has words for one: "with 10k connections and no idle one"."""
    units = {f.name: f.unit for f in experiment.factors}
    words = {(f.name, level): said for f in experiment.factors for level, said in f.words.items()}

    def told(name: str, level: Any) -> str:
        if said := words.get((name, level_text(level))):
            return said
        if isinstance(level, (int, float)):
            return _amount_of(level, units.get(name) or name)
        return f"{name} {level or '–'}"

    by_name = any((name, level_text(level)) in words for name, level in factors.items())
    said = " and ".join(told(name, level) for name, level in factors.items())
    return f"{'with' if by_name else 'at'} {said}"


def _amount_of(value: float, unit: str) -> str:
    """ "1 connection", "10k connections"."""
    return f"{wording.level(value)} {unit.removesuffix('s') if value == 1 else unit}"


def _list(words: Sequence[str], most: int = NAMED) -> str:
    """ "a, b and c"; beyond `most` the rest is counted."""
    shown = list(words[:most])
    if len(words) > most:
        shown.append(f"{len(words) - most} more")
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def _of(metric: str) -> str:
    return _NOUNS.get(metric, f"the {METRICS[metric].label}")


def _finding_sentences(experiment: Experiment, finding: Finding) -> list[str]:
    said = []
    for side, word in ((finding.more, "more"), (finding.less, "less")):
        here = [d for d in side if d.at.factors == finding.factors]
        if here:
            pairs = [(d.model, f"{times(d.at.estimate)}{_interval(d)}") for d in here[:NAMED]]
            rest = len(here) - len(pairs)
            also = f"; {rest} other{'s have' if rest > 1 else ' has'} {word}, too" if rest else ""
            said.append(f"{_sentence(experiment, finding, pairs)}{also}.")
    both = (*finding.more, *finding.less)
    # Levels of several factors, or of words, are in no order in which something could begin.
    ordered = all(isinstance(level, (int, float)) for level in finding.factors.values())
    if ordered and len(finding.factors) == 1 and any(d.since is not None for d in both):
        said.append(_since_sentence(experiment, both))
    there = [d for d in both if d.at.factors != finding.factors]
    if there:
        told = [
            f"{d.model} {times(d.at.estimate)}{_interval(d)} times"
            f" {_at(experiment, d.at.factors)}"
            for d in there
        ]
        said.append(f"At other levels: {_list(told)}.")
    if finding.alike:
        alike = _list(finding.alike)
        is_ = "is" if len(finding.alike) == 1 else "are"
        said.append(f"{alike} {is_} within 10 % of {finding.reference} in {_label(finding)}.")
    if finding.open:
        said.append(_open_sentence(experiment, finding))
    return said


def _since_sentence(experiment: Experiment, found: Sequence[Difference]) -> str:
    """From where on the differences hold: a sentence of its own, since models may not agree."""
    always = [d.model for d in found if d.always]
    later = [d for d in found if d.since is not None and not d.always]
    told = [f"is there at every lower level for {_list(always)}"] if always else []
    starts = [
        f"{_at(experiment, start)} for {_list([d.model for d in later if d.since == start])}"
        for start in _distinct([d.since for d in later if d.since is not None])
    ]
    if starts:
        told.append(f"begins {_list(starts)}")
    return f"The difference {', and '.join(told)}."


def _sentence(experiment: Experiment, finding: Finding, told: Sequence[tuple[str, str]]) -> str:
    """ "At 10k connections a request costs fork 2.2 times the server CPU of epoll_lt".

    told: models, whose names may have options, each with how many times."""
    verb = _VERBS.get(finding.metric)
    has = [" " if verb or index else " has " for index in range(len(told))]
    words = _list([f"{model}{verb_}{times_}" for (model, times_), verb_ in zip(told, has)])
    start = _at(experiment, finding.factors)
    start = start[:1].upper() + start[1:]
    end = f"times {_of(finding.metric)} of {finding.reference}"
    return " ".join([start, *([verb] if verb else []), words, end])


def _nothing_sentence(metric: str) -> str:
    return (
        f"Nothing can be said of {METRICS[metric].label}: at no level have two models"
        f" {MIN_REPLICATES} replicates to compare; more of them would tell (`--profile full`)."
    )


def _label(finding: Finding) -> str:
    return METRICS[finding.metric].label


def _open_sentence(experiment: Experiment, finding: Finding) -> str:
    """What cannot be told, and what would tell it."""
    wide = (
        f" (the intervals are ± {100 * finding.half_width:.0f} %)"
        if math.isfinite(finding.half_width)
        else ""
    )
    here = finding.open_here or finding.open
    text = f"{_list(here)} cannot be told from {finding.reference} in {_label(finding)}{wide}"
    if elsewhere := [model for model in finding.open if model not in here]:
        text += f", nor {_list(elsewhere)} where only other levels were compared"
    if not finding.open_here:
        return f"{text}."
    options = _options(experiment, finding.factors)
    if options is None:
        return f"{text}."
    named = map(shlex.quote, [finding.reference, *finding.open_here[:NAMED_IN_TITLE]])
    return f"{text}; `{' '.join(['harness/tenk duel', *named, *options])}` would tell more."


def _options(experiment: Experiment, factors: Mapping[str, Any]) -> list[str] | None:
    """The options of `tenk duel` for a level of this experiment; None where it has none for it."""
    load, usual = replace(experiment.base, **factors), Load()
    found = [
        ("-c", load.connections, None),
        ("--idle", load.idle, usual.idle),
        ("-R", load.offered_rps, usual.offered_rps),
        ("--protocol", load.protocol, usual.protocol),
        ("--path", load.url_target or usual.path, usual.path),
        ("--pipeline", load.pipeline, usual.pipeline),
        ("--requests-per-connection", load.requests_per_connection, 0),
    ]
    if load.special.keys() - {"reply_bytes"}:
        return None
    return [
        word
        for option, value, default in found
        if value != default
        for word in (option, f"{value:g}" if isinstance(value, float) else str(value))
    ]


def _title(experiment: Experiment, finding: Finding) -> str:
    here = [d for d in (*finding.more, *finding.less) if d.at.factors == finding.factors]
    largest = max((_size(d) for d in here), default=1.0)
    if here and largest <= SMALL:
        start = _at(experiment, finding.factors)
        return (
            f"{start[:1].upper()}{start[1:]} no difference from {finding.reference} in"
            f" {_label(finding)} that can be told is over {100 * (SMALL - 1):.0f} %"
        )
    if here:
        here = [d for d in here if _size(d) >= LARGE] or here
        more = [d for d in here if d.at.estimate > 1][:NAMED_IN_TITLE]
        less = [d for d in here if d.at.estimate < 1][: max(1, NAMED_IN_TITLE - len(more))]
        told = [(d.model, times(d.at.estimate)) for d in (*more, *less)]
        return _sentence(experiment, finding, told)
    if finding.alike:
        is_ = "is" if len(finding.alike) == 1 else "are"
        return (
            f"{_list(finding.alike)} {is_} within 10 % of {finding.reference}"
            f" in {_label(finding)}"
        )
    wide = f" (± {100 * finding.half_width:.0f} %)" if math.isfinite(finding.half_width) else ""
    return f"No model can be told from {finding.reference} in {_label(finding)}{wide}"


def _size(difference: Difference) -> float:
    """How many times as much, or as little: 1.25 for 0.8 too."""
    value = difference.at.estimate
    return value if value >= 1 else 1 / value if value > 0 else math.inf


def _distinct(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


# --- slopes ---------------------------------------------------------------------------------------


def _amount(value: float) -> str:
    """Two digits, and no more than a hundredth."""
    if abs(value) >= 9.95:
        return f"{float(f'{value:.2g}'):.0f}"
    return f"{value:.1f}" if abs(value) >= 0.95 else f"{value:.2f}"


def _unit(experiment: Experiment, factor: str) -> str:
    """One of the factor's unit: "idle connection"."""
    unit = next((f.unit for f in experiment.factors if f.name == factor), factor) or factor
    return unit.removesuffix("s")


def _slope_sentences(experiment: Experiment, slopes: Slopes) -> list[str]:
    said = []
    one = _unit(experiment, slopes.factor)
    if slopes.pays:
        told = _list(
            [f"{s.model} {_amount(s.value)} {s.unit} {_bounds(s)}".rstrip() for s in slopes.pays]
        )
        said.append(f"Each {one} costs every request of {told}.")
    if slopes.free:
        most = max(s.hi for s in slopes.free)
        names = _list([s.model for s in slopes.free])
        unit = slopes.free[0].unit
        said.append(
            f"Each {one} costs {names} nothing that was seen: at most {_amount(most)} {unit}."
        )
    if slopes.unknown:
        said.append(f"What each {one} costs {_list(slopes.unknown)} cannot be told from this run.")
    bent = [s.model for s in (*slopes.pays, *slopes.free) if s.bent]
    if bent:
        said.append(f"For {_list(bent)} the cost does not grow along a straight line.")
    if not said:
        said.append(f"What each {one} costs was not measured often enough to tell.")
    return said


def _bounds(slope: Slope) -> str:
    return f"[{_amount(slope.lo)}, {_amount(slope.hi)}]"


def _slope_title(experiment: Experiment, slopes: Slopes) -> str:
    one = _unit(experiment, slopes.factor)
    pays = slopes.pays[:NAMED_IN_TITLE]
    free = [s.model for s in slopes.free]
    if not pays and not free:
        return f"What each {one} costs a request could not be told"
    if not pays:
        most = _amount(max(s.hi for s in slopes.free))
        return f"No model pays for an {one}: at most {most} {slopes.free[0].unit} per request"
    told = _list([f"{s.model} {_amount(s.value)} {s.unit}" for s in pays])
    text = f"Each {one} costs a request of {told}"
    if not free:
        return text
    named = free if len(free) <= NAMED_IN_TITLE else [*free[:2], f"{len(free) - 2} more"]
    return f"{text}, of {_list(named)} nothing that was seen"


# --- load -----------------------------------------------------------------------------------------


def _groups_of_rates(kept: Sequence[Kept]) -> list[tuple[str, list[str]]]:
    """Models by the rate they kept up with, best first."""
    rates: dict[str, list[str]] = {}
    for one in kept:
        text = f"{wording.level(one.rate)}/s" if one.rate else "none"
        rates.setdefault(f"at least {text}" if one.capped else text, []).append(one.model)
    return list(rates.items())


def _kept_sentence(kept: Sequence[Kept]) -> str:
    told = [f"{rate} by {_list(models, 10)}" for rate, models in _groups_of_rates(kept)]
    return f"The highest offered load that was served: {', '.join(told)}."


def _kept_title(kept: Sequence[Kept]) -> str:
    groups = _groups_of_rates(kept)
    if len(groups) == 1:
        return f"All models kept up to {groups[0][0]}"
    (best, first), (worst, last) = groups[0], groups[-1]
    return (
        f"{_list(first, NAMED_IN_TITLE)} kept up to {best},"
        f" {_list(last, NAMED_IN_TITLE)} {'with' if worst == 'none' else 'to'} {worst}"
    )


def _hidden_sentence(hidden: Hidden) -> str:
    return (
        f"A server that stood still for {hidden.freeze_ms:g} ms shows a p99 of"
        f" {wording.quantity(hidden.response_ns, 'ns')} by response time and of"
        f" {wording.quantity(hidden.service_ns, 'ns')} by service time."
    )


def _busy_sentence(names: Sequence[str]) -> str:
    keep, of = ("keep", "each of them") if len(names) > 1 else ("keeps", "it")
    return (
        f"{_list(names)} {keep} a CPU busy while nobody asks: {of} was measured alone, and its CPU"
        " per request is all of that CPU, divided among the requests that came."
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
