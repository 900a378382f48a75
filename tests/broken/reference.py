#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A correct server in Python, to be broken on purpose.

It speaks the same command line and protocols as the servers in servers/, written anew from their
description, and passes the conformance suite. Each other file in this directory changes one thing
about it, in the way such a thing usually goes wrong, and names the case that must notice.
"""
import errno
import json
import os
import re
import resource
import select
import signal
import socket
import sys
import time

PATTERN = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TURNED = b"NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm"
ROT13 = bytes.maketrans(LETTERS, TURNED)
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\s/?#@\\:\x00-\x20\x7f-\xff]*)(:[0-9]*)?")
PAUSE_S = 0.05


class Conn:
    """A client. It reads only when nothing is left to be sent, and at most a buffer's worth."""

    def __init__(self, sock):
        self.sock = sock
        self.inp = bytearray()
        self.out = bytearray()
        self.body_left = self.body_at = self.skip = self.lingered = 0
        self.closing = self.rude = self.lingering = self.writing = False

    @property
    def owes(self):
        return bool(self.out or self.body_left)


class Server:
    family = "readiness"
    claims = None  # limits.connections; None: what the descriptor limit allows
    counted = {"connections": 0, "requests": 0, "bytes_in": 0, "bytes_out": 0}
    line_max = 16384
    head_max = 8192
    body_max = 65536
    options = ["-p", "-b", "-P", "-c", "--buffer", "--backlog", "--nodelay", "--describe"]

    def __init__(self):
        self.name = os.path.basename(sys.argv[0])
        self.port, self.address, self.protocol = 0, "127.0.0.1", "echo"
        self.buffer, self.nodelay = 0, 1
        self.stopping = False
        self.paused_until = 0.0
        self.conns = {}
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.limit = self.claims or most - 16
        self.max_conns = self.limit
        with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
            self.backlog = self.somaxconn = int(file.read())

    # --- the command line --------------------------------------------------------------------

    def refuse(self, text):
        print(f"{self.name}: {text}", file=sys.stderr)
        sys.exit(2)

    def must(self, call, function, *arguments):
        """A call of the server's own: when it fails, say which it was, and end."""
        try:
            return function(*arguments)
        except OSError as error:
            print(f"{self.name}: {call}: {error.strerror}", file=sys.stderr)
            sys.exit(1)

    def number(self, option, text, low, high):
        if not re.fullmatch(r"\d{1,18}", text) or not low <= int(text) <= high:
            self.refuse(f"{option}: '{text}' is not a whole number from {low} to {high}")
        return int(text)

    def parse(self, words):
        words = list(words)
        describe = False
        while words:
            word = words.pop(0)
            option, equals, value = word.partition("=") if word[:2] == "--" else (word, "", "")
            if option == "--help":
                print(f"usage: {self.name} [options]\n  " + "\n  ".join(self.options))
                sys.exit(0)
            if option not in self.options:
                self.refuse(f"'{option}': no such option")
            if option == "--describe":
                describe = True
                continue
            if not equals:
                value = words.pop(0) if words else ""
            self.option(option, value)
        least = {"http": self.head_max + 1, "rot13": self.line_max + 1, "echo": 1}[self.protocol]
        self.buffer = self.buffer or max(16384, least)
        if self.buffer < least:
            self.refuse(f"--buffer: '{self.buffer}' is too small for -P {self.protocol}")
        if describe:
            print(json.dumps(self.describe()))
            sys.exit(0)

    def option(self, option, value):
        if option == "-p":
            self.port = self.number(option, value, 0, 65535)
        elif option == "-b":
            self.address = value
            try:
                socket.inet_pton(socket.AF_INET6 if ":" in value else socket.AF_INET, value)
            except OSError:
                self.refuse(f"-b: '{value}' is not an address")
        elif option == "-P":
            self.protocol = value
            if value not in ("echo", "http", "rot13"):
                self.refuse(f"-P: '{value}' is not echo, http or rot13")
        elif option == "-c":
            self.max_conns = self.number(option, value, 1, self.limit)
        elif option == "--buffer":
            self.buffer = self.number(option, value, 1, 1 << 20)
        elif option == "--backlog":
            self.backlog = self.number(option, value, 1, self.somaxconn)
        elif option == "--nodelay":
            self.nodelay = self.number(option, value, 0, 1)

    def describe(self):
        limits = {"connections": self.limit, "reason": "ulimit -n"}
        said = {"name": self.name, "summary": "for tests", "family": self.family, "limits": limits}
        said |= {"protocols": ["echo", "http", "rot13"], "workers": 0, "needs": []}
        return said | {"options": self.options}

    # --- the process -------------------------------------------------------------------------

    def main(self):
        self.parse(sys.argv[1:])
        self.listener = self.listen()
        self.ep = self.must("epoll_create", select.epoll)
        self.woken, waker = socket.socketpair()
        self.woken.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        signal.signal(signal.SIGTERM, self.on_stop)
        signal.signal(signal.SIGINT, self.on_stop)
        self.ep.register(self.woken, select.EPOLLIN)
        self.ep.register(self.listener, select.EPOLLIN)
        self.accepting = True
        self.say_ready()
        self.run()
        self.report()

    def say_ready(self):
        port = self.listener.getsockname()[1]
        print(f"ready model={self.name} port={port} pid={os.getpid()}", flush=True)

    def listen(self):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        listener = self.must("socket", socket.socket, family, socket.SOCK_STREAM)
        listener.setblocking(False)
        reuse = socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        self.must("setsockopt", listener.setsockopt, *reuse)
        self.must(f"bind to port {self.port}", listener.bind, (self.address, self.port))
        self.must("listen", listener.listen, self.backlog)
        return listener

    def on_stop(self, _number, _frame):
        self.stopping = True

    def report(self):
        print(
            json.dumps({"model": self.name, **self.counted, "waits": 0, "events": 0, "eagain": 0})
        )

    def run(self):
        while not self.stopping:
            self.watch_listener()
            wait_s = -1 if self.accepting else PAUSE_S
            for fd, event in self.must("epoll_wait", self.ep.poll, wait_s, 512):
                if fd == self.listener.fileno():
                    self.accept()
                elif fd in self.conns:
                    self.serve(self.conns[fd], event)

    def may_accept(self):
        return len(self.conns) < self.max_conns and time.monotonic() >= self.paused_until

    def watch_listener(self):
        if self.may_accept() != self.accepting:
            self.accepting = not self.accepting
            self.ep.modify(self.listener, select.EPOLLIN if self.accepting else 0)

    # --- connections -------------------------------------------------------------------------

    def accept(self):
        for _ in range(64):
            if not self.may_accept():
                return
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self.accept_failed(error)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self.nodelay)
            self.counted["connections"] += 1
            self.watch(Conn(sock))

    def watch(self, conn):
        self.conns[conn.sock.fileno()] = conn
        try:
            self.ep.register(conn.sock, select.EPOLLIN)
        except OSError:
            self.drop(conn)

    def accept_failed(self, error):
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            self.paused_until = time.monotonic() + PAUSE_S
        elif error.errno in (errno.EBADF, errno.EINVAL, errno.ENOTSOCK):
            print(f"{self.name}: accept: {error.strerror}", file=sys.stderr)
            sys.exit(1)

    def serve(self, conn, _event):
        try:
            if not conn.owes:
                self.receive(conn)
            for _ in range(32):
                if not conn.owes or conn.sock is None:
                    break
                if not self.transmit(conn):
                    break
                self.after_send(conn)
        except BlockingIOError:
            pass
        except OSError:
            self.drop(conn)
        self.rearm(conn)

    def rearm(self, conn):
        if conn.sock is not None and conn.writing != conn.owes:
            conn.writing = conn.owes
            try:
                self.ep.modify(conn.sock, select.EPOLLOUT if conn.writing else select.EPOLLIN)
            except OSError:
                self.drop(conn)

    def receive(self, conn):
        data = conn.sock.recv(max(1, self.buffer - len(conn.inp)))
        if not data:
            self.at_end(conn)
            return
        self.counted["bytes_in"] += len(data)
        if conn.lingering:
            conn.lingered += len(data)
            if conn.lingered > 65536:
                self.drop(conn)
            return
        conn.inp += data
        self.answer(conn)
        self.after_send(conn)

    def at_end(self, conn):
        self.drop(conn)

    def transmit(self, conn):
        """One send; whether all of what is in `out` went."""
        if not conn.out:
            n = min(conn.body_left, self.buffer)
            at = conn.body_at % len(PATTERN)
            conn.out += (PATTERN * (n // len(PATTERN) + 2))[at : at + n]
            conn.body_at += n
            conn.body_left -= n
        sent = conn.sock.send(conn.out)
        self.counted["bytes_out"] += sent
        del conn.out[:sent]
        return not conn.out

    def after_send(self, conn):
        while not conn.owes and conn.inp and not conn.closing and not self.stopping:
            before = len(conn.inp)
            self.answer(conn)
            if len(conn.inp) == before:
                break
        if conn.closing and not conn.owes and not conn.lingering and conn.sock is not None:
            if conn.rude:
                conn.lingering = True
                conn.inp.clear()
                conn.sock.shutdown(socket.SHUT_WR)
            else:
                self.drop(conn)

    def drop(self, conn):
        if conn.sock is not None:
            del self.conns[conn.sock.fileno()]
            self.forget(conn.sock)
            conn.sock.close()
            conn.sock = None

    def forget(self, sock):
        """Off the list first: close() alone does that only if nobody else has the socket."""
        try:
            self.ep.unregister(sock)
        except OSError:  # it never came on the list
            pass

    # --- protocols ---------------------------------------------------------------------------

    def answer(self, conn):
        getattr(self, "answer_" + self.protocol)(conn)

    def answer_echo(self, conn):
        conn.out += conn.inp
        conn.inp.clear()
        self.counted["requests"] += 1

    def turn(self, line):
        return line.translate(ROT13)

    def answer_rot13(self, conn):
        while (end := conn.inp.find(b"\n")) >= 0 and end <= self.line_max:
            conn.out += self.turn(conn.inp[: end + 1])
            del conn.inp[: end + 1]
            self.counted["requests"] += 1
        if len(conn.inp) > self.line_max:
            self.line_too_long(conn)

    def line_too_long(self, conn):
        conn.closing = conn.rude = True

    def answer_http(self, conn):
        while conn.inp and not conn.body_left and not conn.closing and len(conn.out) < self.buffer:
            if conn.skip:
                n = min(conn.skip, len(conn.inp))
                del conn.inp[:n]
                conn.skip -= n
                continue
            request = Request(self, conn.inp)
            if not request.complete:
                return
            del conn.inp[: request.length]
            self.counted["requests"] += 1
            self.worked = False
            self.reply(conn, request)
            if self.worked:  # long enough: it is the others' turn when this is sent
                return

    def reply(self, conn, request):
        fatal = request.status not in (0, 405)
        closes = fatal or request.close or (request.old and not request.keep_alive)
        status, body, large = request.status, b"", 0
        if not status:
            status, body, large = self.resource(request.path)
        conn.skip = 0 if fatal else request.body
        length = large or len(body)
        self.put_head(conn, request, status, length, closes)
        if not request.is_head:
            conn.out += body
            conn.body_left, conn.body_at = large, 0
        conn.closing = closes
        conn.rude = closes and bool(fatal or conn.inp or request.body)

    def put_head(self, conn, request, status, length, closes):
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'No')}", f"Content-Length: {length}"]
        lines += ["Connection: close"] if closes else []
        lines += ["Connection: keep-alive"] if request.old and not closes else []
        lines += ["Allow: GET, HEAD"] if status == 405 else []
        conn.out += ("\r\n".join(lines) + "\r\n\r\n").encode()

    def resource(self, path):
        """Status, body, and the length of a body that is made as it is sent."""
        path = path.split(b"?")[0]
        if path == b"/":
            return 200, b"hello, tenk\n", 0
        found = re.fullmatch(rb"/(bytes|work|sleep)/([0-9]{1,18})", path)
        if found:
            what, n = found[1], int(found[2])
            if n <= (1 << 30 if what == b"bytes" else 1_000_000):
                if what == b"bytes":
                    return 200, b"", n
                self.spend(what, n / 1e6)
                return 200, what + b"\n", 0
        return 404, b"not found\n", 0

    def spend(self, what, seconds):
        self.worked = True
        if what == b"sleep":
            select.select([self.woken], [], [], seconds)
            return
        end = time.thread_time() + seconds
        while time.thread_time() < end and not self.stopping:
            pass


class Request:
    """The first request head in `data`, as far as it is there."""

    def __init__(self, server, data):
        self.status = self.body = self.hosts = 0
        self.is_head = self.close = self.keep_alive = self.old = False
        self.lengths, self.chunked = set(), False
        self.path = b"/"
        self.complete = self.read(bytes(data[: server.head_max]), server)
        if not self.complete and len(data) > server.head_max:
            self.complete, self.status, self.length = True, 431, len(data)

    def read(self, data, server):
        at, first = 0, True
        while data[at : at + 2] == b"\r\n":
            at += 2
        while (end := data.find(b"\n", at)) >= 0:
            line, at = data[at:end], end + 1
            self.length = at
            if not line.endswith(b"\r"):
                self.status = 400
            elif first:
                self.status = self.read_first(line[:-1])
                first = False
            elif line == b"\r":
                self.judge(server)
                return True
            else:
                self.status = self.read_field(line[:-1]) or self.status
            if self.status not in (0, 405):
                return True
        return False

    def read_first(self, line):
        words = line.split(b" ")
        if len(words) != 3 or not re.fullmatch(rb"HTTP/[0-9]\.[0-9]", words[2]):
            return 400
        if words[2][5:6] != b"1":
            return 505
        self.old = words[2] == b"HTTP/1.0"
        method, path = words[:2]
        known = b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split()
        if method not in known:
            return 501 if TOKEN.fullmatch(method) else 400
        if not path or re.search(rb"[\x00-\x20\x7f]", path):
            return 400
        self.is_head = method == b"HEAD"
        if found := re.fullmatch(rb"http://[^/?#]+(.*)", path):
            path = found[1] if found[1].startswith(b"/") else b"/" + found[1]
        self.path = path
        if method not in (b"GET", b"HEAD"):
            return 405
        return 0 if path.startswith(b"/") else 400

    def read_field(self, line):
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not TOKEN.fullmatch(name) or b"\0" in value or b"\r" in value:
            return 400
        name = name.lower()
        if name == b"host":
            self.hosts += 1
            return 0 if HOST.fullmatch(value) else 400
        if name == b"connection":
            words = [word.strip(b" \t").lower() for word in value.split(b",")]
            self.close |= b"close" in words
            self.keep_alive |= b"keep-alive" in words
        elif name == b"content-length":
            if not value.isdigit():
                return 400
            self.lengths.add(int(value))
        elif name == b"transfer-encoding":
            self.chunked = True
        elif name == b"expect":
            self.close = True
        return 0

    def judge(self, server):
        if self.hosts > 1 or (not self.old and not self.hosts) or len(self.lengths) > 1:
            self.status = 400
        elif self.chunked:
            self.status = 400 if self.lengths else 501
        elif self.lengths:
            self.body = self.lengths.pop()
            if self.body > server.body_max:
                self.status = 413


if __name__ == "__main__":
    Server().main()
