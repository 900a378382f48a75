#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It waits for the whole body before it answers, even where leave was asked.

caught by http_expect, http: nothing happened
"""
import re

from reference import Server


class Broken(Server):
    def answer_http(self, conn):
        head = bytes(conn.inp).partition(b"\r\n\r\n")
        found = re.search(rb"Content-Length: (\d+)", head[0])
        if not found or len(head[2]) >= int(found[1]):
            super().answer_http(conn)


if __name__ == "__main__":
    Broken().main()
