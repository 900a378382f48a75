# SPDX-License-Identifier: MIT
"""loadgen --stamps kernel: the time a reply arrived, by the kernel's stamp and by tcpdump's."""
from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.loadgen_util import LIMIT_S, USAGE, engines, measure, model, run

BOUND_NS = 2_000  # how closely both must agree on when a packet passed
PARTS = 5
LOAD = ("-c", "4", "-R", "2000", "--drain", "2s")
Times = dict[tuple[int, int], dict[str, int]]  # of (connection, number): times by name


class Capture:
    """tcpdump of a port of the loopback, from when it is made. Its packets come by a pipe, which a
    thread of ours empties."""

    END = b"the last packet that matters"

    def __init__(self, port: int) -> None:
        if shutil.which("tcpdump") is None:
            pytest.skip("tcpdump is not installed")
        argv = ["tcpdump", "-i", "lo", "--time-stamp-precision=nano", "-j", "host", "-B", "8192"]
        argv += ["--immediate-mode", "-U", "-s", "128", "-w", "-", "port", str(port)]
        self._port = port
        self._child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._child.stderr is not None
        said = b""
        for line in self._child.stderr:
            said += line
            if b"listening on" in line:
                break
        else:
            self._child.communicate()
            pytest.skip(f"tcpdump may not listen here: {said.decode().strip()}")
        self._data = b""
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        while more := os.read(self._child.stdout.fileno(), 1 << 20):
            with self._grown:
                self._data += more
                self._grown.notify()

    def end(self) -> bytes:
        """All packets until now, in a file's format. Packets keep their order, so a last one of
        our own says when all have come."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as marker:
            marker.sendto(self.END, ("127.0.0.1", self._port))
        with self._grown:
            assert self._grown.wait_for(lambda: self.END in self._data, LIMIT_S)
        return self._data

    def close(self) -> None:
        self._child.send_signal(signal.SIGINT)
        self._reader.join()
        self._child.communicate()


@contextlib.contextmanager
def captured(port: int) -> Iterator[Capture]:
    capture = Capture(port)
    try:
        yield capture
    finally:
        capture.close()


def packets(data: bytes, port: int) -> Times:
    """Of every echo request: when its packet passed, and the packet of its reply, CLOCK_REALTIME.

    An echo request begins with its number and its connection's number, lowest digits first and in
    turns; so does its reply.
    """
    magic, *_, link = struct.unpack_from("<IHHiIII", data)
    assert magic == 0xA1B23C4D and link == 1  # nanoseconds, Ethernet
    found: Times = {}
    at = 24
    while at < len(data):
        seconds, nanoseconds, captured, _ = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16 : at + 16 + captured]
        at += 16 + captured
        ip = frame[14:]
        if ip[9] != socket.IPPROTO_TCP:
            continue
        tcp = ip[4 * (ip[0] & 15) : struct.unpack_from(">H", ip, 2)[0]]
        payload = tcp[4 * (tcp[12] >> 4) :]
        if len(payload) < 8:
            continue
        name = "reply" if struct.unpack_from(">H", tcp)[0] == port else "request"
        key = (
            int.from_bytes(payload[1:8:2], "little"),
            int.from_bytes(payload[0:8:2], "little"),
        )
        found.setdefault(key, {})[name] = seconds * 10**9 + nanoseconds
    return found


def rows(path: Path) -> Times:
    """What --way wrote, CLOCK_MONOTONIC."""
    with path.open(newline="", encoding="ascii") as file:
        return {
            (int(row["connection"]), int(row["number"])): {
                name: int(value) for name, value in row.items() if value
            }
            for row in csv.DictReader(file)
        }


def realtime_ahead_ns() -> int:
    """CLOCK_REALTIME less CLOCK_MONOTONIC, from the closest of many readings."""
    readings = []
    for _ in range(2000):
        before = time.monotonic_ns()
        real = time.clock_gettime_ns(time.CLOCK_REALTIME)
        after = time.monotonic_ns()
        readings.append((after - before, real - (before + after) // 2))
    return min(readings)[1]


def percentile(percent: float, values: list[int]) -> float:
    return float(np.percentile(values, percent, method="inverted_cdf"))


def test_arrival_agrees_with_tcpdump_on_the_very_same_requests(tmp_path: Path) -> None:
    way = tmp_path / "way.csv"
    with model("epoll_lt", "echo") as server, captured(server.port) as capture:
        done = measure(
            server.url("echo"), *LOAD, "--stamps", "kernel", "--way", str(way), seconds=1.0
        )
        seen = packets(capture.end(), server.port)
    result, times = done.json, rows(way)
    ahead_ns = realtime_ahead_ns()
    assert result["stamps"]["unstamped"] == 0 and len(times) == result["requests"]["completed"]
    both = [(t, seen[key]) for key, t in times.items() if len(seen.get(key, {})) == 2]
    # What was sent twice, or in two pieces, has no one packet: there is hardly any on a loopback.
    assert len(both) > 0.99 * len(times)

    # When the reply's packet passed, request by request.
    apart = [abs(t["arrived_ns"] + ahead_ns - p["reply"]) for t, p in both]
    assert np.median(apart) <= BOUND_NS
    # And the request's passes between the stamp of its departure and the arrival of its reply.
    between = [t["departed_ns"] <= p["request"] - ahead_ns <= t["arrived_ns"] for t, p in both]
    assert sum(between) > 0.99 * len(between)
    # Arrival counts from our send, which begins before its packet passes; so does what it is
    # compared with. In parts: what disturbs a moment, disturbs the p99 of one of them.
    for percent in (50, 99):
        parts = [both[i::PARTS] for i in range(PARTS)]
        off = [
            percentile(percent, [t["arrived_ns"] - t["sent_ns"] for t, _ in part])
            - percentile(percent, [p["reply"] - ahead_ns - t["sent_ns"] for t, p in part])
            for part in parts
        ]
        assert abs(np.median(off)) <= BOUND_NS
    # What is printed is what the rows say, to the three digits of a histogram.
    told = result["latency_ns"]["arrival"]
    ours = [t["arrived_ns"] - t["sent_ns"] for t in times.values()]
    assert told["mean_finite"] == pytest.approx(np.mean(ours), rel=0.01)
    assert told["max_finite"] == pytest.approx(max(ours), rel=0.01)


@pytest.mark.parametrize("engine", engines())
def test_arrival_lies_between_tcpdumps_wire_and_the_service_time(
    engine: str,
) -> None:
    args = (*LOAD, "--stamps", "kernel", "--engine", engine)
    with model("epoll_lt", "echo") as server, captured(server.port) as capture:
        result = measure(server.url("echo"), *args, warmup=0.05).json
        seen = packets(capture.end(), server.port)
    latency = result["latency_ns"]
    assert result["stamps"]["unstamped"] == 0
    assert latency["arrival"]["count"] == latency["service"]["count"] > 0
    for percentile in ("min", "p50", "p99", "max"):
        assert latency["arrival"][percentile] <= latency["service"][percentile]
    wire = [p["reply"] - p["request"] for p in seen.values() if len(p) == 2]
    # The packets are those of the warm-up, too.
    assert len(wire) > latency["arrival"]["count"]
    assert min(wire) <= 1.01 * latency["arrival"]["min"]


@pytest.mark.parametrize("engine", engines())
def test_every_reply_of_a_pipeline_has_a_stamp(engine: str) -> None:
    args = ("-c", "2", "--pipeline", "8", "--stamps", "kernel", "--engine", engine)
    with model("epoll_lt", "http") as server:
        result = measure(server.url("http", "/bytes/5000"), *args, seconds=0.2).json
    arrival = result["latency_ns"]["arrival"]
    assert result["requests"]["failed"] == 0
    assert arrival["count"] - arrival["infinite"] == result["requests"]["completed"]


def test_several_targets_have_an_arrival_each() -> None:
    with model("epoll_lt", "echo") as one, model("poll", "echo") as two:
        urls = (one.url("echo"), two.url("echo"))
        args = ("-c", "2", "--slice", "50ms", "--rounds", "2", "--stamps", "kernel")
        result = run("--json", "-", "--warmup", "0.1s", *args, *urls).json
    for target in result["targets"]:
        assert target["latency_ns"]["arrival"]["p50"] <= target["latency_ns"]["service"]["p50"]


def test_without_the_option_nothing_is_said_of_arrival() -> None:
    with model("epoll_lt", "echo") as server:
        result = measure(server.url("echo"), "-c", "1", seconds=0.1).json
    assert "arrival" not in result["latency_ns"] and "stamps" not in result


def test_the_text_has_the_arrival() -> None:
    with model("epoll_lt", "echo") as server:
        text = run(
            "-d", "0.1s", "--warmup", "0", "-L", "--stamps", "kernel", server.url("echo")
        ).out
    assert "Arrival (from the send to the reply's arrival in the kernel)" in text


def test_the_way_of_each_request_is_in_order_and_adds_up_to_the_response_time(
    tmp_path: Path,
) -> None:
    way = tmp_path / "way.csv"
    with model("epoll_lt", "http") as server:
        result = measure(
            server.url("http", "/"), *LOAD, "--stamps", "kernel", "--way", str(way)
        ).json
    times = rows(way).values()
    assert len(times) == result["way"]["rows"] == result["requests"]["completed"]
    names = ("intended_ns", "sent_ns", "departed_ns", "arrived_ns", "received_ns")
    for row in times:
        moments = [row[name] for name in names]
        assert moments == sorted(moments)
    mean_ns = sum(row["received_ns"] - row["intended_ns"] for row in times) / len(times)
    assert mean_ns == pytest.approx(result["latency_ns"]["response"]["mean_finite"], rel=0.01)


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("--way", "{}"), "--way: needs --stamps kernel"),
        (("--way", "{}", "--stamps", "kernel", "-t", "2"), "--workers: '2' is not allowed"),
        (("--way", "{}", "--stamps", "kernel", "--pipeline", "2"), "--pipeline: '2'"),
        (("--way", "{}", "--stamps", "kernel", "--engine", "io_uring"), "--engine: 'io_uring'"),
        (("--stamps", "hardware"), "--stamps: 'hardware'"),
    ],
)
def test_what_cannot_be_stamped_is_refused_before_anything_is_written(
    args: tuple[str, ...], complaint: str, tmp_path: Path
) -> None:
    way = tmp_path / "way.csv"
    done = run(*(word.format(way) for word in args), "echo://127.0.0.1:9")
    assert done.status == USAGE and complaint in done.err and not way.exists()


def test_a_unix_socket_has_no_stamps(tmp_path: Path) -> None:
    done = run("--stamps", "kernel", f"echo://unix:{tmp_path}/socket")
    assert done.status == USAGE and "--stamps: 'kernel'" in done.err


def test_no_file_of_an_earlier_run_is_taken_for_this_ones(tmp_path: Path) -> None:
    way = tmp_path / "way.csv"
    way.write_text("old\n", encoding="ascii")
    args = ("--stamps", "kernel", "--way", str(way))
    done = run("-d", "0.1s", *args, "echo://127.0.0.1:1")
    assert done.status == 1 and not way.exists() and os.listdir(tmp_path) == []
