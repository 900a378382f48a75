#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It looks for the end of a connection before it looks for its data.

caught by half_close_before_reply, http: .
caught by both_at_once, echo: .
"""
import select

from reference import Server


class Broken(Server):
    def serve(self, conn, event):
        if event & select.EPOLLRDHUP:
            self.drop(conn)
        else:
            super().serve(conn, event)

    def rearm(self, conn):
        if conn.sock is not None:
            self.ep.modify(
                conn.sock, select.EPOLLRDHUP | (select.EPOLLOUT if conn.owes else select.EPOLLIN)
            )

    def accept(self):
        known = set(self.conns)
        super().accept()
        for fd in set(self.conns) - known:
            self.rearm(self.conns[fd])


if __name__ == "__main__":
    Broken().main()
