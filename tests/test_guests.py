# SPDX-License-Identifier: MIT
"""Servers that are not ours: guests, commands and what runs already, wherever a model may stand."""
from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness_fakes import EXPERIMENT

from harness import cli, errors
from harness.conformance.catalogue import discover
from harness.conformance.runner import FAIL, NOT_APPLICABLE, plan, run_all
from harness.conformance.subject import Conditions
from harness.design import duel, experiment, guest
from harness.design.load import Load
from harness.design.model import Model
from harness.errors import UsageError
from harness.measure import attached, guest_host, listener, models
from harness.measure.field import Field
from harness.measure.meter import Sources
from harness.measure.process import Server, task_state, tree
from harness.paths import loadgen_path
from tests.loadgen_util import model

ROOT = Path(__file__).resolve().parent.parent
TENK = ROOT / "harness" / "tenk"
NAMES = guest.available()
ONE_AT_A_TIME = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    peer, data = listener.accept()[0], b""
    try:
        while more := peer.recv(4096):
            *whole, data = (data + more).split(b"\\r\\n\\r\\n")
            peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n" * len(whole))
    except OSError:
        pass
    peer.close()
"""


def tenk(*args: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [TENK, *args],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "COLUMNS": "200", **more},
    )


@pytest.fixture(name="program")
def fixture_program(tmp_path: Path) -> str:
    """A server of the reader's own, as the command that starts it."""
    path = tmp_path / "server.py"
    path.write_text(ONE_AT_A_TIME, encoding="utf-8")
    return f"/usr/bin/python3 {path} {{port}}"


def until(condition: "object", seconds: float = 20.0) -> bool:
    """Poll what nothing can be waited on for."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def hosted(*words: str) -> Iterator[Server]:
    with Server([str(guest.HOST), *words]) as server:
        yield server


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_keeps_what_any_server_promises(name: str) -> None:
    found = models.describe_foreign(guest.Foreign(guest.PREFIX + name, (name,)))
    if found.unavailable:
        assert "apt install" in found.unavailable
        pytest.skip(found.unavailable)
    # A runtime starts in a second, and in more than ten beside many other programs.
    results = run_all(plan([found], discover()), Conditions(patience=3.0), workers=2)
    failed = [f"{r.case}: {r.text}" for r in results if r.outcome == FAIL]
    assert not failed, failed
    kept = [r for r in results if r.outcome != NOT_APPLICABLE]
    assert len(kept) >= 8 or "http" not in found.protocols
    assert all(r.text for r in results if r.outcome == NOT_APPLICABLE)


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_without_its_runtime_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = guest.load(name)
    assert one.needs, "a guest names the package of its runtime"
    monkeypatch.setattr(guest_host, "_path", lambda: "/nonexistent")
    monkeypatch.setattr(guest_host, "_status", lambda _: 127)
    said = guest_host.missing(one)
    if all(Path(need.command).is_absolute() and not need.probe for need in one.needs):
        return  # Python itself
    assert said.count("\n") == 0 and f"apt install {one.needs[0].package}" in said


def test_a_missing_runtime_costs_one_line_and_nobody_else() -> None:
    done = tenk(
        "check", "guest:go", "guest:asyncio", "--case", "byte_at_a_time", PATH="/nonexistent"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if "guest:go" in line]
    assert lines == ["guest:go: cannot run here: guest: go is not installed: apt install golang-go"]
    assert "1 ok" in done.stdout


def test_a_command_is_ready_when_its_port_is_and_its_pid_is_told(program: str) -> None:
    with hosted("--cmd", program, "-p", "0", "-P", "http") as server:
        assert server.server_pid != server.pid and server.server_pid in tree(server.pid)
        with socket.create_connection(("127.0.0.1", server.port)) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert peer.recv(100).startswith(b"HTTP/1.1 200")
        pid = server.server_pid
        assert "requests" not in server.stop()
    assert task_state(Path(f"/proc/{pid}")) == "X"


def test_a_command_that_ends_is_told_with_its_status() -> None:
    done = subprocess.run(
        [guest.HOST, "--cmd", "/bin/false {port}", "-p", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == "guest: /bin/false: ended with status 1 before it was ready\n"


def test_a_line_it_prints_can_say_that_it_is_ready(tmp_path: Path) -> None:
    path = tmp_path / "late.py"
    path.write_text("print('up now', flush=True)\n" + ONE_AT_A_TIME, encoding="utf-8")
    words = ["--cmd", f"/usr/bin/python3 {path} {{port}}", "--ready", "up n.w"]
    with hosted(*words, "-p", "0", "-P", "http") as server:
        assert server.port > 0
        server.stop()


def test_nothing_of_a_guest_outlives_a_host_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "forks.py"
    path.write_text(
        "import os\nos.fork()\n"
        + ONE_AT_A_TIME.replace(
            "socket.create_server(", "(lambda a: " "socket.create_server(a, reuse_port=True))("
        ),
        encoding="utf-8",
    )
    with hosted("--cmd", f"/usr/bin/python3 {path} {{port}}", "-p", "0", "-P", "http") as server:
        assert until(lambda: len(tree(server.server_pid)) == 2)
        members = tree(server.server_pid)
        os.kill(server.pid, signal.SIGKILL)  # the host alone
        assert until(lambda: all(task_state(Path(f"/proc/{pid}")) in "XZ" for pid in members))


def test_what_is_not_a_server_of_somebody_is_refused() -> None:
    for text in (
        "guest:none",
        "cmd=true",
        "url=nonsense",
        "url=http://h/,pid=x",
        "url=redis://h/",
        "ftp:x",
    ):
        with pytest.raises(UsageError, match="CONTENDER"):
            duel.parse_contenders(["epoll_lt", text])
    with pytest.raises(UsageError, match="reference"):
        duel.parse_contenders(["guest:go", "epoll_lt"])
    assert duel.parse_contenders(["epoll_lt", "url=http://127.0.0.1:80/x,pid=12"])[1].words == (
        "--url",
        "http://127.0.0.1:80/x",
        "--pid",
        "12",
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('summary = "x"', "'family' is missing"),
        ('summry = "x"', "'summry' is not a key"),
        ('summary = "x"\nfamily = "no"\nprotocols = ["http"]\nstart = "x {port}"', "family 'no'"),
        ('summary = "x"\nfamily = "library"\nprotocols = ["http"]\nstart = "x"', "no {port}"),
        (
            'summary = "x"\nfamily = "library"\nprotocols = ["gopher"]\nstart = "x {port}"',
            "protocol 'gopher' is not one of http, echo, rot13, memcached, redis",
        ),
        (
            'summary = "x"\nfamily = "library"\nprotocols = ["http", "redis"]\nstart = "x {port}"',
            "protocol 'redis' stands alone",
        ),
        (
            'summary = "x"\nfamily = "library"\nprotocols = ["memcached"]\nstart = "x {port}"',
            "'paths' has the key",
        ),
        ("summary = 3", "'summary' is not a str"),
    ],
)
def test_a_wrong_model_toml_is_told_by_its_key(text: str, word: str) -> None:
    import tomllib

    with pytest.raises(ValueError, match=word):
        guest.parse("x", tomllib.loads(text))


def test_places_are_filled_in_and_other_braces_stay() -> None:
    assert guest.fill("a {port} { b } {no} {workers}", {"port": 7, "workers": 2}) == (
        "a 7 { b } {no} 2"
    )


def test_the_processes_of_a_guest_are_its_cost(program: str) -> None:
    found = duel.parse_contender(f"cmd={program}")
    described = models.describe(guest.HOST, found.options, found.words)
    entry = duel.Entry(found.name, duel.CONTENDER, described, found.options)
    with Field([entry], "http", (), Sources(None, None)) as field:
        (target,) = field.targets([entry])
        pid = int(target.cpu.removeprefix("tree:"))
        assert str(pid) in " ".join(map(str, tree(os.getpid())))
        assert b"server.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        counters, failed = field.stop()
    assert not failed and list(counters) == [found.name]


def test_a_duel_meets_guest_command_and_what_runs(program: str, tmp_path: Path) -> None:
    with model("poll", "http") as running:
        out = tmp_path / "duel.json"
        url = f"url={running.url('http', '/')},pid={running.pid}"
        done = tenk(
            *["duel", "epoll_lt", "guest:asyncio", f"cmd={program}", url, "-c", "1"],
            *["--seconds", "5", "--arrangement", "turns", "--no-keep", "--json", str(out)],
        )
        assert done.returncode in (0, 3), done.stdout + done.stderr
        document = json.loads(out.read_text(encoding="utf-8"))
        measured = json.dumps(document["arrangements"]["turns"])
        for name in ("epoll_lt", "guest:asyncio", program, running.url("http", "/")):
            assert json.dumps(name) in measured
        assert running.child.poll() is None, "what ran before goes on"


def listening_child(program: str) -> "tuple[subprocess.Popen[bytes], int]":
    """A server of somebody, and the port it listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    child = subprocess.Popen(shlex.split(program.format(port=port)))
    assert until(lambda: listener.listening(port))
    return child, port


def test_who_listens_there_is_found_with_his_children_and_not_by_others(program: str) -> None:
    child, port = listening_child(program)
    try:
        assert listener.owner("127.0.0.1", port) == child.pid
        assert listener.owner("localhost", port) == child.pid
        assert listener.owner("127.0.0.2", port) == 0, "it is bound to one address"
        described = models.describe(guest.HOST, words=("--url", f"http://127.0.0.1:{port}/"))
        assert described.describe["guest"]["pid"] == child.pid and not described.is_unseen
    finally:
        child.kill()
        child.wait()
    assert listener.owner("127.0.0.1", port) == 0


DUEL = ["duel", "epoll_lt", "url={}"]
NOBODY = ["nobody answers", "Connection refused", "start the server"]


@pytest.mark.parametrize(
    ("words", "url", "said"),
    [
        (DUEL, "http://127.0.0.1:1/", NOBODY),
        (["run", "c10k", "--models", "poll", "--also", "mine={}"], "http://127.0.0.1:1/", NOBODY),
        (["check", "url={}"], "http://192.0.2.1/", ["another machine", "owner has agreed"]),
        (DUEL, "http://127.0.0.1:1/,pid=4194305", ["4194305", "not a process that runs"]),
    ],
)
def test_a_url_where_nobody_is_or_elsewhere_is_refused_in_one_line(
    words: list[str], url: str, said: list[str], tmp_path: Path
) -> None:
    more = [] if words[0] == "check" else ["--out", str(tmp_path / "out")]
    done = tenk(*(word.format(url) for word in words), *more)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stdout + done.stderr
    assert all(part in done.stderr for part in said), done.stderr
    assert not (tmp_path / "out").exists()


def test_of_several_that_hold_the_socket_the_parent_is_the_server(tmp_path: Path) -> None:
    path = tmp_path / "forks.py"
    path.write_text(
        "import os, socket, sys, time\n"
        "held = socket.create_server(('', int(sys.argv[1])))\nparent = os.getpid()\nos.fork()\n"
        "while os.getppid() == parent or os.getpid() == parent: time.sleep(0.02)\n",
        encoding="utf-8",
    )
    child, port = listening_child(f"/usr/bin/python3 {path} {{port}}")
    try:
        assert until(lambda: len(tree(child.pid)) == 2)
        assert listener.owner("127.0.0.1", port) == child.pid, "any address has this one, too"
    finally:
        child.kill()
        child.wait()


# Nobody may look at the open files of another user's process, root excepted; a namespace of
# processes of its own hides them from anybody.
APART = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]


def apart() -> bool:
    done = subprocess.run([*APART, "true"], capture_output=True, check=False, timeout=60)
    return done.returncode == 0


def test_a_duel_without_a_process_tells_rates_and_latencies_only(tmp_path: Path) -> None:
    if not apart():
        pytest.skip("no namespace of processes can be made here")
    out = tmp_path / "duel.json"
    with model("poll", "http") as running:
        words = [TENK, "duel", "epoll_lt", f"url={running.url('http', '/')}", "-c", "2"]
        options = ["--seconds", "5", "--no-keep", "--json", str(out)]
        refused, done = (
            subprocess.run(
                [*APART, *map(str, words), *options, *more],
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            for more in (["--arrangement", "together"], [])
        )
    assert refused.returncode == 2 and "pid=N" in refused.stderr, refused.stderr
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert "its CPU time is not known" in " ".join((done.stdout + done.stderr).split())
    found = json.loads(out.read_text(encoding="utf-8"))["arrangements"]
    assert list(found) == ["turns"]
    (mine,) = [c for c in found["turns"]["contenders"] if c["name"] != "epoll_lt"]
    assert mine["ratio"]["throughput_rps"]["estimate"] > 0
    assert "server_cpu_us_per_request" not in {**mine["ratio"], **mine["value"]}


def test_a_url_is_checked_for_what_any_server_does() -> None:
    with hosted("asyncio", "-p", "0", "-P", "http") as server:
        url = f"http://127.0.0.1:{server.port}/"
        done = tenk("check", "--url", url, "--case", "pipelined_burst", "--case", "both_at_once")
        assert done.returncode == 0, done.stdout + done.stderr
        said = " ".join(done.stdout.split())
        assert "1 ok, 0 failed, 1 not applicable" in said and "not ours to look into" in said
        assert until(lambda: task_state(Path(f"/proc/{server.server_pid}")) in "SR")
        server.stop()


def test_a_wrong_server_at_a_url_is_found_out(program: str) -> None:
    with hosted("--cmd", program, "-p", "0", "-P", "http") as server:
        url = f"http://127.0.0.1:{server.port}/"  # it serves one client at a time
        done = tenk("check", "--url", url, "--case", "two_clients_interleaved")
        assert done.returncode == 1 and f"again: harness/tenk check url={url}" in done.stdout
        server.stop()


def test_a_run_measures_a_guest_and_what_runs_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(EXPERIMENT.replace("0.02", "0.1"), encoding="utf-8")
    monkeypatch.setattr(experiment.available, "__defaults__", (tmp_path,))
    monkeypatch.setattr(experiment.load, "__defaults__", (tmp_path,))
    with model("poll", "http") as running:
        also = f"mine={running.url('http', '/')},pid={running.pid}"
        words = ["run", "tiny", "--profile", "quick", "--models", "epoll_lt,guest:asyncio"]
        done = cli.main([*words, "--also", also, "--no-plot", "--out", str(tmp_path / "out")])
        assert done in (errors.EXIT_OK, errors.EXIT_DOUBTFUL), capsys.readouterr().err
        assert running.child.poll() is None, "what ran before goes on"
    cells = [json.loads(path.read_text()) for path in tmp_path.glob("out/*/tiny/*/cells/*.json")]
    for name in ("guest:asyncio", "mine"):
        measured = [c for c in cells if c["model"] == name and c["status"] != "unsupported"]
        assert measured and any(c["metrics"].get("server_cpu_us_per_request") for c in measured)


@pytest.mark.parametrize(
    "also", ["mine", "a b=http://127.0.0.1:1/,pid=1", "m=http://127.0.0.1:1/,pid=x"]
)
def test_what_also_runs_has_a_name_and_a_url(also: str) -> None:
    done = tenk("run", "c10k", "--profile", "quick", "--models", "epoll_lt", "--also", also)
    assert done.returncode == 2 and "--also" in done.stderr and "pid=" in done.stderr


def test_a_command_is_another_one_when_a_file_that_it_names_changes(tmp_path: Path) -> None:
    file = tmp_path / "server.js"
    file.write_text("1", encoding="utf-8")
    one = Model("mine", guest.HOST, words=("--cmd", f"node {file} {{port}}"))
    before = attached.identity(one)
    assert attached.identity(one) == before
    file.write_text("2", encoding="utf-8")
    assert attached.identity(one) != before


@pytest.mark.parametrize("asked", ["guest:asyncio -w 2", "cmd=python3 {port}"])
def test_a_resumed_run_calls_a_server_of_others_as_before(asked: str) -> None:
    first = models.describe_foreign(guest.parse_foreign(asked, "--models") or pytest.fail(asked))
    (told,) = [{**first.describe, "called": first.called}]
    second = attached.again(first.name, told, attached.identity(first))
    assert second is not None and second == first and attached.identity(second)
    assert attached.again(first.name, first.describe, "") is None, "it does not say how"


def test_a_process_is_known_by_its_program_and_its_command_line() -> None:
    assert " ".join(Path("/proc/self/cmdline").read_text().split("\0")).strip() in (
        attached.program(os.getpid())
    )
    assert attached.program(os.getpid()).split()[-1] == models.fingerprint(Path("/proc/self/exe"))
    assert attached.program(2**22 + 1) == attached.NOT_SEEN


def test_a_guest_that_does_not_answer_is_listed_with_its_name_and_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silent(*_: object) -> tuple[int, str, str]:
        raise subprocess.TimeoutExpired("guest", 1)

    monkeypatch.setattr(models, "_ask", silent)
    (found,) = models.guests(["guest:nginx"])
    assert found.name == "guest:nginx" and found.broken and found.family
    assert "no answer within" in found.unavailable


def test_the_list_has_each_guest_or_what_to_install() -> None:
    said = tenk("list").stdout
    for name in NAMES:
        assert f"guest:{name}" in said


# What a guest of a protocol of its own is asked for, as a duel says it.
OWN = {"redis": "PING of redis", "memcached": "get greeting of memcached"}


def own_guest(name: str) -> Model:
    """Described, and there; skips where its runtime is missing."""
    found = models.describe_foreign(guest.Foreign(guest.PREFIX + name, (name,)))
    if found.unavailable:
        assert "apt install" in found.unavailable
        pytest.skip(found.unavailable)
    return found


@pytest.mark.parametrize("name", OWN)
def test_a_guest_of_its_own_protocol_starts_answers_as_it_should_and_ends(
    name: str, tmp_path: Path
) -> None:
    found = own_guest(name)
    out = tmp_path / "report.json"
    with hosted(name, "-p", "0", "-P", name) as server:
        url = found.asked(Load()).url(server.port)
        done = subprocess.run(
            [loadgen_path(), "-q", "--verify", "full", "-c", "5", "-d", "200ms", "--pipeline", "3"]
            + ["--json", str(out), url],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        said = json.loads(out.read_text(encoding="utf-8"))
        assert said["requests"]["completed"] > 0, done.stderr
        assert said["requests"]["failed"] == said["verification"]["failures"] == 0, said
        pid = server.server_pid
        assert "requests" not in server.stop()
    assert task_state(Path(f"/proc/{pid}")) == "X"
    assert not listener.listening(server.port)


@pytest.mark.parametrize("name", OWN)
def test_a_guest_of_its_own_protocol_ends_with_a_host_that_is_killed(name: str) -> None:
    own_guest(name)
    with hosted(name, "-p", "0", "-P", name) as server:
        os.kill(server.pid, signal.SIGKILL)  # the host alone
        assert until(lambda: task_state(Path(f"/proc/{server.server_pid}")) in "XZ")


@pytest.mark.parametrize("name", OWN)
def test_the_cases_are_not_for_a_guest_of_its_own_protocol_and_say_so(name: str) -> None:
    own_guest(name)
    done = tenk("check", f"guest:{name}", "--case", "byte_at_a_time")
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "0 ok, 0 failed, 1 not applicable" in said
    assert f"it speaks {name} alone" in said


def test_guests_of_their_own_protocols_meet_a_model_each_in_its_own(tmp_path: Path) -> None:
    for name in OWN:
        own_guest(name)
    out = tmp_path / "duel.json"
    # A machine that is busy with other things disturbs every slice of a short duel, and a
    # disturbed slice does not count. So it gets more time, if it needs it.
    for seconds in ("5", "20", "60"):
        done = tenk(
            *["duel", "epoll_lt", *(f"guest:{name}" for name in OWN), "-c", "2"],
            *["--pipeline", "2", "--seconds", seconds, "--no-keep", "--json", str(out)],
        )
        assert done.returncode in (0, 3), done.stdout + done.stderr
        document = json.loads(out.read_text(encoding="utf-8"))
        said = document["level"]["own_requests"]
        assert all(f"guest:{name} answers {asked}" in said for name, asked in OWN.items())
        assert "the others http /" in said and "the whole service of one request" in said
        assert " ".join(said.split()) in " ".join(done.stdout.split())
        assert not document["unsupported"], document["unsupported"]
        contenders = [
            one
            for arrangement in ("together", "turns")
            for one in document["arrangements"][arrangement]["contenders"]
            if one["name"] != "epoll_lt"
        ]
        assert len(contenders) == 2 * len(OWN)
        if all(one["samples"] for one in contenders):
            break
        assert all(one["samples"] or one["discarded"] for one in contenders), contenders
    for one in contenders:
        assert one["value"]["server_cpu_us_per_request"] > 0, one


def test_models_alone_say_nothing_of_protocols_of_their_own() -> None:
    entry = duel.Entry("epoll_lt", duel.REFERENCE, Model("epoll_lt", TENK, protocols=("http",)))
    assert duel.own_requests([entry], Load()) == ""
    assert entry.model.asked(Load(path="/x")) == Load(path="/x")


def test_an_experiment_leaves_out_a_guest_of_its_own_protocol_with_the_reason() -> None:
    found = own_guest("redis")
    assert found.why_not("http", 1) == "does not speak http (only redis)"


def test_what_cannot_be_prepared_is_told_with_its_last_words() -> None:
    command = "/bin/sh -c 'echo no room >&2; exit 3'"
    one = guest.Guest("x", "", "library", ("redis",), "x {port}", prepare=(command,))
    with pytest.raises(guest_host.Unable, match="no room"):
        guest_host._prepare(one, {"port": 1})
