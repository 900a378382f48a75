# SPDX-License-Identifier: MIT
"""The commands of docs/bring-your-own-server.md, as they stand; only that duels take less long."""
from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from harness.design import guest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "bring-your-own-server.md"
DOUBTFUL = 3  # too few runs to decide: nothing is wrong with the command
# What a duel finds is not looked at here, and it needs all CPUs for as long as it takes.
SECONDS = re.compile(r"--seconds \d+")
# Which command ended with which status, on standard error.
TRAP = """trap 'echo "STATUS $? $BASH_COMMAND" >&2' ERR\n"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_its_commands_do_what_the_page_says() -> None:
    for program in ("node", "nginx"):
        if shutil.which(program, path="/usr/bin:/bin:/usr/sbin:/sbin") is None:
            pytest.skip(f"{program} is not installed")
    commands = blocks("sh")
    assert any("duel" in block for block in commands) and any("url=" in b for b in commands)
    assert sum(len(SECONDS.findall(block)) for block in commands) == 2
    said = ""
    for block in commands:
        done = subprocess.run(
            ["/bin/bash", "-uc", TRAP + SECONDS.sub("--seconds 6", block)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        said += done.stdout
        for status, command in re.findall(r"^STATUS (\d+) (.*)$", done.stderr, re.M):
            judged = "duel" in command or "loadgen" in command
            assert judged and int(status) == DOUBTFUL, (command, status, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr and "No such file" not in done.stderr, done.stderr
    assert "CPU per request" in said and "guest:nginx" in said and "18473" in said


def test_its_model_toml_is_a_right_one() -> None:
    (text,) = blocks("toml")
    found = guest.parse("mine", tomllib.loads(text))
    assert found.needs[0].package == "nodejs"


def test_it_has_every_key_and_every_place() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for key in guest._KEYS:  # pylint: disable=protected-access
        assert f"`{key}`" in page, f"{key} is not explained"
    for place in guest.PLACES:
        assert f"{{{place}}}" in page
