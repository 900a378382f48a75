# SPDX-License-Identifier: MIT
"""WSGI on gevent: each connection is a greenlet, whose blocking calls let the others run."""
import re
import sys
from collections.abc import Callable, Iterable

from gevent.pywsgi import WSGIServer

PATTERN = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"
SIZE = re.compile(r"/bytes/(\d{1,9})")


def application(environ: dict[str, str], start: Callable[..., object]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    size = SIZE.fullmatch(path)
    if path == "/":
        body, status = b"hello, tenk\n", "200 OK"
    elif size:
        n = int(size[1])
        body, status = (PATTERN * (n // len(PATTERN) + 1))[:n], "200 OK"
    else:
        body, status = b"", "404 Not Found"
    start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


WSGIServer(("127.0.0.1", int(sys.argv[1])), application, log=None, backlog=4096).serve_forever()
