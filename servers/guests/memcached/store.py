# SPDX-License-Identifier: MIT
"""Store the value that is asked for: usage: store.py PORT"""
import socket
import sys

VALUE = b"hello, tenk\n"

with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5) as server:
    server.sendall(b"set greeting 0 0 %d\r\n%s\r\n" % (len(VALUE), VALUE))
    answer = server.recv(100)
if answer != b"STORED\r\n":
    sys.exit(f"store: memcached answered {answer!r}")
