# SPDX-License-Identifier: MIT
"""What goes wrong with servers, machines and users: said clearly, counted by kind, never a hang."""
from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from loadgen_util import (
    FAILED,
    INTERRUPTED,
    LOADGEN,
    OK,
    UNSUPPORTED,
    USAGE,
    VOID,
    Server,
    echo,
    engines,
    finish,
    heads,
    http_server,
    measure,
    messages,
    model,
    run,
    started,
    workers_of,
)

ENGINES = pytest.mark.parametrize("engine", engines())


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@ENGINES
def test_an_absent_server_is_a_set_up_failure(engine: str, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"echo://127.0.0.1:{unused.getsockname()[1]}"
        done = run("--engine", engine, "--json", str(tmp_path / "out.json"), "-t", "2", url)
    assert done.status == FAILED
    assert done.err == f"loadgen: connect to {url}: Connection refused; is the server running?\n"
    assert done.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_no_results_of_an_earlier_one(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"echo://127.0.0.1:{unused.getsockname()[1]}"
        old, table, link = tmp_path / "out.json", tmp_path / "out.hgrm", tmp_path / "link.json"
        old.write_text("{}")
        table.write_text("old")
        link.symlink_to(tmp_path / "elsewhere.json")
        done = run("--json", str(old), "--hgrm", str(table), url)
        linked = run("--json", str(link), url)
    assert done.status == linked.status == FAILED
    assert not old.exists() and not table.exists()
    assert link.is_symlink()


def test_why_no_connection_could_be_opened_is_said(tmp_path: Path) -> None:
    url = f"http://unix:{tmp_path}/none"
    done = run(url)
    assert done.status == FAILED
    assert done.err == (
        f"loadgen: connect to {url}: no connection could be opened: No such file or directory\n"
    )


def test_an_unknown_host_is_a_set_up_failure() -> None:
    done = run("http://host.invalid/")
    assert done.status == FAILED
    assert "host 'host.invalid' was not found" in done.err


@ENGINES
def test_a_server_that_resets_is_counted(engine: str) -> None:
    def handler(connection: socket.socket, _: int) -> None:
        for n, message in enumerate(messages(connection, 64)):
            if n == 3:
                reset(connection)
                return
            connection.sendall(message)

    with Server(handler) as server:
        result = measure(server.url("echo"), "-c", "4", "--engine", engine)
    assert result.errors["reset"] > 0 and set(result.errors) <= {"reset", "write"}
    assert "errors" in result.codes and result.status == VOID
    assert result.json["requests"]["completed"] > 0


@ENGINES
def test_a_server_that_resets_at_once_does_not_make_the_client_spin(engine: str) -> None:
    def handler(connection: socket.socket, _: int) -> None:
        reset(connection)

    with Server(handler) as server:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run(*("-c", "20", "-d", "1s", "--json", "-", "--engine", engine, server.url("echo")))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.status in (FAILED, VOID)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu < 1.0, "two seconds of retrying took as much CPU time"


@ENGINES
def test_a_server_that_closes_in_mid_reply_is_counted(engine: str) -> None:
    def handler(connection: socket.socket, _: int) -> None:
        for n, head in enumerate(heads(connection)):
            assert head
            if n == 3:
                connection.sendall(OK[:-1])
                return
            connection.sendall(OK)

    with Server(handler) as server:
        result = measure(server.url("http", "/"), "-c", "4", "--engine", engine)
    assert set(result.errors) == {"closed"}
    assert result.status == VOID


@ENGINES
def test_a_server_that_never_answers_times_out_without_spinning(engine: str) -> None:
    def handler(connection: socket.socket, _: int) -> None:
        while connection.recv(65536):
            pass

    with Server(handler) as server:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = measure(
            server.url("echo"), "-c", "5", "-T", "200ms", "--engine", engine, seconds=1
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.errors["timeout"] >= 10
    assert result.status == VOID and "too-few" in result.codes
    response = result.json["latency_ns"]["response"]
    assert response["p50"] == "inf" and response["count"] >= 10
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu < 0.8


def test_an_open_loop_does_not_spin_while_no_connection_is_free() -> None:
    def handler(connection: socket.socket, _: int) -> None:
        while connection.recv(65536):
            pass

    with Server(handler) as server:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = measure(server.url("echo"), "-c", "5", "-R", "1k", seconds=1)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.json["requests"]["unsent"] > 500
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu < 0.8


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "garbage"),
        (b"\0" * 500 + b"\n", "garbage"),
        (OK + b"and more", "too-much"),
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "status"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n", "status"),
    ],
)
def test_a_wrong_http_reply_is_counted_by_kind(reply: bytes, kind: str) -> None:
    with http_server(reply) as server:
        result = measure(server.url("http", "/"), "-c", "2")
    assert kind in result.errors
    assert result.status == VOID
    assert ("verification" in result.codes) == (kind != "status")


def test_a_server_that_speaks_first_says_too_much() -> None:
    def handler(connection: socket.socket, number: int) -> None:
        connection.sendall(b"220 welcome\r\n")
        echo(connection, number)

    with Server(handler) as server:
        result = measure(server.url("echo"), "-c", "2")
    assert result.errors
    assert result.status == VOID and "verification" in result.codes


def test_more_connections_than_descriptors_is_refused_with_the_remedy() -> None:
    with Server(echo) as server:
        done = subprocess.run(
            [LOADGEN, "-c", "100", server.url("echo")],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == FAILED
    assert "the limit is 64" in done.stderr and "-t" in done.stderr
    assert done.stderr.count("\n") == 1


def test_running_out_of_ports_is_counted_and_its_remedy_told() -> None:
    old = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    ports = int(old[1]) - int(old[0]) + 1
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if os.geteuid() != 0 or not os.path.exists("/usr/bin/unshare"):
        pytest.skip(f"cannot make a network namespace to narrow the {ports} local ports in")
    # A network namespace of its own has a port range of its own: nobody else is starved.
    script = (
        "ip link set lo up && echo '40000 40019' > /proc/sys/net/ipv4/ip_local_port_range && "
        'exec /usr/bin/python3 - "$@"'
    )
    inner = f"""
import subprocess, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from loadgen_util import Server, echo, measure
with Server(echo) as server:
    result = measure(server.url("echo"), "-c", "60", "--source-ip", "127.0.0.1")
    print(result.out)
    sys.exit(result.status)
"""
    done = subprocess.run(
        ["/usr/bin/unshare", "--net", "/bin/sh", "-c", script],
        input=inner,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "Operation not permitted" in done.stderr or "ip: not found" in done.stderr:
        pytest.skip(f"cannot make a network namespace: {done.stderr.strip()}")
    assert most and done.returncode == VOID, done.stderr
    result = json.loads(done.stdout)
    assert result["connections"]["errors"]["no-port"] >= 40
    texts = [reason["text"] for reason in result["verdict"]["reasons"]]
    assert any("--source-ip" in text for text in texts)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_writes_what_it_has(number: signal.Signals, tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("out.json", "out.hgrm", "out.hlog")]
    with model("epoll_lt", "echo") as server:
        ours, theirs = os.pipe()
        with subprocess.Popen(
            [
                *(LOADGEN, "-d", "60s", "--warmup", "0", "-t", "2", "--events-fd", str(theirs)),
                *("--json", names[0], "--hgrm", names[1], "--hlog", names[2], server.url("echo")),
            ],
            pass_fds=[theirs],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            os.close(theirs)
            with os.fdopen(ours) as lines:
                for line in lines:
                    if line == "measure\n":
                        break
                time.sleep(0.5)
                child.send_signal(number)
                done = finish(child)
    assert done.status == INTERRUPTED
    result = json.loads(names[0].read_text())
    assert result["verdict"]["status"] == "void" and result["complete"] is False
    assert [r["code"] for r in result["verdict"]["reasons"]][0] == "interrupted"
    assert result["requests"]["completed"] > 0 and 0.2 < result["window_s"] < 20
    assert names[1].stat().st_size > 0 and names[2].stat().st_size > 0
    assert "Verdict: void" in done.out


def test_an_interrupt_while_connecting_ends_the_run() -> None:
    with Server(echo, accepts=False, backlog=1) as server:
        with started("-c", "50", "--json", "-", server.url("echo")) as child:
            time.sleep(0.5)
            child.send_signal(signal.SIGINT)
            result = finish(child)
    assert result.status == INTERRUPTED
    assert result.codes == {"interrupted"}


def test_workers_die_with_their_parent() -> None:
    with model("epoll_lt", "echo") as server:
        with started("-d", "60s", "-t", "3", server.url("echo")) as child:
            deadline = time.monotonic() + 10
            while len(workers := workers_of(child.pid)) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            child.kill()
            child.wait()
            assert len(workers) == 3
            while time.monotonic() < deadline and any(is_alive(pid) for pid in workers):
                time.sleep(0.01)
            assert not any(is_alive(pid) for pid in workers)


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def test_a_killed_worker_ends_the_run_as_a_failure() -> None:
    with model("epoll_lt", "echo") as server:
        with started("-d", "60s", "-t", "2", "--warmup", "0", server.url("echo")) as child:
            deadline = time.monotonic() + 10
            while len(workers := workers_of(child.pid)) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.2)
            os.kill(workers[0], signal.SIGKILL)
            done = finish(child)
    assert done.status == FAILED
    assert "a worker process died" in done.err


@pytest.mark.parametrize(
    "args",
    [
        ["-c", "many"],
        ["--rate", "-5"],
        ["--nonsense"],
        ["--source-ip", "8.8.8.8"],
        ["--source-ip", "127.0.0.300"],
        ["--cpus", "4000"],
        ["--cpus", "x"],
        ["--trace", "/nonexistent", "--arrival", "trace"],
        ["--json", "/nonexistent/out.json"],
        ["--hgrm", "/"],
        ["--hgrm", "-", "--hlog", "-"],
        ["--hlog", "/nonexistent/"],
        ["--events-fd", "77"],
    ],
)
def test_bad_usage_is_one_line_and_writes_nothing(args: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = run("--json", str(out), *args, "echo://127.0.0.1:1")
    assert done.status == USAGE
    assert done.err.count("\n") == 1 and args[0].lstrip("-") in done.err.replace("connections", "c")
    assert done.out == "" and not out.exists()


@ENGINES
def test_a_rot13_line_beyond_the_protocol_is_refused(engine: str) -> None:
    done = run("--engine", engine, "--size", "16386", "rot13://127.0.0.1:1")
    assert done.status == USAGE and "--size: '16386'" in done.err


def forbid_io_uring() -> None:
    """A seccomp filter, as containers have it: io_uring_setup(2), number 425, gives EPERM."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    code = struct.pack(
        "HBBIHBBIHBBIHBBI",
        *(0x20, 0, 0, 0),  # load the number of the system call
        *(0x15, 0, 1, 425),  # if it is not 425 skip one
        *(0x06, 0, 0, 0x00050000 | errno.EPERM),
        *(0x06, 0, 0, 0x7FFF0000),  # allow
    )
    buffer = ctypes.create_string_buffer(code)
    program = Program(4, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def test_io_uring_where_it_is_forbidden_is_unsupported() -> None:
    with Server(echo) as server:
        for engine, status in (("io_uring", UNSUPPORTED), ("epoll", None)):
            done = subprocess.run(
                [LOADGEN, "--engine", engine, "-d", "200ms", "--warmup", "0", server.url("echo")],
                preexec_fn=forbid_io_uring,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            if status is not None:
                assert done.returncode == status
                assert "io_uring is not usable here: Operation not permitted" in done.stderr
                assert done.stderr.count("\n") == 1 and done.stdout == ""
            else:
                assert "Requests/sec:" in done.stdout


def test_a_full_disk_is_told() -> None:
    with model("epoll_lt", "echo") as server:
        done = run("-d", "100ms", "--warmup", "0", "--json", "/dev/full", server.url("echo"))
    assert done.status == FAILED
    assert "--json" in done.err and "No space left" in done.err
