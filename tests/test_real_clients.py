# SPDX-License-Identifier: MIT
"""Programs of other people: their clients against our servers, our client against their servers.

A test whose program is absent is skipped by its name.
"""
from __future__ import annotations

import contextlib
import html
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import loadgen_util
import procfs
from harness import errors
from harness.measure import models, process
from harness.conformance.subject import Conditions, Subject, wait_until
from harness.conformance.talk import ROOT_BODY, pattern, rot13

LIMIT_S = 60


def _built() -> list[models.Model]:
    try:
        return [model for model in models.discover() if not model.unavailable]
    except errors.SetupError:
        return []


def serving(protocol: str, connections: int) -> pytest.MarkDecorator:
    """Once for every model that speaks it and serves that many clients at a time."""
    fit = [model for model in _built() if not model.why_not(protocol, connections)]
    return pytest.mark.parametrize("model", [pytest.param(m, id=m.name) for m in fit])


def need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def start(model: models.Model, protocol: str) -> Subject:
    return Subject([str(model.path), "-p", "0", "-P", protocol], Conditions())


def run(argv: Sequence[str], sent: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(argv, input=sent, capture_output=True, timeout=LIMIT_S, check=False)


# --- curl ------------------------------------------------------------------------------------


@serving("http", 1)
def test_curl_uses_one_connection_for_several_requests(model: models.Model) -> None:
    curl = need("curl")
    with start(model, "http") as server:
        base = f"http://127.0.0.1:{server.port}"
        done = run([curl, "-sSv", f"{base}/", f"{base}/bytes/1000000", f"{base}/"])
        assert done.returncode == 0, done.stderr
        assert done.stdout == ROOT_BODY + pattern(1_000_000) + ROOT_BODY
        assert server.finish()["connections"] == 1


@serving("http", 1)
def test_curl_head_and_statuses(model: models.Model) -> None:
    curl = need("curl")
    with start(model, "http") as server:
        base = f"http://127.0.0.1:{server.port}"

        def status(*options: str) -> str:
            done = run([curl, "-sS", "-o", "/dev/null", "-w", "%{http_code}", *options])
            assert done.returncode == 0, (options, done.stderr)
            return done.stdout.decode()

        assert status("-I", f"{base}/bytes/100000") == "200"
        assert status(f"{base}/nothing") == "404"
        assert status("-X", "DELETE", base) == "405"
        assert status("-X", "BREW", base) == "501"
        assert status("--http1.0", base) == "200"
        assert status("-H", "Host:", base) == "400"
        assert status("-H", f"X: {'x' * 9000}", base) == "431"
        assert status("--data", "x" * 60_000, base) == "405"
        assert status("-H", "Expect: 100-continue", "--data", "x" * 60_000, base) == "405"
        assert status("-H", "Transfer-Encoding: chunked", "--data", "x", base) == "501"
        assert status("--path-as-is", f"{base}/../../etc/passwd") == "404"
        server.finish()


# --- load generators of others ---------------------------------------------------------------


# wrk has no number of requests and no time below a second: left alone, that second is all CPU.
# Full speed is what ab and h2load have below.
CALM = "function delay() return 2 end"  # ms before each request of a connection


@serving("http", 4)
def test_wrk(model: models.Model, tmp_path: Path) -> None:
    wrk = need("wrk")
    script = tmp_path / "calm.lua"
    script.write_text(CALM, encoding="ascii")
    with start(model, "http") as server:
        url = f"http://127.0.0.1:{server.port}/bytes/1000"
        done = run([wrk, "-t1", "-c4", "-d1s", "-s", str(script), url])
        text = done.stdout.decode()
        assert done.returncode == 0, text
        assert "Socket errors" not in text and "Non-2xx" not in text, text
        assert int(re.search(r"(\d+) requests in", text)[1]) > 0, text  # type: ignore[index]
        server.finish()


@pytest.mark.parametrize("keep_alive", [False, True], ids=["close", "keep-alive"])
@serving("http", 4)
def test_ab(model: models.Model, keep_alive: bool) -> None:
    ab = need("ab")
    with start(model, "http") as server:
        url = f"http://127.0.0.1:{server.port}/bytes/1000"
        done = run([ab, "-q", *(["-k"] if keep_alive else []), "-n", "500", "-c", "4", url])
        text = done.stdout.decode()
        assert done.returncode == 0, text + done.stderr.decode()
        assert re.search(r"Complete requests: +500\n", text), text
        assert re.search(r"Failed requests: +0\n", text) and "Non-2xx" not in text, text
        if keep_alive:
            assert re.search(r"Keep-Alive requests: +500\n", text), text
        counters = server.finish()
        assert counters["requests"] >= 500
        assert counters["connections"] == 4 if keep_alive else counters["connections"] >= 500


@serving("http", 4)
def test_h2load_speaking_http_1(model: models.Model) -> None:
    h2load = need("h2load")
    with start(model, "http") as server:
        url = f"http://127.0.0.1:{server.port}/bytes/1000"
        done = run([h2load, "--h1", "-n", "500", "-c", "4", "-m", "1", url])
        text = done.stdout.decode()
        assert done.returncode == 0, text
        assert "500 succeeded, 0 failed, 0 errored, 0 timeout" in text, text
        server.finish()


# --- nc --------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol, turned", [("echo", bytes), ("rot13", rot13)])
@serving("echo", 1)
def test_nc(model: models.Model, protocol: str, turned: Callable[[bytes], bytes]) -> None:
    nc = need("nc")
    if b"-N" not in run([nc, "-h"]).stderr:
        pytest.skip("this nc cannot half-close (-N), which only that of OpenBSD can")
    if protocol not in model.protocols:
        pytest.skip(f"the model does not speak {protocol}")
    sent = b"".join(b"%06d Hello, World\n" % i for i in range(50_000))
    with start(model, protocol) as server:
        done = run([nc, "-N", "127.0.0.1", str(server.port)], sent)
        assert done.returncode == 0, done.stderr
        assert done.stdout == turned(sent)
        server.finish()


# --- a browser -------------------------------------------------------------------------------

# To start a browser costs more than all it asks for: one of them for several servers. A script in its
# page asks each of them for these, and shows what it got.
PAGES = {"/": ROOT_BODY, "/bytes/100000": pattern(100_000)}
BROWSERS = 4
ASKING = """<!DOCTYPE html><body><script>
for (const url of {urls}) {{
    const request = new XMLHttpRequest();
    request.open("GET", url, false);
    request.send();
    const seen = document.createElement("pre");
    seen.title = url;
    seen.textContent = request.responseText;
    document.body.append(seen);
}}
</script></body>
"""


def _for_browsers() -> list[list[models.Model]]:
    fit = [
        model for model in _built() if not model.why_not("http", 6)
    ]  # what one opens to one host
    return [part for first in range(BROWSERS) if (part := fit[first::BROWSERS])]


@pytest.mark.parametrize("part", _for_browsers(), ids=lambda part: "-".join(m.name for m in part))
def test_chromium(part: Sequence[models.Model], tmp_path: Path) -> None:
    chromium = need("chromium")
    with contextlib.ExitStack() as stack:
        servers = {model.name: stack.enter_context(start(model, "http")) for model in part}
        wanted = {
            f"http://127.0.0.1:{server.port}{path}": (name, body)
            for name, server in servers.items()
            for path, body in PAGES.items()
        }
        page = tmp_path / "page.html"
        page.write_text(ASKING.format(urls=json.dumps(list(wanted))), encoding="ascii")
        argv = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
        argv += ["--no-first-run", "--disable-background-networking", "--dump-dom"]
        argv += ["--disable-web-security"]  # its page is of none of the servers
        argv += [f"--user-data-dir={tmp_path / 'profile'}"]
        done = run([*argv, f"file://{page}"])
        assert done.returncode == 0, done.stderr[-1000:]
        found = re.findall(r'<pre title="([^"]*)">(.*?)</pre>', done.stdout.decode(), re.S)
        shown = {url: html.unescape(text) for url, text in found}
        for url, (name, body) in wanted.items():
            assert shown.get(url) == body.decode(), f"{name}: {url}: {done.stderr[-1000:]!r}"
        for name, server in servers.items():
            assert server.finish()["requests"] >= len(PAGES), name


# --- our client against servers of others ----------------------------------------------------

NGINX = """
daemon off; master_process off; worker_processes 1; pid {directory}/pid;
error_log {directory}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off; keepalive_requests 10000000;
    client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;
    fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello, nginx\\n"; }} }}
}}
"""


def _load(url: str, *options: str) -> int:
    """Run the load generator; nothing may go wrong. Returns how many requests were answered."""
    if not loadgen_util.LOADGEN.exists():
        pytest.skip("the load generator is not built")
    done = loadgen_util.run(
        "-c", "20", "-d", "300ms", "--warmup", "100ms", "--json", "-", *options, url
    )
    assert done.status in (loadgen_util.VALID, loadgen_util.SUSPECT, loadgen_util.VOID), done.err
    said = done.json
    assert not any(done.errors.values()), done.errors
    assert said["requests"]["completed"] > 0, said["verdict"]
    assert "verification" not in done.codes, done.codes
    return int(said["requests"]["completed"])


def _label(options: tuple[str, ...]) -> str:
    return "".join(options) or "closed-loop"


@pytest.mark.parametrize("options", [(), ("-R", "2000"), ("--pipeline", "8")], ids=_label)
def test_loadgen_against_nginx(options: tuple[str, ...], tmp_path: Path) -> None:
    nginx = need("nginx")
    for attempt in range(5):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        with socket.socket() as probe:  # nginx takes no port 0: one that was free just now
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = directory / "nginx.conf"
        config.write_text(NGINX.format(directory=directory, port=port), encoding="ascii")
        with process.Child([nginx, "-p", str(directory), "-c", str(config)]) as child:
            if _listening_port(child) == port:
                _load(f"http://127.0.0.1:{port}/", *options)
                return
    pytest.fail("nginx does not listen")


def _listening_port(child: process.Child) -> int:
    """The port that a program listens on, which not all of them tell; 0 if it ends instead."""
    found: list[int] = []

    def listens() -> bool:
        if child.wait(0) is None:
            found.extend(_ports(child.pid))
        return bool(found) or child.exit is not None

    assert wait_until(listens, 10), f"{child.argv[0]} does not listen: {child.stderr_tail()}"
    return found[0] if found else 0


def _ports(pid: int) -> list[int]:
    inodes = procfs.sockets(pid)
    rows = map(str.split, Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:])
    return [int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes]


@pytest.mark.parametrize("options", [(), ("-R", "1000", "--size", "1000")], ids=_label)
def test_loadgen_against_socat(options: tuple[str, ...]) -> None:
    socat = need("socat")
    with process.Child([socat, "TCP4-LISTEN:0,bind=127.0.0.1,fork,backlog=128", "PIPE"]) as child:
        _load(f"echo://127.0.0.1:{_listening_port(child)}", *options)


def test_loadgen_against_ncat() -> None:
    ncat = need("ncat")
    argv = [ncat, "-l", "127.0.0.1", "0", "--keep-open", "--exec", "/bin/cat"]
    with process.Child(argv) as child:
        _load(f"echo://127.0.0.1:{_listening_port(child)}")


@serving("http", 20)
def test_loadgen_counts_no_more_than_the_server(model: models.Model) -> None:
    with start(model, "http") as server:
        completed = _load(f"http://127.0.0.1:{server.port}/bytes/500")
        counters = server.finish()
        assert counters["requests"] >= completed, "it counted more answers than there were"
        assert counters["connections"] == 20
