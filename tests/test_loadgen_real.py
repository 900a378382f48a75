# SPDX-License-Identifier: MIT
"""The load generator against servers that are not ours: other methods, addresses and protocols."""
from __future__ import annotations

import http.server
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.loadgen_util import FAILED, USAGE, Server, engines, measure, model, run


class _Asked(http.server.BaseHTTPRequestHandler):
    """Keeps what it was asked for, and answers chunked, except to HEAD."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Keeper

    def setup(self) -> None:
        if self.request.family != socket.AF_UNIX:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.keep((self.command, self.path, self.headers.get("X-Key", ""), body))
        self.send_response(200)
        if self.command == "HEAD":
            self.send_header("Content-Length", "5")
            self.end_headers()
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = _answer  # noqa: N815

    def address_string(self) -> str:
        return "peer"

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Keeper(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, family: socket.AddressFamily, address: object) -> None:
        self.address_family = family
        self.asked: list[tuple[str, str, str, bytes]] = []
        self._lock = threading.Lock()
        super().__init__(address, _Asked)  # type: ignore[arg-type]

    def keep(self, one: tuple[str, str, str, bytes]) -> None:
        with self._lock:
            self.asked.append(one)


@contextmanager
def keeper(
    family: socket.AddressFamily = socket.AF_INET, address: object = ("127.0.0.1", 0)
) -> Iterator[_Keeper]:
    with _Keeper(family, address) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.mark.parametrize("engine", engines())
def test_method_header_and_body_arrive_as_given(engine: str, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"\0\r\n" * 50_000)  # longer than one send takes
    with keeper() as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/x"
        options = ["-c", "2", "--engine", engine, "-H", "X-Key: 7", "--body", str(body)]
        done = measure(url, *options, "--method", "PUT", seconds=0.2)
        assert done.json["requests"]["completed"] > 0 and not done.errors
        assert set(server.asked) == {("PUT", "/x", "7", body.read_bytes())}
        server.asked.clear()
        measure(url, *options, seconds=0.2)
        assert {method for method, *_ in server.asked} == {"POST"}


@pytest.mark.parametrize("engine", engines())
def test_a_request_file_is_asked_for_in_order(engine: str, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("GET /a\n# a comment\n\nHEAD /longer-than-that\nPOST /c\n", encoding="utf-8")
    with keeper() as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        done = measure(url, "-c", "1", "--engine", engine, "--requests", str(lines), seconds=0.2)
        assert done.json["requests"]["completed"] > 3 and not done.errors
        paths = [path for _, path, *_ in server.asked]
        due = ["/a", "/longer-than-that", "/c"]
        assert all(path == due[n % 3] for n, path in enumerate(paths))


@pytest.mark.parametrize("engine", engines())
def test_requests_of_all_lengths_are_pipelined_and_written_slowly(
    engine: str, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("GET /bytes/9 3\nHEAD /bytes/70000 1\nGET /bytes/12345 1\n", encoding="utf-8")
    with model("epoll_lt", "http") as server:
        populations = ["-c", "5", "--pipeline", "4", "--slow-writers", "2", "--slow-rate", "4k"]
        options = [*populations, "--engine", engine, "--requests", str(lines)]
        done = measure(server.url("http"), *options)
        assert done.json["requests"]["completed"] > 0 and not done.errors
        assert done.json["verification"]["failures"] == 0


def test_requests_are_drawn_by_weight_and_with_a_seed(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("GET /often 9\nGET /seldom 1\n", encoding="utf-8")
    with keeper() as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        runs = []
        for _ in range(2):
            server.asked.clear()
            measure(url, "-c", "1", "--requests", str(lines), seconds=0.4)
            runs.append([path for _, path, *_ in server.asked])
    common = min(map(len, runs))
    assert common > 20 and runs[0][:common] == runs[1][:common]
    counts = Counter(max(runs, key=len))
    assert counts["/often"] > counts["/seldom"] > 0


@pytest.mark.parametrize("engine", engines())
def test_each_class_of_requests_has_the_times_of_its_own_replies(
    engine: str, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("GET / 3 there\nGET /not-there 1 not-there\n", encoding="utf-8")
    with model("epoll_lt", "http") as server:
        options = ["-c", "3", "--pipeline", "4", "--engine", engine, "--requests", str(lines)]
        done = measure(server.url("http"), *options, seconds=0.2).json
    there, missing = (done["classes"][name]["latency_ns"] for name in ("there", "not-there"))
    assert done["classes"]["there"]["share"] == 0.75
    # What is not there is answered with 404, so it failed, and a time without an end is recorded.
    assert there["count"] == done["requests"]["completed"] > 0 and there["infinite"] == 0
    assert missing["count"] == missing["infinite"] == done["requests"]["errors"]["status"] > 0


def test_what_was_never_sent_is_shared_out_among_the_classes(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("GET /work/2000 3 a\nGET /work/2001 1 b\n", encoding="utf-8")
    with model("epoll_lt", "http") as server:
        options = ["-c", "1", "-R", "20000", "--drain", "0", "--requests", str(lines)]
        done = measure(server.url("http"), *options, seconds=0.2).json
    infinite = {name: one["latency_ns"]["infinite"] for name, one in done["classes"].items()}
    assert done["requests"]["unsent"] > 1000
    assert sum(infinite.values()) == done["latency_ns"]["response"]["infinite"]
    assert 2 * infinite["b"] < infinite["a"] < 4 * infinite["b"]


@pytest.mark.parametrize("engine", engines())
def test_unix_sockets_are_served(engine: str, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with keeper(socket.AF_UNIX, path) as server:
        done = measure(f"http://unix:{path}:/y", "-c", "3", "--engine", engine, seconds=0.2)
        assert done.json["requests"]["completed"] > 0 and not done.errors
        assert {asked for _, asked, *_ in server.asked} == {"/y"}


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
@pytest.mark.parametrize("engine", engines())
def test_ipv6_is_served(engine: str) -> None:
    with keeper(socket.AF_INET6, ("::1", 0)) as server:
        url = f"http://[::1]:{server.server_address[1]}/"
        done = measure(url, "-c", "3", "--engine", engine, seconds=0.2)
        assert done.json["requests"]["completed"] > 0 and not done.errors


def test_an_absent_unix_socket_is_named(tmp_path: Path) -> None:
    done = run("-d", "0.1s", f"http://unix:{tmp_path}/none")
    assert done.status == FAILED
    assert done.err.count("\n") == 1 and f"{tmp_path}/none" in done.err


def test_a_name_with_both_addresses_is_taken_for_its_ipv4_one() -> None:
    with model("epoll_lt", "http") as server:
        done = measure(f"http://localhost:{server.port}/", "-c", "2", seconds=0.1)
        assert done.json["requests"]["completed"] > 0


def _redis(connection: socket.socket, _: int) -> None:
    values = {b"here": b"$3\r\na\r\n\r\n", b"not": b"$-1\r\n"}
    data = b""
    while more := connection.recv(65536):
        data += more
        while data.count(b"\r\n") >= (need := 1 + 2 * int(data[1:2] or b"9")):
            *words, data = data.split(b"\r\n", need)
            connection.sendall(b"+PONG\r\n" if words[2] == b"PING" else values[words[4]])


def _memcached(connection: socket.socket, _: int) -> None:
    for line in connection.makefile("rb"):
        assert line.startswith(b"get ")
        hit = b"VALUE here 0 5\r\nEND\r\n\r\n" if line == b"get here\r\n" else b""
        connection.sendall(hit + b"END\r\n")


@pytest.mark.parametrize("engine", engines())
@pytest.mark.parametrize("path", ["redis:", "redis:/here", "memcached:/here"])
def test_redis_and_memcached_are_spoken(path: str, engine: str) -> None:
    protocol, key = path.split(":")
    with Server(_redis if protocol == "redis" else _memcached) as server:
        url = server.url(protocol, key)
        done = measure(url, "-c", "3", "--pipeline", "2", "--engine", engine, seconds=0.2)
        assert done.json["requests"]["completed"] > 0 and not done.errors


@pytest.mark.parametrize("protocol", ["redis", "memcached"])
def test_a_key_without_a_value_is_no_success(protocol: str) -> None:
    with Server(_redis if protocol == "redis" else _memcached) as server:
        done = measure(server.url(protocol, "/not"), "-c", "1", seconds=0.2)
        assert done.json["requests"]["completed"] == 0 and set(done.errors) == {"status"}


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "[::ffff:192.0.2.1]"])
def test_a_server_elsewhere_needs_to_be_allowed(host: str) -> None:
    done = run("-d", "0.1s", f"http://{host}:9/")
    assert done.status == USAGE and done.err.count("\n") == 1
    assert host in done.err and "--remote" in done.err and "owner" in done.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--method", "get"], ["--method", "'get'"]),
        (["--method", "CONNECT"], ["--method", "tunnel"]),
        (["-H", "nonsense"], ["--header", "'nonsense'", "Name: value"]),
        (["-H", "Content-Length: 3"], ["--header", "--body"]),
        (["--body", "/nonexistent"], ["--body", "/nonexistent", "No such file"]),
        (["--body", "/dev/zero"], ["--body", "/dev/zero", "1048576"]),
        (["--requests", "/dev/null"], ["--requests", "/dev/null", "no request"]),
        (["--requests", "/dev/null", "--method", "PUT"], ["--method", "--requests"]),
    ],
)
def test_what_cannot_be_asked_for_is_refused(args: list[str], words: list[str]) -> None:
    done = run(*args, "http://127.0.0.1:9/")
    assert done.status == USAGE and done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err


def test_what_is_asked_of_http_is_refused_to_others() -> None:
    done = run("--method", "PUT", "echo://127.0.0.1:9")
    assert done.status == USAGE and "echo://127.0.0.1:9" in done.err and "--method" in done.err
