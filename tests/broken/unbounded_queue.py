#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It reads on while answers wait, and keeps them all.

caught by slow_reader, echo: memory grew
caught by memory_never_reading, rot13: memory grew
"""
import select

from reference import Server


class Broken(Server):
    def serve(self, conn, event):
        if conn.owes and event & select.EPOLLIN:
            try:
                self.receive(conn)
            except OSError:
                self.drop(conn)
                return
        super().serve(conn, event)

    def rearm(self, conn):
        if conn.sock is not None:
            self.ep.modify(conn.sock, select.EPOLLIN | (select.EPOLLOUT if conn.owes else 0))


if __name__ == "__main__":
    Broken().main()
