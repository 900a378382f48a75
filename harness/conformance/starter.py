# SPDX-License-Identifier: MIT
"""What a student begins with: a file that compiles and starts, and whose server is to be written.

skeleton() keeps of a model what stands around its loop: includes, constants, what it says of
itself. plain() needs nothing of servers/lib. Both are text in, text out.
"""
from __future__ import annotations

import re
from pathlib import Path

PLAIN = Path(__file__).resolve().parent / "starters" / "plain.c"
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")

_HEADER = """// SPDX-License-Identifier: MIT
/*
 * {name}: a server to be written; servers/{model}.c is a finished one of its kind.
 *
 * What it says of itself is at the end of this file, its loop is run(). Accept with
 * server_accept(), give the descriptor to conn_open(), and call conn_turn() when the client is
 * ready to be read from or written to (servers/lib/conn.h). There must be an end to every wait when
 * SIGTERM comes: server_stopping() is true then, and the listening socket is an event for ever.
 *
 * Try: harness/tenk check --file {name}.c --points echo
 */
"""
_RUN = """/*
 * To be written: accept clients and serve them, until server_stopping(). As it stands it waits for
 * its end, and lets all clients wait.
 */
static void run(const struct server *srv)
{
	struct pollfd end = {.fd = srv->listen_fd}; /* shut down at SIGTERM: POLLHUP */

	while (!server_stopping())
		poll(&end, 1, -1);
}
"""
# What refers to functions and types of the model that are not kept.
_DROPPED = re.compile(r"^\t\.\w+ = (?:sizeof.*|(?!run\b|true\b|false\b)[a-z]\w*),.*\n", re.M)


class Unfit(Exception):
    """The model cannot be made a skeleton of; the text says why."""


def skeleton(text: str, model: str, name: str) -> str:
    """The skeleton `name` from the source of a model in C. Raises Unfit."""
    found = re.search(r"^const struct model model = \{\n.*?^\};\n", text, re.M | re.S)
    if not found:
        raise Unfit(f"servers/{model} has no `const struct model model` as C writes it")
    itself = _DROPPED.sub("", found[0])
    itself = re.sub(r'^\t\.name = ".*?"', f'\t.name = "{name}"', itself, flags=re.M)
    includes = set(re.findall(r"^#include .*$", text, re.M)) | {"#include <poll.h>"}
    system = sorted(line for line in includes if "<" in line)
    own = sorted(line for line in includes if "<" not in line)
    constants = re.findall(r"^#define (?:.*\\\n)*.*\n|^enum [^;]*\};\n", text, re.M)
    needs = re.findall(r"^.*tenk-needs(?:-header)?: .*$", text, re.M)
    header = _HEADER.format(name=name, model=model)
    if needs:
        header = header.replace(" */\n", "".join(f"{line}\n" for line in needs) + " */\n", 1)
    parts = [header + "\n".join(system), "\n".join(own), "".join(constants), _RUN, itself]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def plain(name: str) -> str:
    """An echo server without servers/lib."""
    return PLAIN.read_text("utf-8").replace("NAME", name)
