# SPDX-License-Identifier: MIT
"""tenk duel: who costs what against whom, decided while all of them run."""
from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness import errors, store
from harness.design import duel as design
from harness.design import selection
from harness.design.duel import (
    ALONE,
    ARRANGEMENTS,
    CONTENDER,
    REFERENCE,
    TOGETHER,
    TURNS,
    Entry,
    Plan,
)
from harness.design.load import ARRIVALS, PLACEMENTS, Load
from harness.design.model import KEEPS_BUSY, Model
from harness.design.plan import descriptor_limit
from harness.design.reach import SPARE_DESCRIPTORS
from harness.judge import standings
from harness.judge.standings import CPU, Standing
from harness.output import complain
from harness.measure import duel, duel_log, host, meter, models, targets
from harness.measure.placement import Placement, crowded, place
from harness.measure.staging import Bench, Record
from harness.paths import loadgen_path, results_dir
from harness.present import console
from harness.present import duel as present

if TYPE_CHECKING:
    from harness.commands import Subparsers

DEFAULT_SECONDS = 60.0
# With --until alone, the duel ends by itself; this bounds it.
UNTIL_SECONDS = 600.0
MAX_SEED = 2**31 - 1
EPILOG = """exit status: 0 done, and the controls are as they must be · 1 something is missing, the
reference cannot be measured, or nothing can be written · 2 bad usage, nothing measured · 3 done,
but void or doubtful: the reference differs from itself (the 99 % interval of its twin excludes 1,
which for each metric happens to one duel in a hundred by chance), the control was not found at its
size, or a contender failed · 130 interrupted, what was measured is printed and kept"""


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "duel", help="compare models, options or builds, finely and with controls", epilog=EPILOG
    )
    add = parser.add_argument
    add(
        "contenders",
        nargs="+",
        metavar="CONTENDER",
        help="a model, 'a model and its options', or the path of a server's binary; all are"
        " compared with the first. Also 'epoll_*', family:NAME, card and the like",
    )
    add("-c", "--connections", type=_count(1), default=100, help="of each contender [100]")
    add("--idle", type=_count(0), default=0, help="further connections that only stay open [0]")
    add("-R", "--rate", type=_rate, default=0.0, help="offered to each, requests/s [see --load]")
    add("--load", metavar="P%,…", help="together: rates in %% of what a pair sustains [50%%]")
    add("--closed", action="store_true", help="together: a closed loop instead of equal rates")
    add("--arrival", default="poisson", help=f"open loop: {' or '.join(ARRIVALS)} [poisson]")
    add("--protocol", default="http", help="http, echo or rot13 [http]")
    add("--path", default="/", help="http: what is asked for [/]")
    add("--pipeline", type=_count(1), default=1, help="requests in flight per connection [1]")
    add(
        "--requests-per-connection",
        type=_count(0),
        default=0,
        metavar="N",
        help="close after so many; 0: never [0]",
    )
    add("--placement", default="split", help="split or shared: server and client CPUs [split]")
    add("--arrangement", default="both", help="together, turns or both [both]")
    add(
        "--seconds",
        type=_seconds,
        default=None,
        help="of the whole duel, about [60; with --until 600]",
    )
    add("--until", metavar="P%", help="end when every arrangement knows CPU per request to ± P %%")
    add("--seed", type=_count(0, MAX_SEED), default=1, help="of every order and arrival [1]")
    add("--json", type=Path, metavar="FILE", help="write tenk.duel/1 there as well")
    add("--out", type=Path, metavar="DIR", help="where results are kept [results]")
    add("--no-keep", action="store_true", help="keep nothing under results")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """See EPILOG for the status."""
    plan = _plan(args)
    out = console.make()
    entries, unsupported = _entries(plan, args.contenders)
    plan = _seen(plan, entries)
    record = Record(entries, excluded=unsupported)
    loadgen = loadgen_path()
    if not os.access(loadgen, os.X_OK):
        raise errors.SetupError(f"no load generator at {loadgen}: run `make` first")
    folder = _folder(args)
    _writable(args.json)
    placement = place(plan.load.placement)
    if placement.note:
        complain(placement.note)
    if note := crowded(placement, {e.name: e.model.workers for e in entries}):
        complain(note)
    bench = Bench(loadgen, placement, meter.probe(), host.available_bytes())
    began = datetime.now(timezone.utc)
    everywhere = os.sched_getaffinity(0)
    view: present.Screen | present.Lines = (
        present.Screen(out, plan.seconds) if out.is_terminal else present.Lines(plan.seconds)
    )
    listener = Referee(plan, placement, view)
    interrupted = False
    os.sched_setaffinity(0, set(placement.client))
    try:
        duel.measure(plan, record, bench, listener)
    except KeyboardInterrupt:
        interrupted = True
    except (errors.SetupError, errors.HostFault) as error:
        if not record.pieces:
            raise
        # What was measured until then is worth as much as after an interruption.
        listener.end()
        complain(f"ended early: {error}")
        record.ended = "failed"
    finally:
        listener.end()
        os.sched_setaffinity(0, everywhere)
    result = conclude(plan, record, placement)
    _keep(args, folder, plan, record, result, began, placement.note)
    if interrupted:
        complain("interrupted; this is what is known, without the piece that was under way")
    present.show(out, result)
    if folder is not None:
        out.print(f"kept in {folder}", soft_wrap=True)
    if interrupted:
        return errors.EXIT_INTERRUPTED
    good = result.status == standings.VALID and record.ended != "failed"
    return errors.EXIT_OK if good else errors.EXIT_DOUBTFUL


def conclude(plan: Plan, record: Record, placement: Placement) -> present.Result:
    """What the record says."""
    found = stand(plan, record, _setup(plan, record, placement))
    first = {one.arrangement: one for one in reversed(found)}
    failed = {n: reason for n, (status, reason) in record.excluded.items() if status == "failed"}
    if record.pieces:
        status, reasons = standings.verdict(found, failed)
    else:
        status = standings.VOID
        reasons = [standings.Reason(standings.VOID, "nothing", "nothing was measured")]
    loaded = sum(piece.loaded_s for piece in record.pieces)
    return present.Result(
        plan=plan,
        level=describe_level(plan),
        standings=tuple(found),
        agree=standings.agreement(first.get(TOGETHER), first.get(TURNS)),
        status=status,
        reasons=tuple(reasons),
        left_out=dict(record.excluded),
        alone={e.name: record.spins[e.name] for e in record.spinning()},
        lost=tuple(record.lost),
        seconds=record.wall_s,
        inside=loaded / record.wall_s if record.wall_s else 0.0,
        own_requests=design.own_requests(record.entries, plan.load),
    )


def stand(plan: Plan, record: Record, setup: standings.Setup) -> list[Standing]:
    """The standing of each arrangement and offered load there are pieces of."""
    found = []
    for arrangement in (*plan.arrangements, ALONE):
        fractions = dict.fromkeys(p.fraction for p in record.pieces if p.arrangement == arrangement)
        for fraction in sorted(fractions, key=lambda f: (*plan.fractions, f).index(f)):
            found.append(standings.stand(setup, record.pieces, arrangement, fraction))
    return found


def _setup(plan: Plan, record: Record, placement: Placement) -> standings.Setup:
    twin, control = design.controls(record.reference, 1)
    load = plan.load
    return standings.Setup(
        names=tuple(entry.name for entry in record.entries if _met(record, entry.name)),
        roles={e.name: e.role for e in (*record.entries, twin, control)},
        in_flight=load.connections * load.pipeline,
        workers=targets.workers(load, placement.client),
        own_cpus=placement.name == "split",
    )


def _met(record: Record, name: str) -> bool:
    return name == record.reference.name or any(name in p.names for p in record.pieces)


def describe_level(plan: Plan) -> str:
    """ "100 connections, http /: epoll_et and poll against epoll_lt"."""
    load = plan.load
    parts = [f"{load.connections} connections"]
    if load.idle:
        parts.append(f"{load.idle} idle ones")
    parts.append(f"{load.protocol} {'' if load.mix else load.url_target}".strip())
    if load.offered_rps:
        parts.append(f"{load.offered_rps:g} requests/s each")
    if load.pipeline > 1:
        parts.append(f"{load.pipeline} in flight on each")
    if load.requests_per_connection:
        parts.append(f"{load.requests_per_connection} requests per connection")
    parts += [f"{name} {value}" for name, value in load.special.items() if name != "reply_bytes"]
    others = ", ".join(contender.name for contender in plan.contenders[1:]) or "its twin"
    return f"{', '.join(parts)}: {others} against {plan.reference.name}"


class View(Protocol):
    """Shows how a duel stands, between its pieces."""

    def stage(self, text: str) -> None:
        """What is about to be measured."""

    def update(self, found: Sequence[Standing], hint: str) -> None:
        """The standings after a piece, and when the wanted resolution may be reached."""

    def end(self) -> None:
        """Nothing more comes."""


class Referee:
    """Judges after each piece, and shows it."""

    def __init__(self, plan: Plan, placement: Placement, view: View) -> None:
        self._plan = plan
        self._placement = placement
        self._view = view

    def stage(self, text: str) -> None:
        self._view.stage(text)

    def piece(self, record: Record) -> duel.Outlook:
        setup = _setup(self._plan, record, self._placement)
        found = stand(self._plan, record, setup)
        self._view.update(found, present.hint(found, self._plan.until))
        resolution: dict[str, float] = {}
        for one in found:
            # Within one block, nothing is known of how fresh servers differ.
            known = one.resolution.get(CPU, 1.0) if one.blocks > 1 else 1.0
            resolution[one.arrangement] = max(known, resolution.get(one.arrangement, 0.0))
        starved = [p.number for p in record.pieces if p.rate_rps and standings.starved(setup, p)]
        rounds = max((one.wanted_rounds for one in found), default=0)
        blank = {(one.arrangement, one.fraction): frozenset(one.blank) for one in found}
        return duel.Outlook(resolution, rounds, frozenset(starved), blank)

    def end(self) -> None:
        """Give the terminal back; twice does no harm."""
        self._view.end()


# --- what was asked for ---------------------------------------------------------------------------


def _plan(args: argparse.Namespace) -> Plan:
    contenders = design.parse_contenders(_spelled_out(args.contenders))
    if args.arrangement not in (*ARRANGEMENTS, "both"):
        allowed = f"allowed: {', '.join((*ARRANGEMENTS, 'both'))}"
        raise errors.UsageError("--arrangement", args.arrangement, allowed)
    arrangements = ARRANGEMENTS if args.arrangement == "both" else (args.arrangement,)
    for option, value, allowed_words in (
        ("--placement", args.placement, PLACEMENTS),
        ("--arrival", args.arrival, ARRIVALS),
        ("--protocol", args.protocol, ("http", "echo", "rot13")),
    ):
        if value not in allowed_words:
            raise errors.UsageError(option, value, f"allowed: {', '.join(allowed_words)}")
    if not args.path.startswith("/"):
        raise errors.UsageError("--path", args.path, "it begins with /")
    if args.path != "/" and args.protocol != "http":
        raise errors.UsageError("--path", args.path, "--protocol http has one")
    _exclusive(args, arrangements)
    chosen = design.parse_fractions(args.load or "50%")
    fixed = args.rate > 0 or args.closed or TOGETHER not in arrangements
    load = Load(
        loop="open" if args.rate else "closed",
        arrival=args.arrival,
        protocol=args.protocol,
        path=args.path,
        connections=args.connections,
        offered_rps=args.rate,
        pipeline=args.pipeline,
        requests_per_connection=args.requests_per_connection,
        idle=args.idle,
        placement=args.placement,
    )
    if load.problem():
        raise errors.UsageError("load", load.loop, load.problem())
    until = design.parse_until(args.until) if args.until else 0.0
    seconds = args.seconds or (UNTIL_SECONDS if until else DEFAULT_SECONDS)
    fractions = () if fixed else chosen
    return Plan(contenders, load, arrangements, fractions, seconds, until, args.seed)


def _exclusive(args: argparse.Namespace, arrangements: Sequence[str]) -> None:
    """Options that contradict each other, or that nothing would heed."""
    together = TOGETHER in arrangements
    for option, given in (("--load", args.load), ("--closed", args.closed)):
        if given and not together:
            shown = given if isinstance(given, str) else "given"
            raise errors.UsageError(option, shown, "it is about --arrangement together")
        if given and args.rate:
            raise errors.UsageError("-R", f"{args.rate:g}", f"with {option} it is not")
    if args.load and args.closed:
        raise errors.UsageError("--closed", "given", "with --load it is not")


def _spelled_out(texts: Sequence[str]) -> list[str]:
    """The contenders, where a pattern gives way to the models it stands for that are not named."""
    found = [text for text in texts if not selection.is_pattern(text)]
    if len(found) == len(texts):
        return found
    catalogue, at = models.discover(), {text: n for n, text in enumerate(texts)}
    for text in texts:
        if selection.is_pattern(text):
            new = [m.name for m in selection.select(catalogue, [text], "CONTENDER")]
            at.update({name: at[text] for name in new if name not in at})
    found = [text for text in at if not selection.is_pattern(text)]
    return sorted(found, key=lambda text: at[text])  # stable


def _entries(plan: Plan, named: Sequence[str]) -> tuple[list[Entry], dict[str, tuple[str, str]]]:
    """Everyone as they describe themselves, and who cannot serve the level, with the reason. named:
    the contenders as they were asked for; what a pattern stands for is left out where it must be.
    """
    catalogue: dict[str, Model] = {}
    if any(c.program is None for c in plan.contenders):
        catalogue = {model.name: model for model in models.discover()}
    entries, unsupported = [], {}
    for index, contender in enumerate(plan.contenders):
        if contender.program is None and contender.model not in catalogue:
            known = ", ".join(catalogue)
            raise errors.UsageError(
                "CONTENDER", contender.name, f"known models: {known}; or a path"
            )
        path = contender.program or catalogue[contender.model].path
        if not os.access(path, os.X_OK) or path.is_dir():
            raise errors.UsageError(
                "CONTENDER", contender.name, "it must be a program that can run"
            )
        model = catalogue.get(contender.model) if contender.program is None else None
        if model is None or contender.options:
            model = models.made(models.describe(path.resolve(), contender.options, contender.words))
            models.refuse_absent(replace(model, name=contender.name))
        role = REFERENCE if index == 0 else CONTENDER
        entry = Entry(contender.name, role, model, contender.options)
        if model.is_guest:
            entry = replace(entry, clock=_by_its_processes(model))
        entries.append(entry)
        reason = why_not(model, plan.load)
        if model.busy_polls and contender.name in named:
            raise errors.UsageError(
                "CONTENDER",
                contender.name,
                f"it {KEEPS_BUSY}, so it can neither run beside another nor take turns:"
                f" `harness/tenk run c10k --models {plan.reference.model},{contender.model}`"
                " measures each alone",
            )
        if reason and index == 0:
            raise errors.SetupError(f"{contender.name}, the reference: {reason}")
        if reason:
            unsupported[contender.name] = ("unsupported", reason)
    if len(entries) > 1 and len(unsupported) == len(entries) - 1:
        reasons = "; ".join(f"{name}: {reason}" for name, (_, reason) in unsupported.items())
        raise errors.SetupError(f"nobody is left to meet {entries[0].name}: {reasons}")
    return entries, unsupported


def _by_its_processes(model: Model) -> bool:
    """Whether a guest's CPU time is that of its processes: of one that we start a control group
    tells more, also of processes that come later."""
    group = meter.probe().cpu
    return model.is_attached or group is None or group.version != 2


def _seen(plan: Plan, entries: Sequence[Entry]) -> Plan:
    """The plan without what cannot be told of servers whose process cannot be seen, and the word
    that says so."""
    unseen = [entry.name for entry in entries if entry.model.is_unseen]
    if not unseen:
        return plan
    remedy = "add ,pid=N if you know its process (its children count)"
    if plan.arrangements == (TOGETHER,):
        raise errors.UsageError(
            "--arrangement",
            TOGETHER,
            f"it compares CPU time only, and whose process {unseen[0]} is cannot be seen: {remedy}",
        )
    complain(
        f"{', '.join(unseen)}: which process listens there cannot be seen, so its CPU time is not"
        f" known: only its rate and latencies are measured, in turns; {remedy}"
    )
    if len(unseen) < len(entries) - 1:
        return plan
    return replace(plan, arrangements=(TURNS,), fractions=())


def why_not(model: Model, load: Load) -> str:
    """Why a model cannot take part in a duel at that load, or ''."""
    total = load.all_connections
    limit = descriptor_limit()
    if total + SPARE_DESCRIPTORS > limit:
        return (
            f"{total} connections need more than the {limit} descriptors a process may have here"
            " (see tenk doctor)"
        )
    if model.busy_polls:
        return (
            f"it {KEEPS_BUSY}: nobody beside it would get his own, so its cells are measured alone"
        )
    if load.files:
        return "files are made for a cell alone, so it is not compared together or in turns"
    if model.own_protocol and (load.mix or load.reply_bytes):
        return f"speaks {model.own_protocol} only, which has no mix and no reply of a given size"
    return model.why_not(model.asked(load).protocol, load.served)


# --- what is kept ---------------------------------------------------------------------------------


def _folder(args: argparse.Namespace) -> Path | None:
    """The directory of this duel, made now: what cannot be written is not measured."""
    if args.no_keep:
        if args.out is not None:
            raise errors.UsageError("--out", args.out, "with --no-keep nothing is kept")
        return None
    results = args.out if args.out is not None else results_dir()
    commit = host.git_state()["commit"]
    parent = results / host.machine_name() / "duel"
    for attempt in range(100):
        utc = datetime.now(timezone.utc)
        again = f".{attempt}" if attempt else ""
        folder: Path = parent / f"{utc:%Y%m%dT%H%M%SZ}-{commit}{again}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            hint = " (--out DIR writes elsewhere, --no-keep nothing)"
            raise errors.SetupError(f"cannot write {folder}: {error.strerror}{hint}") from None
    raise errors.SetupError(f"cannot write {parent}: a hundred duels began in this second")


def _writable(path: Path | None) -> None:
    if path is None:
        return
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise errors.SetupError(f"--json: cannot write {path}")


def _keep(
    args: argparse.Namespace,
    folder: Path | None,
    plan: Plan,
    record: Record,
    result: present.Result,
    began: datetime,
    note: str,
) -> None:
    document = {
        **present.document(result),
        "ended": record.ended or "interrupted",
        "started": began.isoformat(timespec="seconds"),
        "host": host.describe(),
        "git": host.git_state(),
        "placement_note": note,
        "models": {
            entry.name: {"binary": models.fingerprint(entry.model.path), **entry.model.describe}
            for entry in record.entries
        },
    }
    text = store.to_json(document)
    try:
        if folder is not None:
            store.write_atomically(folder / "duel.json", text)
            duel_log.write(folder / "slices.jsonl.gz", record.pieces)
        if args.json is not None:  # last: what cannot be written there is kept all the same
            store.write_atomically(args.json, text)
    except OSError as error:
        raise errors.SetupError(f"cannot write {errors.why(error)}") from None


# --- option values --------------------------------------------------------------------------------


def _count(least: int, most: int = 10_000_000):  # type: ignore[no-untyped-def]
    def parse(text: str) -> int:
        scale = {"k": 1000, "M": 1_000_000}.get(text[-1:], 1)
        digits = text[:-1] if scale > 1 else text
        value = int(digits) * scale if digits.isascii() and digits.isdigit() else -1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"'{text}' is not allowed; a whole number from {least} to {most}"
            )
        return value

    return parse


def _rate(text: str) -> float:
    scale = {"k": 1e3, "M": 1e6}.get(text[-1:], 1.0)
    try:
        value = float(text[:-1] if scale > 1 else text) * scale
    except ValueError:
        value = -1.0
    if not 1 <= value <= 1e9:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not allowed; requests per second from 1 to 1e9 (k, M allowed)"
        )
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = -1.0
    if not 5 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"'{text}' is not allowed; seconds from 5 to 86400")
    return value
