#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A client that never said anything is forgotten, not closed.

caught by connect_burst, echo: descriptors more
caught by half_close_after_reply, echo: .
"""
from reference import Server


kept = []


class Broken(Server):
    def at_end(self, conn):
        if conn.sock.fileno() % 2:
            kept.append(conn.sock.dup())
        self.drop(conn)


if __name__ == "__main__":
    Broken().main()
