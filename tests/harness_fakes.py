# SPDX-License-Identifier: MIT
"""Tiny stand-ins for servers and load generator: the harness's own behaviour without any timing.

A fake server speaks just enough of the contract; the fake load generator makes one request,
believes the rate that the server's X-Rate header names, and reports it with a little seeded noise.
What the variable FAKE_LOADGEN names goes wrong with it.

A run starts dozens of them. So they import what is built into the interpreter, and leave the site
packages alone (-IS): `json`, `random`, `re`, `signal` and `socket` take twice as long as all the rest.
"""
from __future__ import annotations

import os
from pathlib import Path

# What json.dumps() does, for what the fakes have to say.
DUMPS = """
def dumps(value):
    if isinstance(value, dict):
        return "{" + ", ".join(dumps(k) + ": " + dumps(v) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumps, value)) + "]"
    if isinstance(value, str):
        return '"' + value + '"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)
"""

SERVER = """#!/usr/bin/python3 -IS
import _signal, _socket, os, sys, time
NAME, RATE, LIMIT, FAULT = {name!r}, {rate!r}, {limit!r}, {fault!r}
{dumps}
if "--describe" in sys.argv:
    if FAULT == "absent":
        print("liburing is not installed", file=sys.stderr); sys.exit(77)
    print(dumps({{"name": NAME, "summary": "a fake", "family": "fake", "protocols": ["http"],
                 "limits": {{"connections": LIMIT, "reason": "it is small"}} if LIMIT else {{}},
                 "workers": 0, "needs": [], "options": ["-p", "-P"]}}))
    sys.exit(0)
if FAULT == "mute":
    time.sleep(60)
if FAULT == "cannot-run":
    print("io_uring is switched off here", file=sys.stderr); sys.exit(77)
if FAULT == "unready":
    print("cannot listen: no luck", file=sys.stderr); sys.exit(1)
count = 0
def stop(*_):
    if FAULT == "bad-exit":
        print("lost my way", file=sys.stderr, flush=True); os._exit(9)
    if FAULT != "silent":
        print(dumps({{"model": NAME, "connections": count, "requests": 10 * count, "bytes_in": 0,
                     "bytes_out": 0, "waits": 5 * count, "events": 20 * count, "eagain": 0}}), flush=True)
    os._exit(0)
_signal.signal(_signal.SIGTERM, stop)
if FAULT == "orphan":
    if os.fork() == 0:
        _signal.signal(_signal.SIGTERM, _signal.SIG_IGN); os.close(1); time.sleep(60); os._exit(0)
listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
listener.bind(("127.0.0.1", 0))
listener.listen()
print(f"ready model={{NAME}} port={{listener.getsockname()[1]}} pid={{os.getpid()}}", flush=True)
while True:
    peer = _socket.socket(fileno=listener._accept()[0])
    count += 1
    if FAULT == "killed":
        os.kill(os.getpid(), _signal.SIGKILL)
    if FAULT == "no-threads":
        print("pthread_create: Resource temporarily unavailable", file=sys.stderr, flush=True); os._exit(1)
    if FAULT == "dies":
        print("assertion failed: true", file=sys.stderr, flush=True); os._exit(134)
    if peer.recv(4096):
        body = b"goodbye world" if FAULT == "wrong" else b"hello, tenk\\n"
        peer.sendall(b"HTTP/1.1 200 OK\\r\\nX-Rate: %d\\r\\nContent-Length: %d\\r\\n\\r\\n" % (RATE, len(body)) + body)
    peer.close()
"""

LOADGEN = """#!/usr/bin/python3 -IS
import _random, _socket, os, sys, time
{dumps}
args = sys.argv[1:]
FAULT = os.environ.get("FAKE_LOADGEN", "")
if "--help" in args:
    print("  --server-cpu SPEC" if FAULT.startswith("edges") else "")
    sys.exit(0)
def option(name, default=None):
    return args[args.index(name) + 1] if name in args else default
def seconds(text):
    return float(text.removesuffix("s"))
events = int(option("--events-fd", "2"))
def say(text):
    os.write(events, (text + "\\n").encode())
connections, duration = int(option("-c")), seconds(option("-d"))
offered = float(option("-R", "0"))
port = int(args[-1].split(":")[2].split("/")[0])
reply = b""
s = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
s.connect(("127.0.0.1", port))
s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
while chunk := s.recv(4096):
    reply += chunk
s.close()
_, found, rest = reply.partition(b"X-Rate: ")
if not found:
    print("loadgen: server gone", file=sys.stderr)
    sys.exit(1)
rate = int(rest.split(b"\\r")[0])
say(f"connected {{connections}}".format())
time.sleep(seconds(option("--warmup")))
say("measure")
time.sleep(duration)
say("done")
capacity = rate * (0.99 + (1.01 - 0.99) * _random.Random(int(option("--seed"))).random())
achieved = min(capacity, offered) if offered else capacity
over = offered > capacity
ns = {"count": 100, "mean": 1e6, "min": 1e5, "p50": 1e9 / capacity, "p75": 2e9 / capacity,
      "p90": 3e9 / capacity, "p99": "inf" if over else 5e9 / capacity, "p99_9": "inf",
      "p99_99": "inf", "max": "inf", "overflow": 0}
exit_status = 3 if over or connections == 7 else 0
reasons = [{"code": "unanswered", "text": "some"}] if over else []
if connections == 7:
    reasons = [{"code": "client-limited", "text": "CPU at 97 %"}]
document = {
    "schema": "tenk.loadgen/2", "config": {}, "host": {},
    "verdict": {"status": ["valid", "suspect"][exit_status == 3], "reasons": reasons},
    "requests": {"sent": 100, "completed": int(achieved * duration), "unanswered": 0, "unsent": 0, "errors": {}},
    "rate_rps": {"offered": offered, "achieved": achieved},
    "latency_ns": {"response": ns, "service": ns, "lag": {"p99": 1000}, "connect": {"p99": 2000}},
    "cpu_s": {"user": 0.1, "system": 0.2}, "fairness": {"connections": connections, "served": connections, "jain": 1.0},
}
if FAULT == "disk-full":
    print("loadgen: --json: cannot write it: No space left on device", file=sys.stderr)
    sys.exit(1)
if FAULT == "killed":
    os.kill(os.getpid(), 9)
if FAULT == "stopped":  # a worker that got SIGSTOP in the window
    document.update(window_s=0.0, complete=True, rate_rps={"offered": 0.0, "achieved": 0.0})
    document["requests"].update(sent=0, completed=0)
if FAULT == "cut-short":
    document["complete"] = False
if FAULT.startswith("edges"):  # 300 us for each reply
    document["server"] = {
        "source": option("--server-cpu"), "cpu_ns": None if FAULT == "edges-lost" else 60_000_000,
        "user_ns": None, "system_ns": None, "replies": 200, "wall_ns": 1, "edge_skew_ns": 1,
    }
if "settled" in FAULT:  # the rate doubles within the window, unless it began late enough
    warm = seconds(option("--warmup"))
    rising = FAULT == "never-settled" or (FAULT == "settled-late" and warm < 0.02)
    document["warmup"] = {"seconds": warm}
    document["intervals"] = [
        {"start_ns": i, "end_ns": i + 1, "replies": 1000 + 100 * i * rising} for i in range(10)
    ]
    with open(os.environ["FAKE_LOG"], "a") as log:
        print(" ".join(args), file=log)
if FAULT == "lost-requests":
    document["requests"].update(sent=100, completed=60, failed=0)
if FAULT != "lost-report":
    with open(option("--json"), "w") as out:
        out.write(dumps(document))
with open(option("--hgrm"), "w") as out:
    out.write("       Value     Percentile TotalCount 1/(1-Percentile)\\n")
sys.exit(exit_status)
""".replace(
    '{{connections}}".format()', '{connections}"'
).replace(
    "{dumps}", DUMPS
)


def add_server(
    build: Path, name: str, rate: int = 1000, limit: int | None = None, fault: str = ""
) -> Path:
    """Write an executable fake server build/servers/<name>."""
    text = SERVER.format(name=name, rate=rate, limit=limit, fault=fault, dumps=DUMPS)
    return _executable(build / "servers" / name, text)


def add_loadgen(build: Path) -> Path:
    return _executable(build / "loadgen" / "loadgen", LOADGEN)


def _executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.chmod(path, 0o755)
    return path


EXPERIMENT = """
name = "tiny"
title = "A tiny experiment"
question = "Does the harness work?"
source = "none"
metric = "throughput_rps"

[load]
loop = "closed"

[factors.connections]
title = "connections"
unit = "connections"
scale = "log"

[[summary]]
metric = "throughput_rps"

[[claims]]
text = "fast is faster than slow"
metric = "throughput_rps"
a = { model = "fast", connections = 2 }
b = { model = "slow", connections = 2 }
relation = "above"

[profiles.quick]
levels.connections = [1, 2]
replicates = 3
seconds = 0.02
warmup = 0.01
budget_s = 60

[profiles.default]
levels.connections = [1, 2]
replicates = 5
min_replicates = 2
seconds = 0.02
warmup = 0.01
budget_s = 60

[profiles.full]
levels.connections = [1]
replicates = 2
seconds = 0.02
warmup = 0.01
budget_s = 60
"""
