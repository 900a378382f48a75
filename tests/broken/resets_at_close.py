#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It closes with input unread, and the reset destroys the reply.

caught by http_nothing_after_close, http: .
caught by rot13_earlier_lines_first, rot13: .
"""
from reference import Server


class Broken(Server):
    def after_send(self, conn):
        conn.rude = False
        super().after_send(conn)


if __name__ == "__main__":
    Broken().main()
