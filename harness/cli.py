# SPDX-License-Identifier: MIT
"""The command line: finds the subcommands in harness/commands and turns failures into one line.

A subcommand is one module there with

    def register(subparsers: harness.commands.Subparsers) -> None

which adds its parser and sets `run=function`, where function(args) returns an exit status.
"""
from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from harness import commands, errors, output
from harness.measure import interrupt

EPILOG = """exit status: 0 done · 1 something is missing or cannot be written, or the machine failed
(what was measured is kept) · 2 bad usage, nothing written · 3 ended, but a cell failed or is void
(run), or a claim or check failed · 70 a fault of tenk itself · 130 interrupted, what was measured
is kept · 141 nobody reads the standard output any more: stopped, what was measured is kept"""


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line, which name the option, the value and what is allowed."""

    def error(self, message: str) -> NoReturn:
        said = errors.one_line(f"{message} (see {self.prog} --help)")
        self.exit(errors.EXIT_USAGE, f"{self.prog}: {said}\n")


def build_parser(wanted: str = "") -> argparse.ArgumentParser:
    """With all subcommands; or, if that is one, with the wanted one alone, which need not wait for
    what the others import."""
    modules = {m.name.replace("_", "-"): m.name for m in pkgutil.iter_modules(commands.__path__)}
    names = [modules[wanted]] if wanted in modules else [modules[name] for name in sorted(modules)]
    found = [importlib.import_module(f"{commands.__name__}.{name}") for name in names]
    if wanted and not any(hasattr(command, "register") for command in found):
        return build_parser()
    parser = Parser(prog="tenk", description="Measure and compare I/O models.", epilog=EPILOG)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for command in found:
        if hasattr(command, "register"):
            command.register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status. argparse ends bad usage and --help by
    SystemExit."""
    try:
        with output.guarded():
            words = list(sys.argv[1:] if argv is None else argv)
            args = build_parser(words[0] if words else "").parse_args(words)
            interrupt.install()
            return int(args.run(args))
    except errors.TenkError as error:
        output.complain(str(error))
        return error.status
    except KeyboardInterrupt:
        output.complain("interrupted")
        return errors.EXIT_INTERRUPTED
    except OSError as error:
        # What the command did not expect of a file, a process or a limit; the kernel says it well.
        output.complain(errors.why(error))
        return errors.EXIT_FAILURE
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] in ("harness", "plots"):
            return _fault(error)
        output.complain(
            f"the Python module {error.name} is not installed: harness/deps run installs what is"
            " missing, or says how"
        )
        return errors.EXIT_FAILURE
    except MemoryError:
        output.complain("out of memory")
        return errors.EXIT_FAILURE
    except Exception as error:  # pylint: disable=broad-except
        return _fault(error)


def _fault(error: Exception) -> int:
    if os.environ.get("TENK_DEBUG"):
        raise error
    output.complain(_internal(error))
    return errors.EXIT_INTERNAL


def _internal(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"internal error: {type(error).__name__}: {error} ({Path(place.filename).name},"
        f" line {place.lineno}); please report it, with what TENK_DEBUG=1 shows"
    )
