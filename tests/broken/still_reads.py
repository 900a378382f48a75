#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""Reading is still waited for while a reply is owed: requests that nobody takes wake it for ever.

caught by slow_reader, echo: busy while no client reads
"""
import select

from reference import Server


class Broken(Server):
    def rearm(self, conn):
        if conn.sock is not None and conn.writing != conn.owes:
            conn.writing = conn.owes
            writing = select.EPOLLOUT if conn.writing else 0
            self.ep.modify(conn.sock, select.EPOLLIN | writing)


if __name__ == "__main__":
    Broken().main()
