# SPDX-License-Identifier: MIT
"""The command line: what it is called, what it can, and what it refuses."""
from __future__ import annotations

import json
import socket
from pathlib import Path

from harness.conformance.core import case
from harness.conformance.outcome import Failed
from harness.conformance.trial import Trial
from harness.design.model import FAMILIES

ORDER = 40

HERE = "0100007F"  # 127.0.0.1, as /proc/net/tcp has it
TRIES = 3

# Values that are never right, per documented option. An option of a model's own is not judged here.
REFUSED = {
    "-p": ("-1", "65536", "http", "", "80x", "1.5", "0x50", " 80"),
    "-b": ("256.0.0.1", "localhost.", "", "127.0.0.1:80", "1.2.3"),
    "-P": ("gopher", "", "ECHO", "echo,http"),
    "-w": ("0", "-1", "many", "", "1e3", "99999999999999999999"),
    "-c": ("0", "-1", "all", "", "2147483648", "99999999999999999999"),
    "--buffer": ("0", "-1", "16k!", "", "1048577", "99999999999999999999"),
    "--backlog": ("0", "-1", "deep", "", "2147483648"),
    "--accept-batch": ("0", "-1", "two", "", "2147483648"),
    "--nodelay": ("2", "-1", "yes", ""),
}
SOUND = {"-w": "2", "-c": "10", "--buffer": "20000", "--backlog": "10", "--accept-batch": "1"}


def _refuses(t: Trial, options: list[str], named: list[str]) -> None:
    """Exit status 2 and one line on stderr that names what is wrong; nothing on stdout."""
    done = t.run(*options)
    shown = " ".join(repr(o) if not o or " " in o else o for o in options)
    if done.returncode != 2:
        said = (done.stderr or done.stdout).strip()[:200]
        raise Failed(f"{shown}: exit status {done.returncode} instead of 2: {said!r}")
    if done.stdout:
        raise Failed(f"{shown}: printed on stdout: {done.stdout[:100]!r}")
    lines = done.stderr.strip().splitlines()
    if len(lines) != 1:
        raise Failed(f"{shown}: {len(lines)} lines on stderr instead of one: {done.stderr[:300]!r}")
    for name in named:
        if name not in lines[0]:
            raise Failed(f"{shown}: the line does not name {name!r}: {lines[0]!r}")


@case(once=True, gate=True)
def one_name(t: Trial) -> None:
    """One name everywhere: the file, --describe, the ready line and the counters.

    What usually goes wrong: a model is made by copying another, and one of the names stays. Its
    figures would appear under the other's name.
    """
    name = t.model.path.name
    described = t.model.describe.get("name")
    assert described == name, f"--describe says {described!r}, the file is called {name!r}"
    subject = t.start()
    assert subject.ready.get("model") == name, f"the ready line says {subject.ready.get('model')!r}"
    assert 0 < subject.port < 65536, f"the ready line says port {subject.port}"
    if not t.conditions.prefix:
        pid = subject.server_pid
        assert pid == subject.pid, f"the ready line says pid {pid}, it is {subject.pid}"
    counters = subject.finish()
    assert counters["model"] == name, f"the counters say {counters['model']!r}"


@case(once=True)
def describes_itself(t: Trial) -> None:
    """--describe prints one JSON line with all that the harness decides by.

    What usually goes wrong: limits.connections is missing or hopeful: then an experiment runs the
    model beyond what it can do, and its failure looks like a result.
    """
    done = t.run("--describe")
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[:200]!r}"
    assert done.stdout.count("\n") == 1, f"not one line: {done.stdout[:300]!r}"
    said = json.loads(done.stdout)
    kinds: dict[str, type] = {
        "name": str,
        "summary": str,
        "family": str,
        "protocols": list,
        "limits": dict,
    }
    kinds |= {"workers": int, "needs": list, "options": list}
    for key, kind in kinds.items():
        assert isinstance(
            said.get(key), kind
        ), f"{key!r} is {said.get(key)!r}, not a {kind.__name__}"
    assert said["family"] in FAMILIES, f"family {said['family']!r}"
    assert said["summary"], "the summary is empty"
    assert said["protocols"], "no protocol"
    limits = said["limits"]
    assert isinstance(limits.get("connections"), int) and limits["connections"] > 0, f"{limits!r}"
    assert isinstance(limits.get("reason"), str) and limits["reason"], f"no reason: {limits!r}"
    for option in ("-p", "-b", "-P"):
        assert option in said["options"], f"{option} is not among the options"
    assert ("-w" in said["options"]) == (
        said["workers"] > 0
    ), "workers and -w contradict each other"


@case(once=True)
def helps(t: Trial) -> None:
    """--help tells every option the model heeds, on stdout, with exit status 0.

    What usually goes wrong: an option was added and its text was not.
    """
    done = t.run("--help")
    assert done.returncode == 0, f"exit status {done.returncode}"
    for option in t.options:
        assert option in done.stdout, f"{option} is in --describe, but not in --help"


@case(once=True)
def options_out_of_range(t: Trial) -> None:
    """Every documented option refuses what it cannot do: exit status 2, one line naming option and
    value, nothing started.

    What usually goes wrong: atoi(3): "80x" is 80, "many" is 0, and 65536 is port 0 after a cast.
    """
    for option in t.options:
        for value in REFUSED.get(option, ()):
            named = [option.lstrip("-") if option.startswith("--") else option, value]
            given = [f"{option}={value}"] if option.startswith("--") else [option, value]
            _refuses(t, given, named)
    for own in t.model.describe.get("own_options", []):
        for value in ("", "many", "1.5", f"{own['least']}x", own["least"] - 1, own["most"] + 1):
            _refuses(t, [f"{own['name']}={value}"], [own["name"].lstrip("-"), str(value)])
    if "--buffer" in t.options:
        for protocol in t.model.protocols:
            least = {"http": 8193, "rot13": 16385}.get(protocol, 1)
            if least > 1:
                value = str(least - 1)
                _refuses(t, ["-P", protocol, "--buffer", value], ["--buffer", value])
    if "-c" in t.options:
        more = str(t.model.describe["limits"]["connections"] + 1)
        _refuses(t, ["-c", more], ["-c", more])


@case(once=True)
def options_not_used(t: Trial) -> None:
    """An option that means nothing to this model is refused, not swallowed.

    What usually goes wrong: all options are parsed for all models. Somebody measures "-w 1 against
    -w 8" of a model without workers, and publishes the noise.
    """
    for option, value in SOUND.items():
        if option not in t.options:
            given = [f"{option}={value}"] if option.startswith("--") else [option, value]
            _refuses(t, given, [option])
    done = t.run("--no-such-option")
    assert done.returncode == 2, f"--no-such-option: exit status {done.returncode}"
    _refuses(t, ["stray"], ["stray"])


@case(once=True)
def options_accepted(t: Trial) -> None:
    """Every documented option works with a sound value, alone and all together.

    What usually goes wrong: an option is read and breaks something that only shows with it, such as
    a batch of 1 with an edge-triggered listening socket.
    """
    given: list[list[str]] = [[o, v] for o, v in SOUND.items() if o in t.options]
    if "--nodelay" in t.options:
        given += [["--nodelay", "0"], ["--nodelay", "1"]]
    for own in t.model.describe.get("own_options", []):
        given += [[f"{own['name']}={own[value]}"] for value in ("most", "least")]
    given.append([word for pair in given for word in pair])
    for options in given:
        subject = t.start(*options)
        for i in range(3):
            t.probe(subject, f"with {' '.join(options)}, client {i + 1}")
        subject.finish()


@case(once=True)
def listens_on_loopback(t: Trial) -> None:
    """Unless told otherwise it can be reached from this machine only; with -b it listens there.

    What usually goes wrong: INADDR_ANY in an example. A benchmark server has no business on the
    network.
    """
    # Another program may have the same port on another address: not time after time.
    if all(seen := [_bound_elsewhere(t) for _ in range(TRIES)]):
        raise Failed(seen[0])
    if all(_heard_on_both(t) for _ in range(TRIES)):
        raise Failed("with -b 127.0.0.3 it listens on 127.0.0.1 too")
    if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
        if Path("/proc/net/if_inet6").read_text(encoding="ascii"):
            six = t.start("-b", "::1")
            with t.connect(six, host="::1") as peer:
                t.talk.exchange(peer)


def _bound_elsewhere(t: Trial) -> str:
    """What is wrong with the addresses on which its port is listened to; "" for nothing."""
    subject = t.start()
    found = _listening(subject.port)
    return "" if found == {HERE} else f"port {subject.port} is bound to {found} (/proc/net/tcp)"


def _heard_on_both(t: Trial) -> bool:
    """Whether, told to listen on 127.0.0.3, it or another program does so on 127.0.0.1 too."""
    other = t.start("-b", "127.0.0.3")
    with t.connect(other, host="127.0.0.3") as peer:
        t.talk.exchange(peer)
    return any(address == HERE or not address.strip("0") for address in _listening(other.port))


def _listening(port: int) -> set[str]:
    """Local addresses, as the kernel writes them, on which the port is listened to."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        with open(table, encoding="ascii") as rows:
            next(rows)
            for words in map(str.split, rows):
                if words[3] != "0A":
                    break  # listening sockets come first, and the others may be many thousand
                address, _, number = words[1].rpartition(":")
                if int(number, 16) == port:
                    found.add(address)
    return found


@case(once=True)
def port_taken(t: Trial) -> None:
    """A second server on the same port ends with exit status 1 and a line that says so; the first
    goes on.

    What usually goes wrong: SO_REUSEPORT: both start, the kernel deals clients out between them,
    and a measurement measures two servers.
    """
    first = t.start()
    done = t.run("-p", str(first.port), "-P", t.protocol)
    assert done.returncode == 1, f"exit status {done.returncode} instead of 1: {done.stderr!r}"
    assert "ready" not in done.stdout, "it said ready"
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, f"{len(lines)} lines on stderr instead of one: {done.stderr!r}"
    assert str(first.port) in lines[0], f"the line does not name the port: {lines[0]!r}"
    t.probe(first, "a client of the first server")


@case(gate=True)
def counters(t: Trial) -> None:
    """The counters at the end are those of what happened: connections, requests, bytes.

    What usually goes wrong: counters of forked children are lost; counters shared by threads
    without care lose some; a byte is counted when it was handed over instead of when it was sent.
    """
    subject = t.start()
    clients, requests = 5, 40
    sent = received = 0
    for _ in range(clients):
        with t.connect(subject) as peer:
            for i in range(requests):
                request = t.talk.request(i)
                before = len(peer.inbox)
                peer.send(request)
                sent += len(request)
                t.talk.check(peer, i)
                assert before == len(peer.inbox) == 0
            peer.half_close()
            peer.expect_end()
            received += peer.received
    said = subject.finish()
    wanted = {"connections": clients, "bytes_in": sent, "bytes_out": received}
    wanted["requests"] = clients * requests
    for name, value in wanted.items():
        assert said[name] == value, f"{name}: {said[name]} counted, {value} happened"
