# SPDX-License-Identifier: MIT
"""The command line: finds the subcommands in harness/commands and turns failures into one line.

A subcommand is one module there with

    def register(subparsers: harness.commands.Subparsers) -> None

which adds its parser and sets `run=function`, where function(args) returns an exit status.
"""
from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from harness import commands, errors
from harness.measure import interrupt

EPILOG = """exit status: 0 done · 1 something is missing or cannot be written · 2 bad usage, nothing written
· 3 ended, but a cell failed or is void (run), or a claim or check failed · 130 interrupted, what was
measured is kept"""


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line, which name the option, the value and what is allowed."""

    def error(self, message: str) -> NoReturn:
        self.exit(errors.EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="tenk", description="Measure and compare I/O models.", epilog=EPILOG)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda m: m.name):
        command = importlib.import_module(f"{commands.__name__}.{module.name}")
        if hasattr(command, "register"):
            command.register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    args = build_parser().parse_args(argv)
    interrupt.install()
    try:
        status = args.run(args)
        sys.stdout.flush()
        return int(status)
    except errors.TenkError as error:
        print(f"tenk: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("tenk: interrupted", file=sys.stderr)
        return errors.EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (a pager, head) has enough; keep Python from complaining when it flushes.
        sys.stderr.close()
        return errors.EXIT_OK
