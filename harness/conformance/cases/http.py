# SPDX-License-Identifier: MIT
"""HTTP/1.1 (RFC 9110, RFC 9112), as far as the servers claim to speak it."""
from __future__ import annotations

import time
from collections.abc import Sequence

from harness.conformance.core import case
from harness.conformance.outcome import Failed
from harness.conformance.peer import Peer, Reply
from harness.conformance.subject import Subject
from harness.conformance.talk import BODY_MAX, HEAD_MAX, ROOT_BODY, expect, head, pattern
from harness.conformance.trial import Trial

ORDER = 55

SERVES_ON, CLOSES = False, True
Row = tuple[str, bytes, int, bool]


def _ask(peer: Peer, request: bytes, head_only: bool = False) -> Reply:
    peer.send(request)
    return peer.read_reply(head_only)


def _hold(t: Trial, subject: Subject, rows: Sequence[Row]) -> None:
    """Each row: its name, what is sent, the status expected, and whether the server closes then.

    Once sent at a stroke, and once in two pieces at the worst places: the answer depends on the
    bytes, not on how they arrive.
    """
    for name, request, status, closes in rows:
        cuts = {0, 1, len(request) // 2, len(request) - 1}
        for cut in sorted(cuts) if len(request) < 4096 else (0, len(request) - 1):
            with t.connect(subject) as peer:
                try:
                    _one(peer, request, cut, status, closes)
                except (Failed, AssertionError) as failed:
                    where = f", sent in two pieces of {cut} and {len(request) - cut} bytes"
                    raise Failed(f"{name}{where if cut else ''}: {failed}") from None


def _one(peer: Peer, request: bytes, cut: int, status: int, closes: bool) -> None:
    if cut:
        peer.send(request[:cut])
        # Nothing can be waited for here; a pause makes it likely that the server reads the pieces
        # one by one, and nothing depends on it.
        time.sleep(0.002)
    peer.send(request[cut:])
    reply = expect(peer.read_reply(), status)
    if reply.version != "HTTP/1.1":
        raise Failed(f"answered as {reply.version}; a server states the highest it speaks")
    if closes:
        if not reply.closes:
            raise Failed(f"{status} without 'Connection: close', though it must close then")
        peer.expect_end(f"after {status}")
    else:
        if reply.closes:
            raise Failed(f"{status} with 'Connection: close', though the request was sound")
        expect(_ask(peer, head("GET", "/")), 200, ROOT_BODY, what=f"the request after {status}")


@case("http", gate=True)
def http_replies(t: Trial) -> None:
    """The sound requests: each gets its status, its length and its body, and the next one follows.

    What usually goes wrong: Content-Length does not count the body exactly; the query is taken for
    part of the path; header names are compared with regard to case.
    """
    subject = t.start()
    with t.connect(subject) as peer:
        for n in (0, 1, 2, 63, 64, 65, 1000, 4096, 16383, 16384, 16385, 100_000, 1_000_000):
            reply = _ask(peer, head("GET", f"/bytes/{n}"))
            expect(reply, 200, pattern(n), n, f"/bytes/{n}")
    crlf = "\r\n"
    _hold(
        t,
        subject,
        [
            ("GET /", head("GET", "/"), 200, SERVES_ON),
            ("a query", head("GET", "/?a=b/c?d"), 200, SERVES_ON),
            ("absolute form", head("GET", "http://tenk/bytes/5"), 200, SERVES_ON),
            ("absolute form, no path", head("GET", "http://tenk"), 200, SERVES_ON),
            ("host in capitals", b"GET / HTTP/1.1\r\nHOST: tenk\r\n\r\n", 200, SERVES_ON),
            ("no space after the colon", b"GET / HTTP/1.1\r\nHost:tenk\r\n\r\n", 200, SERVES_ON),
            ("spaces round a value", b"GET / HTTP/1.1\r\nHost: \t tenk \t\r\n\r\n", 200, SERVES_ON),
            ("an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 200, SERVES_ON),
            ("a Host with a port", b"GET / HTTP/1.1\r\nHost: a.b:80\r\n\r\n", 200, SERVES_ON),
            ("a Host of IPv6", b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, SERVES_ON),
            ("an empty line first", crlf.encode() + head("GET", "/"), 200, SERVES_ON),
            ("unknown fields", head("GET", "/", "X-a: b", "Accept: */*"), 200, SERVES_ON),
            ("not found", head("GET", "/nothing"), 404, SERVES_ON),
            ("no number", head("GET", "/bytes/x"), 404, SERVES_ON),
            ("no number at all", head("GET", "/bytes/"), 404, SERVES_ON),
            ("a negative number", head("GET", "/bytes/-1"), 404, SERVES_ON),
            ("a number too large", head("GET", f"/bytes/{(1 << 30) + 1}"), 404, SERVES_ON),
            ("a number beyond 64 bits", head("GET", f"/bytes/{1 << 70}"), 404, SERVES_ON),
            ("a pause too long", head("GET", "/sleep/1000001"), 404, SERVES_ON),
            ("POST", head("POST", "/", "Content-Length: 0"), 405, SERVES_ON),
            ("DELETE", head("DELETE", "/bytes/5"), 405, SERVES_ON),
            ("OPTIONS *", head("OPTIONS", "*"), 405, SERVES_ON),
        ],
    )
    with t.connect(subject) as peer:
        reply = expect(_ask(peer, head("PUT", "/", "Content-Length: 3") + b"abc"), 405)
        allowed = reply.headers.get("allow", "")
        assert "GET" in allowed and "HEAD" in allowed, f"405 without Allow: {reply.headers}"


@case("http")
def http_malformed(t: Trial) -> None:
    """Requests that are no HTTP get 400 and a close; what is HTTP but not offered gets 501 or 505.

    What usually goes wrong: the server answers what it can make of it. Two programs that read the
    same bytes differently can be played against each other (request smuggling; RFC 9112, 11.2).
    """
    length = "Content-Length: "
    _hold(
        t,
        t.start(),
        [
            ("no version", b"GET /\r\n\r\n", 400, CLOSES),
            ("only a word", b"HELLO\r\n\r\n", 400, CLOSES),
            ("binary rubbish", bytes(range(14, 200)) + b"\r\n\r\n", 400, CLOSES),
            ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\r\n", 400, CLOSES),
            ("two spaces", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSES),
            ("a space in front", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSES),
            ("a space in the path", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSES),
            ("a zero in the path", b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSES),
            ("a path without /", head("GET", "bytes/5"), 400, CLOSES),
            ("no path", head("POST", ""), 400, CLOSES),
            ("a method of symbols", head("G(T", "/"), 400, CLOSES),
            ("bare newlines", b"GET / HTTP/1.1\nHost: a\n\n", 400, CLOSES),
            ("a version of letters", head("GET", "/", version="HTTP/x.y"), 400, CLOSES),
            ("a version in small letters", head("GET", "/", version="http/1.1"), 400, CLOSES),
            ("a version of three digits", head("GET", "/", version="HTTP/1.10"), 400, CLOSES),
            ("a version before its time", head("GET", "/", version="HTTP/2.0"), 505, CLOSES),
            ("an old version", head("GET", "/", version="HTTP/0.9"), 505, CLOSES),
            ("an unknown method", head("BREW", "/"), 501, CLOSES),
            ("a method in small letters", head("get", "/"), 501, CLOSES),
            ("no Host", head("GET", "/", host=False), 400, CLOSES),
            ("two Hosts", head("GET", "/", "Host: b"), 400, CLOSES),
            ("two Hosts, 1.0", head("GET", "/", "Host: b", version="HTTP/1.0"), 400, CLOSES),
            ("a Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, CLOSES),
            ("a Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, CLOSES),
            ("a header without colon", head("GET", "/", "Nothing"), 400, CLOSES),
            ("a header without name", head("GET", "/", ": x"), 400, CLOSES),
            ("a space before the colon", head("GET", "/", "A : x"), 400, CLOSES),
            ("a folded header", head("GET", "/", "A: x", " y"), 400, CLOSES),
            ("a zero in a header", head("GET", "/", "A: \x00"), 400, CLOSES),
            ("a bare CR in a header", head("GET", "/", "A: x\ry"), 400, CLOSES),
            ("a negative length", head("GET", "/", length + "-1"), 400, CLOSES),
            ("a length with a sign", head("GET", "/", length + "+1"), 400, CLOSES),
            ("a length in hexadecimal", head("GET", "/", length + "0x1"), 400, CLOSES),
            ("an empty length", head("GET", "/", length), 400, CLOSES),
            ("two lengths", head("GET", "/", length + "1", length + "2"), 400, CLOSES),
            (
                "a length and chunks",
                head("GET", "/", length + "3", "Transfer-Encoding: chunked"),
                400,
                CLOSES,
            ),
            ("chunks", head("POST", "/", "Transfer-Encoding: chunked"), 501, CLOSES),
            (
                "chunks without a Host",
                head("POST", "/", "Transfer-Encoding: chunked", host=False),
                400,
                CLOSES,
            ),
        ],
    )


@case("http")
def http_oversized(t: Trial) -> None:
    """A head of 8192 bytes is read, a longer one gets 431; a body of 64 KiB is passed over, a
    longer one gets 413. The limits protect the server's memory, so they must be exact.

    What usually goes wrong: the limit is that of the buffer, not of the head, so that it depends on
    what else was sent with it; or the reply is lost because of a close with unread input.
    """
    subject = t.start()

    def of_size(size: int) -> bytes:
        bare = len(head("GET", "/", "X: "))
        return head("GET", "/", "X: " + "x" * (size - bare))

    assert len(of_size(HEAD_MAX)) == HEAD_MAX
    many = [f"X-{i:04d}: 0123456789" for i in range(2000)]
    _hold(
        t,
        subject,
        [
            ("the longest head", of_size(HEAD_MAX), 200, SERVES_ON),
            ("a head one byte too long", of_size(HEAD_MAX + 1), 431, CLOSES),
            ("a head of 60,000 bytes", of_size(60_000), 431, CLOSES),
            ("a thousand headers", head("GET", "/", *many), 431, CLOSES),
            ("an endless path", head("GET", "/" + "a" * 20_000), 431, CLOSES),
            ("a line without end", b"G" * 20_000, 431, CLOSES),
            (
                "the longest body",
                head("POST", "/", f"Content-Length: {BODY_MAX}") + b"b" * BODY_MAX,
                405,
                SERVES_ON,
            ),
            ("a body too long", head("POST", "/", f"Content-Length: {BODY_MAX + 1}"), 413, CLOSES),
            ("a body far too long", head("POST", "/", f"Content-Length: {1 << 80}"), 413, CLOSES),
        ],
    )


@case("http")
def http_truncated(t: Trial) -> None:
    """A request that ends in the middle gets no answer, however much of it came; the client is let
    go, and the next one is served.

    What usually goes wrong: a half-received head is parsed at end of file; or the connection is
    kept, because the rest never comes.
    """
    subject = t.start()
    whole = head("GET", "/bytes/10", "Content-Length: 5") + b"abcde"
    answered_from = len(whole) - 5
    for n in range(len(whole)):
        with t.connect(subject) as peer:
            peer.send(whole[:n])
            peer.half_close()
            if n >= answered_from:  # the head was all there: it may be answered before its body
                reply = expect(peer.read_reply(), 200, pattern(10))
                assert not reply.closes
            peer.expect_end(f"after {n} of {len(whole)} bytes of a request")
    t.probe(subject)


@case("http")
def http_close(t: Trial) -> None:
    """Who closes: 1.1 serves on unless told "close"; 1.0 closes unless told "keep-alive".

    What usually goes wrong: "Connection: close" is looked for with one spelling, or as the whole
    value, where it is one word of a list; or the close comes without being announced.
    """
    subject = t.start()
    old = "HTTP/1.0"
    for lines, version, closes in (
        ((), "HTTP/1.1", False),
        (("Connection: keep-alive",), "HTTP/1.1", False),
        (("Connection: close",), "HTTP/1.1", True),
        (("connection: CLOSE",), "HTTP/1.1", True),
        (("Connection: TE, close",), "HTTP/1.1", True),
        (("Connection: TE", "Connection: close"), "HTTP/1.1", True),
        (("Connection: closed",), "HTTP/1.1", False),
        ((), old, True),
        (("Connection: close",), old, True),
        (("Connection: Keep-Alive",), old, False),
        (("Connection: keep-alive, x",), old, False),
    ):
        for target, body in (("/", ROOT_BODY), ("/bytes/70000", pattern(70000))):
            what = f"{version} {' · '.join(lines)}"
            with t.connect(subject) as peer:
                request = head("GET", target, *lines, version=version)
                reply = expect(_ask(peer, request), 200, body, what=what)
                if closes:
                    if not reply.closes:
                        raise Failed(f"{what}: the close is not announced")
                    peer.expect_end(f"({what})")
                    continue
                if reply.closes:
                    raise Failed(f"{what}: it says that it closes")
                if version == old and "keep-alive" not in reply.headers.get("connection", ""):
                    raise Failed(f"{what}: a client of HTTP/1.0 is not told that it may go on")
                expect(_ask(peer, head("GET", "/")), 200, ROOT_BODY, what=f"the next after {what}")
    with t.connect(subject) as peer:
        peer.send(head("GET", "/", host=False, version=old))
        expect(peer.read_reply(), 200, ROOT_BODY, what="HTTP/1.0 without Host")
        peer.expect_end()


@case("http")
def http_nothing_after_close(t: Trial) -> None:
    """What is pipelined behind a request that closes is not answered, and the reply before it
    arrives whole although the server had unread input when it closed.

    What usually goes wrong: close(2) with unread input sends a reset, and the client's kernel
    throws the reply away (RFC 9112, 9.6). It shows only now and then: hence the repetition.
    """
    subject = t.start()
    rest = head("GET", "/bytes/77") * 1000  # more than is read at once, less than 64 KiB
    for i in range(20):
        with t.connect(subject) as peer:
            try:
                peer.send(head("GET", "/bytes/30000", "Connection: close") + rest)
            except Failed as failed:
                raise Failed(f"try {i}: {failed}") from None
            expect(peer.read_reply(), 200, pattern(30000), what="the request that closes")
            peer.half_close()
            peer.expect_end("after a request with Connection: close")
        with t.connect(subject) as peer:
            peer.send(head("GET", "/") + b"rubbish\r\n\r\n" + rest)
            expect(peer.read_reply(), 200, ROOT_BODY, what="the request before rubbish")
            expect(peer.read_reply(), 400, what="rubbish")
            peer.half_close()
            peer.expect_end("after 400")


@case("http")
def http_head(t: Trial) -> None:
    """HEAD is answered as GET would be, length and all, but without the body.

    What usually goes wrong: the body is sent, and the client takes it for the next reply; or the
    length is 0, which is not what GET would say.
    """
    with t.connect(t.start()) as peer:
        targets = (
            "/",
            "/bytes/0",
            "/bytes/10",
            "/bytes/1000000",
            "/nothing",
            "/work/1",
            "/sleep/1",
        )
        for target in targets:
            got = _ask(peer, head("GET", target))
            only = _ask(peer, head("HEAD", target), head_only=True)
            assert only.status == got.status, f"HEAD {target}: {only.status}, GET: {got.status}"
            lengths = only.headers["content-length"], got.headers["content-length"]
            assert lengths[0] == lengths[1], f"HEAD {target}: length {lengths[0]}, GET {lengths[1]}"
        peer.send(head("HEAD", "/bytes/100") * 3 + head("GET", "/"))
        for _ in range(3):
            expect(peer.read_reply(head_only=True), 200, length=100)
        expect(peer.read_reply(), 200, ROOT_BODY, what="GET behind three HEADs")


@case("http")
def http_order(t: Trial) -> None:
    """Pipelined requests of very different cost are answered in the order they were sent.

    What usually goes wrong: a slow request is given to somebody else, and a quick one behind it
    overtakes it.
    """
    with t.connect(t.start()) as peer:
        targets = ["/sleep/20000", "/", "/bytes/300000", "/work/5000", "/bytes/1", "/nothing", "/"]
        peer.send(b"".join(head("GET", target) for target in targets))
        expect(peer.read_reply(), 200, what="/sleep")
        expect(peer.read_reply(), 200, ROOT_BODY)
        expect(peer.read_reply(), 200, pattern(300_000))
        expect(peer.read_reply(), 200, what="/work")
        expect(peer.read_reply(), 200, pattern(1))
        expect(peer.read_reply(), 404)
        expect(peer.read_reply(), 200, ROOT_BODY)


@case("http")
def http_bodies(t: Trial) -> None:
    """The body of a request is passed over, whatever it looks like, and the next request is read
    from where it ends.

    What usually goes wrong: the body is taken for the next request; a body in several pieces, or
    one larger than the buffer, is counted wrongly.
    """
    inner = head("GET", "/bytes/66")  # what must not be answered
    with t.connect(t.start()) as peer:
        for size in (0, 1, 2, 100, 8191, 8192, 16384, 30_000, BODY_MAX):
            body = (inner * (size // len(inner) + 1))[:size]
            for method, status in (("GET", 200), ("POST", 405)):
                request = head(method, "/", f"Content-Length: {size}") + body
                peer.send(request + head("GET", "/bytes/3"))
                expect(peer.read_reply(), status, what=f"{method} with a body of {size}")
                expect(peer.read_reply(), 200, pattern(3), what=f"what follows a body of {size}")
        request = head("POST", "/", "Content-Length: 30") + inner[:30]
        for byte in request + head("GET", "/bytes/4"):
            peer.send(bytes([byte]))
        expect(peer.read_reply(), 405, what="POST byte by byte")
        expect(peer.read_reply(), 200, pattern(4), what="what follows a POST byte by byte")
        same = head("GET", "/", "Content-Length: 2", "Content-Length: 2") + b"ab"
        expect(_ask(peer, same), 200, ROOT_BODY, what="the same length said twice")


@case("http")
def http_expect(t: Trial) -> None:
    """ "Expect: 100-continue": the client gets a final answer without having sent its body.

    What usually goes wrong: server and client wait for each other, the one for the body, the other
    for leave to send it. curl does this with larger uploads.
    """
    subject = t.start()
    with t.connect(subject) as peer:
        reply = _ask(peer, head("POST", "/", "Content-Length: 5000", "Expect: 100-continue"))
        if reply.status == 100:
            raise Failed("100 with a Content-Length")
        expect(reply, 405)
        if reply.closes:
            peer.half_close()
            peer.expect_end("as it said")
        else:
            peer.send(b"x" * 5000)
            expect(_ask(peer, head("GET", "/")), 200, ROOT_BODY)


@case("http")
def http_work_and_sleep(t: Trial) -> None:
    """/work/US uses that much CPU time, /sleep/US takes that much time and uses nearly none.

    What usually goes wrong: they are mixed up, or the unit is. An experiment about blocking back
    ends would measure something else.
    """
    t.needs_blocking_waits()
    subject = t.start()
    pause_s = 0.2
    with t.connect(subject) as peer:
        t.talk.exchange(peer)
        used = {}
        for what in ("work", "sleep"):
            before = subject.cpu_s()
            start = time.monotonic()
            expect(_ask(peer, head("GET", f"/{what}/{pause_s * 1e6:.0f}")), 200, what=what)
            took = time.monotonic() - start
            used[what] = subject.cpu_s() - before
            if took < pause_s:
                raise Failed(f"/{what} of {pause_s} s was over after {took:.3f} s")
        if used["work"] < pause_s * 0.95:
            raise Failed(f"/work of {pause_s} s used only {used['work']:.3f} s of CPU time")
        if used["sleep"] > pause_s / 2:
            raise Failed(f"/sleep of {pause_s} s used {used['sleep']:.3f} s of CPU time")
        expect(_ask(peer, head("GET", "/work/0")), 200)
        expect(_ask(peer, head("GET", "/sleep/0")), 200)


@case("http")
def http_traversal(t: Trial) -> None:
    """No path leads to a file: no ".." in any spelling gets anything but 404 or 400.

    What usually goes wrong: a path is checked first and decoded (%2e%2e) afterwards; or it is
    joined to the root before ".." is looked for. There are no files here yet, and this stays true
    when there are.
    """
    subject = t.start()
    for path in (
        "/etc/passwd",
        "/../../../../etc/passwd",
        "/bytes/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%252e%252e/etc/passwd",
        "/..\\..\\etc\\passwd",
        "//etc/passwd",
        "///etc/passwd",
        "/./etc/passwd",
        "/file/../../../../etc/passwd",
        "/file//etc/passwd",
        "/file/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/file/..;/..;/etc/passwd",
        "/file/%00/etc/passwd",
        "/file/\xc0\xae\xc0\xae/etc/passwd",
        "http://tenk/../../etc/passwd",
        "file:///etc/passwd",
    ):
        with t.connect(subject) as peer:
            reply = _ask(peer, head("GET", path))
            if reply.status not in (400, 404) or b"root:" in reply.body:
                raise Failed(f"GET {path}: status {reply.status}, body {reply.body[:60]!r}")
