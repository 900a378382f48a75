# SPDX-License-Identifier: MIT
"""The duels within a run: at a level of its experiment, all models together and in turns.

They are `tenk duel`'s own, with the run's models, seed and placement.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from harness import errors
from harness.commands import duel as command
from harness.design import duel as design
from harness.design.compare import Level
from harness.design.duel import CONTENDER, REFERENCE, Contender, Entry, Plan
from harness.design.load import Load
from harness.design.model import Model
from harness.judge.standings import Standing
from harness.measure import duel, host
from harness.measure.cell import Bench as CellBench
from harness.measure.models import started_with
from harness.measure.runner import Progress, Request, describe_levels
from harness.measure.staging import Bench, Record
from harness.present import duel as present
from harness.store import DUEL_SCHEMA, Run, duel_stem


# A model is started and connected about so often in a duel. Where that alone would take longer than
# the duel, it is left out, and its cells are all there is of it.
STARTS = 8


class Levels:
    """Compares the models of one run, level by level. Nothing is kept of a level that is
    interrupted: a resumed run begins it again."""

    def __init__(self, request: Request, bench: CellBench, progress: Progress) -> None:
        self._request = request
        self._cells = bench
        self._memory_bytes = host.available_bytes()
        self._progress = progress

    def compare(self, run: Run, level: Level) -> None:
        """Measure all models at that level, and write its tenk.duel/1 into the run.

        A level at which nothing can be compared is recorded with the reason. KeyboardInterrupt and
        HostFault pass through.
        """
        began = datetime.now(timezone.utc)
        document = {
            **self._measure(level, _cell_seconds(run, level)),
            "factors": dict(level.factors),
            "started": began.isoformat(timespec="seconds"),
        }
        run.write_duel(document)

    def _measure(self, level: Level, cell_s: Mapping[str, float]) -> dict[str, Any]:
        load = replace(self._request.experiment.base, **level.factors)
        placement = self._cells.placements[load.placement]
        load = replace(load, placement=placement.name)
        wanted = self._request.experiment.reference
        models = [started_with(model, load.server) for model in self._request.models]
        left_out = {
            model.name: ("unsupported", why)
            for model in models
            if (why := command.why_not(model, load))
        }
        for name, seconds in cell_s.items():
            if name != wanted and name not in left_out and seconds * STARTS > level.seconds:
                why = f"too slow to start again and again: its cell took {seconds:.1f} s"
                left_out[name] = ("left out", why)
        able = [model for model in models if model.name not in left_out]
        able.sort(key=lambda model: model.name != wanted)  # stable: the others keep their order
        if len(able) < 2:
            why = "fewer than two models can serve this level"
            return _nothing(able[0].name if able else "", left_out, why)
        plan = self._plan(able, load, level)
        record = Record(_entries(able, load), excluded=left_out)
        view = _View(self._progress, f"compared at {describe_levels(level.factors)}")
        referee = command.Referee(plan, placement, view)
        bench = Bench(self._cells.loadgen, placement, self._cells.sources, self._memory_bytes)
        try:
            duel.measure(plan, record, bench, referee, pilot_counts=False)
        except errors.HostFault:
            raise
        except errors.SetupError as error:
            record.lost.append(str(error))
            record.ended = "failed"
            if not record.pieces:
                return _nothing(plan.reference.name, record.excluded, str(error))
        finally:
            referee.end()
        result = command.conclude(plan, record, placement)
        return {**present.document(result), "ended": record.ended}

    def _plan(self, able: Sequence[Model], load: Load, level: Level) -> Plan:
        """The first model is the reference. In an open loop the rate is the level's."""
        fraction = self._request.experiment.compare.fraction
        return Plan(
            contenders=tuple(Contender(m.name, m.name) for m in able),
            load=load,
            arrangements=level.arrangements,
            fractions=(fraction,) if load.loop == "closed" else (),
            seconds=level.seconds,
            until=0.0,
            seed=design.client_seed(self._request.seed, describe_levels(level.factors)),
        )


def _cell_seconds(run: Run, level: Level) -> dict[str, float]:
    """How long the cells of this level took, by model: the longest that is there."""
    found: dict[str, float] = {}
    for cell in run.cells():
        if duel_stem(cell.factors) == duel_stem(level.factors):
            took = float(cell.timing.get("cell_s", 0.0))
            found[cell.model] = max(took, found.get(cell.model, 0.0))
    return found


def _entries(able: Sequence[Model], load: Load) -> list[Entry]:
    roles = [REFERENCE, *[CONTENDER] * (len(able) - 1)]
    return [Entry(m.name, role, m, load.server_words) for m, role in zip(able, roles)]


def _nothing(reference: str, left_out: dict[str, tuple[str, str]], why: str) -> dict[str, Any]:
    """The record of a level at which nothing could be compared."""
    return {
        "schema": DUEL_SCHEMA,
        "reference": reference,
        "arrangements": {},
        "agree": {},
        "unsupported": [
            {"name": name, "status": status, "reason": reason}
            for name, (status, reason) in left_out.items()
        ],
        "verdict": {
            "status": "void",
            "reasons": [{"status": "void", "code": "nothing", "text": why}],
        },
        "seconds": 0.0,
    }


class _View:
    """The run's own progress says which level it is and what is measured there."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title

    def stage(self, text: str) -> None:
        """What is about to be measured."""
        self._progress.cell(f"{self._title}: {text}")

    def update(self, found: Sequence[Standing], hint: str) -> None:
        """The tables come at the end."""

    def end(self) -> None:
        """The run goes on."""
