# SPDX-License-Identifier: MIT
"""Values of command-line options that several subcommands take. No subcommand itself."""
from __future__ import annotations

import argparse
from pathlib import Path


def folder(text: str) -> Path:
    """A directory's name; the empty one means the current directory to Path, and is refused."""
    if not text:
        raise argparse.ArgumentTypeError("'' is not allowed; the name of a directory")
    return Path(text)


def file(text: str) -> Path:
    """A file's name; not empty."""
    if not text:
        raise argparse.ArgumentTypeError("'' is not allowed; the name of a file")
    return Path(text)
