# SPDX-License-Identifier: MIT
"""What every server promises to whoever starts it: options, its own words, what it counts."""
from __future__ import annotations

import dataclasses
import http.client
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.conformance import catalogue
from harness.conformance.runner import NOT_APPLICABLE, Job, run_one
from harness.design.model import Model
from harness.errors import SetupError
from harness.measure import models
from harness.paths import ROOT, servers_dir

BUILT = sorted(path.name for path in servers_dir().glob("*"))


class Server:
    """A server that has said ready; stop() gives its counters."""

    def __init__(self, name: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [str(servers_dir() / name), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        words = dict(w.partition("=")[::2] for w in self.process.stdout.readline().split())
        self.port = int(words.get("port", 0))

    def stop(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, err
        counters = json.loads(out)
        assert isinstance(counters, dict)
        return counters


@contextmanager
def serving(name: str, *options: str) -> Iterator[Server]:
    server = Server(name, *options)
    try:
        assert server.port, server.process.communicate()[1]
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def run(name: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(servers_dir() / name), *options],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def can_run(name: str) -> Model:
    model = models.describe(servers_dir() / name)
    if model.unavailable:
        pytest.skip(model.unavailable)
    return model


# --- a known cost on top -------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT)
def test_every_model_takes_a_known_extra_cost_and_says_what_it_is(name: str) -> None:
    model = can_run(name)
    assert "--extra-ns" in model.describe["hidden_options"]
    assert "--extra-ns" not in model.describe["options"]
    with serving(name, "--extra-ns", "300") as server:
        assert server.stop()["extra_ns_per_request"] > 0


def test_without_extra_cost_there_is_nothing_to_say() -> None:
    with serving("epoll_lt") as server:
        assert "extra_ns_per_request" not in server.stop()


def test_extra_cost_is_for_the_harness_and_not_in_the_help() -> None:
    done = run("epoll_lt", "--help")
    assert done.returncode == 0 and "--accept-batch" in done.stdout
    assert "extra" not in done.stdout


@pytest.mark.parametrize("value", ["0", "-1", "1000001", "3%", "1e3", ""])
def test_extra_cost_out_of_range_is_refused_in_one_line(value: str) -> None:
    done = run("poll", f"--extra-ns={value}")
    assert done.returncode == 2 and not done.stdout
    assert "--extra-ns" in done.stderr and f"'{value}'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- options -------------------------------------------------------------------------------------


def cpus() -> int:
    return len(os.sched_getaffinity(0))


@pytest.mark.parametrize("name", ["thread_pool", "multi_reactor_reuseport"])
def test_workers_may_be_as_many_as_there_are_cpus(name: str) -> None:
    can_run(name)
    done = run(name, "-w", "cpus", "--describe")
    assert json.loads(done.stdout)["workers"] == cpus()
    assert run(name, "-w", "cpu", "--describe").returncode == 2


def test_the_stack_of_a_coroutine_has_the_size_that_was_asked_for() -> None:
    with serving("coroutine", "--stack-bytes=200000") as server:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(7)]
        for client in clients:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        maps = Path(f"/proc/{server.process.pid}/maps").read_text(encoding="ascii").splitlines()
        spans = [line.split("-")[:2] for line in maps if " rw-p " in line]
        page = resource.getpagesize()
        stack = -(-200000 // page) * page
        sizes = [int(end.split()[0], 16) - int(start, 16) for start, end in spans]
        assert sizes.count(stack) == len(clients)
        for client in clients:
            client.close()


def test_the_stack_of_a_thread_has_the_size_that_was_asked_for() -> None:
    def stacks(*options: str) -> int:
        """How many mappings have room for a stack of 8 MiB, with seven clients."""
        with serving("thread", *options) as server:
            clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(7)]
            for client in clients:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
            maps = Path(f"/proc/{server.process.pid}/maps").read_text(encoding="ascii")
            for client in clients:
                client.close()
        spans = [line.split()[0].split("-") for line in maps.splitlines() if " rw-p " in line]
        return sum(int(end, 16) - int(start, 16) >= 8 << 20 for start, end in spans)

    assert (stacks(), stacks(f"--stack-bytes={8 << 20}")) == (0, 7)


def test_a_reactor_per_cpu_goes_by_the_cpus_it_may_use() -> None:
    one = str(min(os.sched_getaffinity(0)))
    argv = ["taskset", "-c", one, str(servers_dir() / "multi_reactor_reuseport"), "--describe"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["workers"] == 1


def test_descriptors_that_workers_take_are_not_left_for_connections() -> None:
    few = json.loads(run("multi_reactor_reuseport", "-w", "1", "--describe").stdout)
    many = json.loads(run("multi_reactor_reuseport", "-w", "101", "--describe").stdout)
    assert few["limits"]["connections"] - many["limits"]["connections"] == 200


def test_what_each_worker_process_adds_to_the_limit_is_told_and_true() -> None:
    def limits(name: str, workers: int) -> dict[str, int]:
        told = json.loads(run(name, "-w", str(workers), "--describe").stdout)["limits"]
        return {key: told[key] for key in ("connections", "per_worker")}

    two, seven = limits("prefork_reuseport", 2), limits("prefork_reuseport", 7)
    assert two["per_worker"] == seven["per_worker"] > 0
    assert seven["connections"] - two["connections"] == 5 * two["per_worker"]
    # Their workers share one table of descriptors, or have one connection each.
    assert limits("multi_reactor_reuseport", 2)["per_worker"] == 0
    assert limits("prefork", 2)["per_worker"] == 0


# --- files ---------------------------------------------------------------------------------------


def fetch(port: int, target: str) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    client.request("GET", target)
    reply = client.getresponse()
    return reply.status, reply.read()


@pytest.mark.parametrize("name", BUILT)
def test_every_model_serves_files_from_a_root_and_nothing_outside(
    name: str, tmp_path: Path
) -> None:
    can_run(name)
    data = bytes(range(256)) * 1500 + b"end"
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "data").write_bytes(data)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root" / "link").symlink_to("../secret")
    with serving(name, "-P", "http", "--root", str(tmp_path / "root")) as server:
        assert fetch(server.port, "/file/data") == (200, data)
        for target in ("/file/link", "/file/../secret", "/file/%2e%2e/secret", "/file/none"):
            assert fetch(server.port, target)[0] == 404, target
        assert fetch(server.port, "/") == (200, b"hello, tenk\n")
        assert server.stop()["bytes_out"] > len(data)


def test_without_a_root_there_is_no_file() -> None:
    with serving("epoll_lt", "-P", "http") as server:
        assert fetch(server.port, "/file/etc/passwd")[0] == 404


def test_a_file_that_needs_a_descriptor_when_none_is_left_is_a_503(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with serving("epoll_lt", "-P", "http", "--root", str(tmp_path)) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        client.request("GET", "/")
        client.getresponse().read()
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (3, 4096))
        client.request("GET", "/file/data")
        assert client.getresponse().status == 503


@pytest.mark.parametrize(
    "options, named",
    [
        (["-P", "echo", "--root", "/tmp"], "echo"),
        (["-P", "http", "--root", "/no/such"], "/no/such"),
        (["-P", "http", "--root", "/etc/passwd"], "/etc/passwd"),
        (["-P", "http", "--root="], "''"),
    ],
)
def test_a_root_that_is_of_no_use_is_refused_in_one_line(options: list[str], named: str) -> None:
    done = run("epoll_lt", *options)
    assert done.returncode == 2 and not done.stdout
    assert "--root" in done.stderr and named in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- what fails, fails before the ready line, and says what it was -------------------------------


def limited(kind: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (most, most))


def starved(name: str, *options: str, kind: int, most: int) -> "subprocess.CompletedProcess[str]":
    """The server's words where it has too little of something. It ends by itself, or is ended."""
    argv = ["timeout", "-s", "TERM", "10", str(servers_dir() / name), *options]
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        preexec_fn=limited(kind, most),
    )


def test_a_pool_that_cannot_have_its_threads_is_not_ready() -> None:
    done = starved("thread_pool", "-w", "3000", kind=resource.RLIMIT_AS, most=200 << 20)
    assert done.returncode == 1, done.stderr
    assert "pthread_create" in done.stderr and "-w" in done.stderr
    assert "ready" not in done.stdout


@pytest.mark.parametrize("option", [["-c", "1"], ["--describe"], []])
def test_a_limit_that_allows_no_connection_is_said_and_not_a_range_without_values(
    option: list[str],
) -> None:
    done = subprocess.run(
        [str(servers_dir() / "posix_aio"), *option],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        preexec_fn=limited(resource.RLIMIT_SIGPENDING, 0),
    )
    assert done.returncode == 77
    assert "queued signals (ulimit -i)" in done.stderr and "'1' is not" not in done.stderr
    assert not done.stdout and len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module", name="shim")
def compiled_shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes one kind of call fail, and changes errno behind the caller's back."""
    made = tmp_path_factory.mktemp("shim") / "fails.so"
    source = ROOT / "tests" / "faults" / "fails.c"
    argv = ["cc", "-std=gnu17", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", str(made), str(source)]
    subprocess.run(argv, check=True)
    return made


@pytest.mark.parametrize(
    "name, fails, says",
    [
        ("epoll_et", "calloc", "calloc: Cannot allocate memory"),
        ("fork", "calloc", "calloc: Cannot allocate memory"),
        ("poll", "calloc", "calloc: Cannot allocate memory"),
        ("epoll_lt", "pthread_key_create", "pthread_key_create: Resource temporarily unavailable"),
    ],
)
def test_a_call_that_fails_is_reported_as_that_call_with_its_own_error(
    name: str, fails: str, says: str, shim: Path
) -> None:
    done = subprocess.run(
        ["timeout", "-s", "TERM", "10", str(servers_dir() / name), "-c", "777"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "LD_PRELOAD": str(shim), "TENK_FAILS": fails},
    )
    assert done.returncode == 1, done.stderr
    assert says in done.stderr and "ready" not in done.stdout
    assert len(done.stderr.splitlines()) == 1


# --- how many connections there may be -----------------------------------------------------------


@pytest.mark.parametrize("name", ["multi_reactor_reuseport", "epoll_exclusive", "epoll_oneshot"])
def test_many_acceptors_together_keep_to_the_limit(name: str) -> None:
    can_run(name)
    with serving(name, "-w", "16", "-c", "20") as server:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        for client in clients:
            client.sendall(b"x")
        served: set[int] = set()
        while len(served) < 20:
            ready, _, _ = select.select(clients, [], [], 20)
            assert ready, "fewer than the limit are served"
            served |= {c.fileno() for c in ready if c.recv(1) == b"x"}
        assert not select.select(clients, [], [], 0.3)[0], "more than the limit are served"
        for client in clients:
            client.close()


# --- the suite's view ----------------------------------------------------------------------------


def test_cases_that_bound_cpu_time_do_not_apply_to_a_server_that_spins_on_purpose() -> None:
    model = can_run("epoll_lt")
    assert model.describe["busy_polls"] is False
    spinner = dataclasses.replace(model, describe={**model.describe, "busy_polls": True})
    bounded = {"connection_limit", "no_descriptors", "idle_costs_nothing", "many_slow_readers"}
    for case in catalogue.discover():
        if case.name in bounded:
            result = run_one(Job(spinner, "echo", case))
            assert result.outcome == NOT_APPLICABLE and "busy_polls" in result.text, case.name


# --- the build -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="checkout")
def small_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what `make` needs, with two models."""
    root = tmp_path_factory.mktemp("checkout")
    for part in ("common", "servers/lib", "loadgen"):
        shutil.copytree(ROOT / part, root / part)
    for part in ("Makefile", "servers/poll.c", "servers/blocking.c"):
        shutil.copy(ROOT / part, root / part)
    return root


def make(checkout: Path, *targets: str) -> "subprocess.CompletedProcess[str]":
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    argv = ["make", "-C", str(checkout), "CFLAGS=-O0", "LTO=", *targets]
    return subprocess.run(
        argv, capture_output=True, text=True, env={**env, "NO_APT": "1"}, check=False
    )


def built(checkout: Path) -> set[str]:
    return {path.name for path in (checkout / "build" / "servers").glob("*")}


def test_a_model_that_does_not_compile_stops_no_other_and_leaves_no_old_binary(
    checkout: Path,
) -> None:
    assert make(checkout).returncode == 0
    assert built(checkout) == {"poll", "blocking"}
    with open(checkout / "servers" / "poll.c", "a", encoding="utf-8") as source:
        source.write("int broken = ;\n")
    (checkout / "servers" / "late.c").write_text(
        (checkout / "servers" / "blocking.c").read_text("utf-8"), encoding="utf-8"
    )
    done = make(checkout)
    assert done.returncode != 0
    assert "not built: build/servers/poll" in done.stderr
    assert built(checkout) == {"blocking", "late"}
    shutil.copy(ROOT / "servers" / "poll.c", checkout / "servers")
    (checkout / "servers" / "late.c").unlink()
    assert make(checkout).returncode == 0
    assert built(checkout) == {"poll", "blocking"}, "the source of `late` is gone"


def test_a_model_is_built_with_the_flags_of_the_packages_it_names(checkout: Path) -> None:
    packages = checkout / "packages"
    packages.mkdir()
    (packages / "odd.pc").write_text(
        "Name: odd\nDescription: -\nVersion: 2.5\nCflags: -DODD=1\nLibs:\n", encoding="utf-8"
    )
    text = (checkout / "servers" / "blocking.c").read_text("utf-8")
    for name, needs in (("odd", "odd>=2.5"), ("newer", "odd>=2.6")):
        (checkout / "servers" / f"{name}.c").write_text(
            f"// tenk-needs: {needs}\n#ifndef ODD\n#error no flags\n#endif\n"
            + text.replace('"blocking"', f'"{name}"'),
            encoding="utf-8",
        )
    os.environ["PKG_CONFIG_PATH"] = str(packages)
    try:
        done = make(checkout, "build/servers/odd", "build/servers/newer")
    finally:
        del os.environ["PKG_CONFIG_PATH"]
    assert done.returncode == 0, done.stderr
    assert (
        subprocess.run([str(checkout / "build/servers/odd"), "--describe"], check=False).returncode
        == 0
    )
    absent = subprocess.run(
        [str(checkout / "build/servers/newer")], capture_output=True, text=True, check=False
    )
    assert absent.returncode == 77 and "odd>=2.6" in absent.stderr
    for name in ("odd", "newer"):
        (checkout / "servers" / f"{name}.c").unlink()


# --- the catalogue -------------------------------------------------------------------------------


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(0o755)


def check(build: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    argv = ["/usr/bin/python3", str(ROOT / "harness" / "tenk"), "check", "--build", str(build)]
    return subprocess.run([*argv, *args], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "text, says",
    [
        ("exit 3", "exit 3"),
        ("echo nonsense", "not as agreed"),
        ("kill -9 $$", "exit -9"),
        ("sleep 600", "no answer within 2 s"),
    ],
)
def test_a_model_that_cannot_describe_itself_has_failed(
    text: str, says: str, tmp_path: Path
) -> None:
    script(tmp_path / "servers" / "mute", text)
    shutil.copy(servers_dir() / "epoll_lt", tmp_path / "servers")
    file = tmp_path / "out.json"
    done = check(tmp_path, "--case", "one_name", "--json", str(file))
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAIL mute: --describe: {says}" in done.stdout
    said = json.loads(file.read_text("utf-8"))
    assert said["ok"] is False and said["models"] == ["epoll_lt", "mute"]
    assert {r["model"]: r["outcome"] for r in said["results"]} == {"mute": "FAIL", "epoll_lt": "ok"}


def test_models_that_hang_are_waited_for_together(tmp_path: Path) -> None:
    """Six that never answer are asked at once: each of them sees the others begin."""
    for i in range(6):
        script(tmp_path / f"mute{i}", f"touch {tmp_path}/began{i}.d; exec sleep 600")
    seen: list[int] = []
    asked = subprocess.Popen.communicate

    def communicate(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return asked(self, *args, **kwargs)
        except subprocess.TimeoutExpired:
            seen.append(len(list(tmp_path.glob("began*.d"))))
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "communicate", communicate)
        found = models.discover(tmp_path)
    assert [m.broken for m in found] == [True] * 6
    assert seen[0] == 6


@pytest.fixture(name="stale")
def checkout_with_a_stale_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """poll is older than its source, blocking is not, and gone has none."""
    where = tmp_path / "build" / "servers"
    where.mkdir(parents=True)
    (tmp_path / "servers").mkdir()
    for name in ("poll", "blocking", "gone"):
        shutil.copy(servers_dir() / ("poll" if name == "gone" else name), where / name)
        (tmp_path / "servers" / f"{name}.c").touch()
    (tmp_path / "servers" / "gone.c").unlink()
    for path, when in (("build/servers/poll", 1000), ("servers/blocking.c", 1000)):
        os.utime(tmp_path / path, (when, when))
    monkeypatch.setattr(models, "ROOT", tmp_path)
    return where


def test_a_binary_without_a_source_is_not_a_model(stale: Path) -> None:
    assert [model.name for model in models.discover(stale)] == ["blocking", "poll"]


def test_a_binary_older_than_its_source_is_neither_measured_nor_checked(stale: Path) -> None:
    found = {model.name: model for model in models.discover(stale)}
    assert found["poll"].stale and found["poll"].broken and not found["blocking"].broken
    assert "servers/poll.c" in found["poll"].why_not("echo", 1)
    assert models.choose(found.values(), "blocking") == [found["blocking"]]
    for names in (None, "poll"):
        with pytest.raises(SetupError, match="poll: the binary is older .* run `make`"):
            models.choose(found.values(), names)
