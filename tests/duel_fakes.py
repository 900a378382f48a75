# SPDX-License-Identifier: MIT
"""Stand-ins for a duel: servers that say what a request costs them, and a load generator that makes
one request to each and then reports slices as if it had loaded them, at once, with a little
noise."""
from __future__ import annotations

import os
from pathlib import Path

from harness_fakes import DUMPS

SERVER = """#!/usr/bin/python3 -IS
import _signal, _socket, os, sys, time
{dumps}
NAME, COST, LIMIT, FAULT = {name!r}, {cost!r}, {limit!r}, {fault!r}
args = sys.argv[1:]
workers = args[args.index("-w") + 1] if "-w" in args else "1"
extra = int(args[args.index("--extra-ns") + 1]) if "--extra-ns" in args else 0
if "--bogus" in args:
    print(NAME + ": unknown option '--bogus'", file=sys.stderr); sys.exit(2)
if "--describe" in args:
    if FAULT == "absent":
        print("liburing is not installed", file=sys.stderr); sys.exit(77)
    limit = int(workers) if FAULT == "pool" else LIMIT
    print(dumps({{"name": NAME, "family": "readiness", "busy_polls": FAULT == "busy", "protocols": ["http"], "limits":
                      {{"connections": limit, "reason": "it is small"}} if limit else {{}}}}))
    sys.exit(0)
if FAULT == "unready":
    print("cannot listen: no luck", file=sys.stderr); sys.exit(1)
def stop(*_):
    counters = {{"model": NAME, "connections": 1, "requests": 10, "bytes_in": 0, "bytes_out": 0,
                "waits": 5, "events": 20, "eagain": 0}}
    if extra:
        counters["extra_ns_per_request"] = float(extra)
    print(dumps(counters), flush=True)
    os._exit(0)
_signal.signal(_signal.SIGTERM, stop)
if FAULT == "children" and os.fork() == 0:
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    import ctypes
    ctypes.CDLL(None).prctl(1, _signal.SIGKILL, 0, 0, 0)
    while True:
        time.sleep(1)
listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
listener.bind(("127.0.0.1", 0))
listener.listen()
print(f"ready model={{NAME}} port={{listener.getsockname()[1]}} pid={{os.getpid()}}", flush=True)
if FAULT in ("spins", "busy"):
    listener.setblocking(False)
count = 0
while True:
    try:
        peer = _socket.socket(fileno=listener._accept()[0])
    except BlockingIOError:
        continue
    peer.setblocking(True)
    count += 1
    if FAULT == "dies":
        print("assertion failed: true", file=sys.stderr, flush=True); os._exit(134)
    peer.recv(4096)
    head = b"HTTP/1.1 200 OK\\r\\nX-Cost: %d\\r\\nContent-Length: 0\\r\\n\\r\\n"
    peer.sendall(head % (COST + extra))
    peer.close()
"""

LOADGEN = """#!/usr/bin/python3 -IS
import json, math, os, random, re, socket, sys, time
CLIENT_NS, NOISE, DRIFT, FAULT = {client_ns!r}, {noise!r}, {drift!r}, {fault!r}
args = sys.argv[1:]
def option(name, default=None):
    return args[args.index(name) + 1] if name in args else default
def seconds(text):
    return float(text.removesuffix("s"))
clocks = [args[i + 1] for i, word in enumerate(args) if word == "--server-cpu"]
urls = args[-max(1, len(clocks)):]
turns = option("--arrangement") == "turns"
offered = float(option("-R", "0"))
connections = int(option("-c"))
rng = random.Random(int(option("--seed")))
single = option("--arrangement") is None  # a cell
if not single and len(clocks) < 2:
    print("loadgen: --arrangement: not allowed with one URL", file=sys.stderr); sys.exit(2)
if FAULT == "crash":
    print("loadgen: a worker process died", file=sys.stderr); sys.exit(1)
if FAULT == "absent":
    print("io_uring is not available", file=sys.stderr); sys.exit(77)
costs = []
for url in urls:
    port = int(re.search(r":(\\d+)/", url + "/").group(1))
    reply = b""
    try:
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
            while chunk := s.recv(4096):
                reply += chunk
    except OSError:
        pass
    found = re.search(rb"X-Cost: (\\d+)", reply)
    if not found:
        print(f"loadgen: {{url}}: closed by the server", file=sys.stderr); sys.exit(1)
    costs.append(int(found.group(1)))
if FAULT == "hangs":
    print("waiting", file=sys.stderr, flush=True); time.sleep(60)
void = []
if single and FAULT == "starved once" and not os.path.exists(sys.argv[0] + ".starved"):
    open(sys.argv[0] + ".starved", "w").close()
    void = [{{"status": "void", "code": "client-limited", "text": "it had no CPU"}}]
if single:
    events = int(option("--events-fd"))
    os.write(events, b"connected 1\\nmeasure\\ndone\\n")
    rate = 1e9 / costs[0]
    ns = {{"count": 100, "p50": 50 * costs[0], "p99": 100 * costs[0]}}
    with open(option("--json"), "w") as out:
        json.dump({{"schema": "tenk.loadgen/2", "config": {{}}, "host": {{}},
                   "verdict": {{"status": "void" if void else "valid", "reasons": void}},
                   "requests": {{"sent": int(rate), "completed": int(rate), "unanswered": 0,
                   "unsent": 0,
                                "errors": {{}}}},
                   "rate_rps": {{"offered": offered, "achieved": rate}},
                   "latency_ns": {{"response": ns, "service": ns, "lag": {{"p99": 1}},
                                  "connect": {{"p99": 1}}}},
                   "cpu_s": {{"user": 0.1, "system": 0.1}},
                   "server": {{"source": clocks[0], "replies": int(rate), "user_ns": None,
                              "cpu_ns": int(rate * costs[0] * math.exp(rng.gauss(0, NOISE))),
                              "system_ns": None, "wall_ns": 10**9, "edge_skew_ns": 1}}
                             if clocks else None,
                   "fairness": {{"connections": 1, "served": 1, "jain": 1.0}}}}, out)
    sys.exit(4 if void else 0)
slices, now = [], 0.0
block = [rng.gauss(0, DRIFT) for _ in urls]
short = 0.0  # what both sustain, once the first rate is known
if FAULT == "short of a little" and offered:
    first = sys.argv[0] + ".first"
    if not os.path.exists(first):
        with open(first, "w") as out:
            out.write(str(offered))
    short = 0.97 * float(open(first).read())
def one(target, number, warmup, begin, start, end, factor):
    cost = costs[target] * factor * math.exp(rng.gauss(0, NOISE) + block[target])
    capacity = 1e9 / max(cost, CLIENT_NS) / (1 if turns else len(urls))
    rate = min(offered, capacity, short or offered) if offered else capacity
    replies = int(rate * (end - start))
    slices.append({{"target": target, "round": number, "warmup": warmup,
        "begin_ns": int(begin * 1e9),
        "from_ns": int(start * 1e9), "to_ns": int(end * 1e9), "drained_ns": int(end * 1e9),
        "replies": replies, "failures": 0, "sent": replies,
        "due": int(offered * (end - start)) if offered else None,
        "server_cpu_ns": int(replies * cost),
        "turn_replies": 2 * replies if turns else None,
        "turn_cpu_ns": int(2 * replies * cost) if turns else None, "server_user_ns": None, "server_system_ns": None,
        "edge_skew_ns": 100, "client_cpu_ns": replies * CLIENT_NS, "client_spin_ns": 0,
        "client_delay_ns": 0, "steal_ns": 0, "foreign_cpu_ns": 0,
        "idle_ns": 1000000 if turns else None, "idle_cpu_ns": 0 if turns else None,
        "latency": {{"count": replies, "p50": int(50 * cost), "p90": int(80 * cost),
                    "p99": int(100 * cost), "p99_9": "inf", "max": "inf"}}}})
if turns:
    for number in range(-1, int(option("--rounds"))):
        factor = math.exp(rng.gauss(0, 0.05))
        for target in rng.sample(range(len(urls)), len(urls)):
            one(target, max(0, number), number < 0, now, now + 0.02, now + 0.07, factor)
            now += 0.07
else:
    length = seconds(option("--slice"))
    now = seconds(option("--warmup"))
    for number in range(max(1, int(seconds(option("-d")) / length))):
        factor = math.exp(rng.gauss(0, 0.05))
        for target in range(len(urls)):
            one(target, number, False, now, now, now + length, factor)
        now += length
time.sleep(0.02)
targets = []
for target, url in enumerate(urls):
    reasons = []
    if FAULT == "verification" and costs[target] == 7777:
        reasons = [{{"status": "void", "code": "verification", "text": "3 replies were wrong"}}]
    cost = costs[target]
    response = {{"count": 100, "p50": 50 * cost, "p99": 100 * cost}}
    targets.append({{"url": url, "server_cpu": clocks[target],
                    "verdict": {{"status": "void" if reasons else "valid", "reasons": reasons}},
                    "latency_ns": {{"response": response}}}})
document = {{"schema": "tenk.loadgen/2", "config": {{}}, "host": {{}},
            "verdict": {{"status": "valid", "reasons": []}}, "arrangement": option("--arrangement"),
            "targets": targets, "slices": slices}}
if FAULT == "nonsense":
    document["slices"][0]["replies"] = "many"
with open(option("--json"), "w") as out:
    json.dump(document, out)
"""


def add_server(
    build: Path, name: str, cost: int = 10_000, limit: int | None = None, fault: str = ""
) -> Path:
    """Write an executable fake server build/servers/<name>; cost: ns of CPU per request."""
    text = SERVER.format(name=name, cost=cost, limit=limit, fault=fault, dumps=DUMPS)
    return _executable(build / "servers" / name, text)


def add_loadgen(
    build: Path,
    client_ns: int = 1000,
    noise: float = 0.005,
    drift: float = 0.001,
    fault: str = "",
) -> Path:
    """noise: of a slice's cost; drift: of a target's cost in one run; both as sd of the logarithm.
    client_ns: what a request costs the client, which sets the rate where the server costs less."""
    text = LOADGEN.format(client_ns=client_ns, noise=noise, drift=drift, fault=fault)
    return _executable(build / "loadgen" / "loadgen", text)


def _executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.chmod(path, 0o755)
    return path
