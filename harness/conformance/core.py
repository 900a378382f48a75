# SPDX-License-Identifier: MIT
"""What a case is.

A case is one function in a module of harness/conformance/cases, decorated with @case. Its name is
the function's, its docstring tells a student what is tested and what usually goes wrong. It gets a
Trial, and fails by raising Failed (or any AssertionError). catalogue.py finds them all.
"""
from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.conformance.trial import Trial
from harness.design.model import Model

Body = Callable[[Trial], None]


@dataclass(frozen=True)
class Case:
    """One promise. `protocols` empty: any; `once`: the protocol does not matter, one is enough.

    group: the module it stands in; order: how basic that is, the smaller the more (see case()).
    """

    name: str
    body: Body = field(compare=False)
    protocols: tuple[str, ...]
    once: bool
    gate: bool
    heavy: bool
    timeout_s: float
    group: str = ""
    order: int = 50
    foreign: bool = False

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.body) or ""

    @property
    def summary(self) -> str:
        return self.doc.partition("\n")[0]

    def spoken(self, model: Model) -> tuple[str, ...]:
        """The protocols of the model that this case is to be run with."""
        fit = tuple(p for p in self.protocols or model.protocols if p in model.protocols)
        return fit[:1] if self.once else fit


_cases: dict[str, Case] = {}


def case(
    *protocols: str,
    once: bool = False,
    gate: bool = False,
    heavy: bool = False,
    timeout_s: float = 40.0,
    foreign: bool = False,
) -> Callable[[Body], Body]:
    """Make a function a case.

    protocols: those it can be run with; none given means every one. once: run with the first of
    them that the model speaks, because the protocol makes no difference. gate: part of the quick
    subset before every measurement. heavy: takes thousands of descriptors or processes; one of
    these runs at a time on a machine. timeout_s: when to give it up, a safety net only. foreign:
    any server of the protocol keeps this promise, also one that is not ours.

    A module of cases may set ORDER before its first case, from 0: a grader tries the cases of lower
    numbers first, because what goes wrong in them goes wrong in the others too.
    """

    def register(body: Body) -> Body:
        if not inspect.getdoc(body):
            raise TypeError(f"case {body.__name__} does not say what it tests")
        if body.__name__ in _cases:
            raise TypeError(f"two cases are called {body.__name__}")
        group = body.__module__.rpartition(".")[2]
        order = getattr(sys.modules[body.__module__], "ORDER", 50)
        _cases[body.__name__] = Case(
            body.__name__, body, protocols, once, gate, heavy, timeout_s, group, order, foreign
        )
        return body

    return register


def registered() -> Sequence[Case]:
    """The cases of all modules imported so far, in the order in which they were made."""
    return list(_cases.values())
