# SPDX-License-Identifier: MIT
"""The load generator against servers that do nothing wrong."""
from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from loadgen_util import (
    LOADGEN,
    OK,
    SUSPECT,
    VALID,
    Run,
    Server,
    echo,
    engines,
    finish,
    http_server,
    measure,
    messages,
    model,
    run,
    started,
)

ENGINES = pytest.mark.parametrize("engine", engines())
PROTOCOLS = pytest.mark.parametrize("protocol", ["echo", "http", "rot13"])
CLOSE_WAIT = 8  # tcpi_state, as <netinet/tcp.h> has it
HARMLESS = {"client-limited", "steal", "lag", "retransmits", "listen-overflow", "softnet-drops"}


@ENGINES
@PROTOCOLS
def test_a_closed_loop_counts_what_the_server_counts(protocol: str, engine: str) -> None:
    with model("epoll_lt", protocol) as server:
        result = measure(
            server.url(protocol), "-c", "7", "--engine", engine, "--drain", "5s", warmup=0
        )
        counters = server.stop()
    assert result.status in (VALID, SUSPECT)
    assert result.codes <= HARMLESS
    requests = result.json["requests"]
    assert requests["errors"] == {} and requests["unanswered"] == 0 and requests["unsent"] == 0
    assert requests["sent"] == requests["completed"] == counters["requests"]
    assert result.json["connections"] == {"wanted": 7, "up": 7, "opened": 7, "errors": {}}
    assert counters["connections"] == 7
    for name in ("response", "service", "lag"):
        assert result.json["latency_ns"][name]["count"] == requests["completed"]
    assert result.json["latency_ns"]["lag"]["max"] == 0


@ENGINES
def test_primed_connections_have_all_been_answered_once_before(engine: str) -> None:
    with model("epoll_lt", "echo") as server:
        result = measure(
            server.url("echo"), "-c", "50", "--prime", "--engine", engine, "--drain", "5s", warmup=0
        )
        counters = server.stop()
    assert result.codes <= HARMLESS
    assert counters["requests"] == result.json["requests"]["completed"] + 50
    assert result.json["latency_ns"]["response"]["count"] == result.json["requests"]["completed"]


@ENGINES
def test_primed_idle_connections_have_made_their_one_request_before(engine: str) -> None:
    with model("epoll_lt", "echo") as server:
        result = measure(
            server.url("echo"),
            *("-c", "5", "--idle", "60", "--prime", "--engine", engine, "--drain", "5s"),
            warmup=0,
        )
        counters = server.stop()
    assert result.codes <= HARMLESS
    assert result.json["populations"]["idle"]["requests"]["sent"] == 0  # none of it in the window
    assert counters["requests"] == result.json["requests"]["completed"] + 5 + 60


@ENGINES
@pytest.mark.parametrize("arrival", ["fixed", "poisson"])
def test_an_open_loop_offers_its_schedule(arrival: str, engine: str) -> None:
    # 200 connections at 2000 a second run out when a reply takes 100 ms. A machine that keeps server
    # or client from its CPU for that long, where the window ends, leaves a few unsent, and many in
    # flight; then again.
    with model("epoll_lt", "echo") as server:
        for _ in range(8):
            result = measure(
                server.url("echo"),
                *("-R", "2k", "-c", "200", "--arrival", arrival, "--engine", engine),
                seconds=1,
            )
            if not _ran_out_of_connections(result) and result.codes <= HARMLESS:
                break
    assert result.status in (VALID, SUSPECT)
    assert result.codes <= HARMLESS
    requests, rate = result.json["requests"], result.json["rate_rps"]
    assert requests["sent"] == requests["completed"] and requests["unsent"] == 0
    assert rate["offered"] == rate["intended"]
    # 2000 arrivals: exactly if fixed, within five standard deviations if Poisson.
    assert abs(requests["sent"] - 2000) <= (1 if arrival == "fixed" else 5 * 45)
    latency = result.json["latency_ns"]
    assert latency["response"]["p50"] >= latency["service"]["p50"]
    assert latency["client_late"]["count"] == requests["sent"]


def _ran_out_of_connections(result: Run) -> bool:
    """Some were never sent, and replies took long enough to be the reason."""
    found = result.json
    return found["requests"]["unsent"] > 0 and found["latency_ns"]["service"]["max"] > 80e6


def test_the_same_seed_offers_the_same_load_whatever_the_number_of_workers() -> None:
    """What falls due, that is: on a busy machine the last one may not be sent before the end."""
    offered = []
    with model("epoll_lt", "echo") as server:
        for t, seed in (("1", "5"), ("2", "5"), ("4", "5"), ("1", "6"), ("1", "7")):
            result = measure(server.url("echo"), "-R", "1k", "-c", "40", "-t", t, "--seed", seed)
            requests = result.json["requests"]
            offered.append(requests["sent"] + requests["unsent"])
    assert offered[0] == offered[1] == offered[2]
    assert len(set(offered)) > 1


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("".join(f"{n / 1000}\n" for n in range(100, 400)))
    with model("epoll_lt", "http") as server:
        result = measure(
            server.url("http", "/"), "--arrival", "trace", "--trace", str(trace), "-c", "20"
        )
    # The window begins after 0.1 s of warm-up, with the first arrival.
    assert result.json["requests"]["sent"] == 300
    assert result.json["requests"]["completed"] == 300


@ENGINES
@pytest.mark.parametrize("size", ["1", "9", "4k", "100k"])
def test_sizes_from_one_byte_to_more_than_a_buffer(size: str, engine: str) -> None:
    with model("epoll_lt", "echo") as server:
        result = measure(server.url("echo"), "--size", size, "-c", "3", "--engine", engine)
    assert result.json["requests"]["completed"] > 10
    assert result.errors == {}


@ENGINES
@PROTOCOLS
def test_pipelined_requests_are_all_answered(protocol: str, engine: str) -> None:
    with model("epoll_lt", protocol) as server:
        result = measure(
            server.url(protocol), "--pipeline", "16", "-c", "3", "--engine", engine, "--drain", "5s"
        )
    assert result.errors == {}
    assert result.json["requests"]["unanswered"] == 0
    assert result.json["little"]["in_flight"] == pytest.approx(48, rel=0.1)


@ENGINES
@pytest.mark.parametrize("close", ["fin", "rst"])
def test_short_connections_are_closed_by_the_client(close: str, engine: str) -> None:
    with model("epoll_lt", "echo") as server:
        result = measure(
            server.url("echo"),
            *("-c", "4", "-n", "3", "--close", close, "--engine", engine, "--drain", "5s"),
            warmup=0,
        )
        counters = server.stop()
    requests = result.json["requests"]
    assert result.errors == {}
    assert requests["completed"] == counters["requests"]
    opened = result.json["connections"]["opened"]
    assert opened >= requests["completed"] / 3
    assert result.json["latency_ns"]["connect"]["count"] == opened
    assert result.json["config"]["close"] == close


@ENGINES
def test_those_that_wait_for_a_place_are_answered_in_the_drain_because_others_leave(
    engine: str,
) -> None:
    with model("blocking", "echo") as server:
        result = measure(
            server.url("echo"),
            *("-c", "3", "-n", "1000000000", "--engine", engine, "--drain", "20s"),
            warmup=0,
        )
        counters = server.stop()
    requests = result.json["requests"]
    assert requests["unanswered"] == 0 and requests["errors"] == {}
    assert counters["connections"] == 3


def test_a_client_that_closes_first_has_the_time_wait() -> None:
    """Seen from the other end: a socket in CLOSE_WAIT has a peer that closed first, with a FIN.

    Not from /proc/net/tcp: beside 131,072 others in TIME_WAIT (net.ipv4.tcp_max_tw_buckets) the
    kernel drops a closed socket at once.
    """
    states: queue.Queue[int] = queue.Queue()

    def serve(connection: socket.socket, number: int) -> None:
        echo(connection, number)  # to the client's end; a reset raises
        states.put(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])

    with Server(serve) as server:
        measure(server.url("echo"), "-c", "2", "-n", "1", "--connect-rate", "200", seconds=0.3)
        # The last two may have been cut off by the end of the run.
        assert [states.get(timeout=20) for _ in range(10)] == [CLOSE_WAIT] * 10


@ENGINES
def test_populations_are_counted_apart(engine: str) -> None:
    with model("epoll_lt", "echo") as server:
        result = measure(
            server.url("echo"),
            *("-c", "4", "--idle", "20", "--silent", "10", "--slow-readers", "2"),
            *("--slow-writers", "3", "--short-lived", "2", "--slow-rate", "2k"),
            *("--engine", engine, "-t", "2"),
            seconds=1,
        )
    populations = result.json["populations"]
    assert {name: p["connections"] for name, p in populations.items()} == {
        "active": 4,
        "idle": 20,
        "silent": 10,
        "slow_readers": 2,
        "slow_writers": 3,
        "short_lived": 2,
    }
    for name in ("active", "idle", "silent", "slow_readers", "slow_writers"):
        assert populations[name]["up"] == populations[name]["connections"]
    assert populations["idle"]["requests"]["sent"] == 0  # its one request was before the window
    assert populations["silent"]["requests"]["sent"] == 0
    for name in ("active", "slow_readers", "slow_writers", "short_lived"):
        assert populations[name]["requests"]["completed"] > 0
        assert (
            populations[name]["latency_ns"]["count"] >= populations[name]["requests"]["completed"]
        )
    # 64 bytes at 2048 bytes/s take at least 30 ms however fast the server is.
    assert populations["slow_writers"]["latency_ns"]["min"] >= 30e6
    assert populations["slow_readers"]["latency_ns"]["min"] >= 30e6
    assert (
        populations["short_lived"]["opened"] >= populations["short_lived"]["requests"]["completed"]
    )
    assert result.errors == {}


def test_idle_connections_alone_can_be_held() -> None:
    with model("epoll_lt", "http") as server:
        result = measure(server.url("http", "/"), "-c", "0", "--idle", "50")
        assert server.stop()["requests"] == 50
    assert result.codes <= HARMLESS  # what else the machine did is no fault of such a run
    assert result.status == (SUSPECT if result.codes else VALID)
    assert result.json["connections"]["up"] == 50


def test_connections_come_from_the_given_addresses() -> None:
    seen: set[str] = set()

    def handler(connection: socket.socket, number: int) -> None:
        seen.add(connection.getpeername()[0])
        echo(connection, number)

    with Server(handler) as server:
        result = measure(server.url("echo"), "-c", "9", "--source-ip", "127.0.0.7-127.0.0.8")
    assert result.errors == {}
    assert seen == {"127.0.0.7", "127.0.0.8"}


def test_connects_are_paced() -> None:
    with model("epoll_lt", "echo") as server:
        result = run(
            *("-c", "40", "--connect-rate", "100", "-d", "1ms", "--warmup", "0"),
            *("--json", "-", server.url("echo")),
        )
        short = measure(
            server.url("echo"), "-c", "20", "-n", "1", "--connect-rate", "100", seconds=1
        )
    assert result.json["connections"]["up"] == 40
    assert short.json["connections"]["opened"] <= 20 + 130
    assert short.json["requests"]["completed"] >= 40


def test_no_more_are_opened_ahead_than_asked_for_until_the_server_has_answered() -> None:
    """All twelve would be open before the first request is sent, if nothing held them back."""
    ahead: list[int] = []
    lock = threading.Lock()

    def handler(connection: socket.socket, _: int) -> None:
        answered = False
        for message in messages(connection, 64):
            with lock:
                if not answered:
                    ahead.append(server.opened() - len(ahead))
                    answered = True
                connection.sendall(message)

    with Server(handler) as server:
        result = measure(
            *(server.url("echo"), "-c", "4", "--idle", "8", "--prime"),
            *("--connect-rate", "1M", "--connect-ahead", "3", "-T", "60s"),
        )
    assert result.json["connections"]["up"] == 12
    assert len(ahead) == 12 and max(ahead) <= 3


def test_events_are_told_in_order() -> None:
    with model("epoll_lt", "echo") as server:
        ours, theirs = os.pipe()
        with subprocess.Popen(
            [
                *(LOADGEN, "-c", "5", "--idle", "3", "-d", "200ms", "--warmup", "100ms", "-q"),
                *("--events-fd", str(theirs), server.url("echo")),
            ],
            pass_fds=[theirs],
        ):
            os.close(theirs)
            with os.fdopen(ours) as lines:
                words = [line.split() for line in lines]
    assert [word[0] for word in words] == ["connected", "warming", "warming", "measure", "done"]
    assert words[0] == ["connected", "8"]
    (_, first, then), (_, second, later) = words[1:3]
    assert 0 < int(first) < int(second)
    assert 40e6 < int(later) - int(then) < 1e9


def test_files_are_written_and_agree(tmp_path: Path) -> None:
    names = {kind: tmp_path / f"result.{kind}" for kind in ("json", "hgrm", "hlog")}
    with model("epoll_lt", "http") as server:
        done = run(
            *("-c", "5", "-d", "600ms", "--warmup", "100ms", "--interval", "200ms", "-L"),
            *("--json", str(names["json"]), "--hgrm", str(names["hgrm"])),
            *("--hlog", str(names["hlog"]), server.url("http", "/")),
        )
    result = json.loads(names["json"].read_text())
    completed = result["requests"]["completed"]
    hgrm = names["hgrm"].read_text()
    assert f"Total count    = {completed:>12}" in hgrm or str(completed) in hgrm
    log = names["hlog"].read_text()
    for tag in ("response", "service", "lag"):
        assert log.count(f"Tag={tag},") == len(result["intervals"]) == 3
    replies = sum(interval["replies"] for interval in result["intervals"])
    assert abs(replies - completed) <= 10  # those sent before and answered within, and after
    assert "Requests/sec:" in done.out and "Verdict: " in done.out
    assert "\r" not in done.err  # progress only on a terminal


def test_the_text_is_parsed_as_wrks_is() -> None:
    with model("epoll_lt", "http") as server:
        text = run("-c", "5", "-d", "300ms", "--warmup", "100ms", server.url("http", "/")).out
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert float(lines["Requests/sec:"][0]) > 0
    assert len(lines["Latency"]) == len(lines["Req/Sec"]) == 4
    assert text.splitlines()[0].startswith("Running 0.3s test @ http://127.0.0.1:")


def test_a_server_that_closes_after_each_reply_as_announced_is_no_error() -> None:
    reply = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    def handler(connection: socket.socket, _: int) -> None:
        connection.recv(65536)
        connection.sendall(reply)

    def until_close(connection: socket.socket, _: int) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nanything")

    for answer in (handler, until_close):
        with Server(answer) as server:
            result = measure(server.url("http", "/"), "-c", "2")
        assert result.errors == {}
        assert result.json["requests"]["completed"] > 5


def test_chunked_replies_are_understood() -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    with http_server(reply) as server:
        result = measure(server.url("http", "/"), "-c", "2", "--pipeline", "3")
    assert result.errors == {}
    assert result.json["requests"]["completed"] > 5


def test_every_option_is_in_the_manual() -> None:
    manual = (Path(__file__).resolve().parent.parent / "docs" / "loadgen.md").read_text()
    table = run("--help-markdown").out
    assert table in manual, "docs/loadgen.md lacks the table that --help-markdown prints"


def test_progress_is_drawn_on_a_terminal() -> None:
    master, slave = os.openpty()
    with model("epoll_lt", "echo") as server:
        with subprocess.Popen(
            [LOADGEN, "-d", "500ms", "--interval", "100ms", "--warmup", "0", server.url("echo")],
            stdout=subprocess.DEVNULL,
            stderr=slave,
        ) as child:
            os.close(slave)
            drawn = b""
            try:
                while data := os.read(master, 4096):
                    drawn += data
            except OSError:  # EIO: the other side is closed
                pass
            child.wait()
    os.close(master)
    assert drawn.count(b"requests/s") >= 3
    assert drawn.endswith(b"\r\x1b[K")


def test_a_long_run_of_two_workers_leaves_no_process() -> None:
    with model("epoll_lt", "echo") as server:
        with started("-t", "2", "-d", "300ms", "--warmup", "0", "-q", server.url("echo")) as child:
            done = finish(child)
    assert done.status in (VALID, SUSPECT)
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)
