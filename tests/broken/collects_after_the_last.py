#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""What comes behind the last request is received and kept until the reply is out.

caught by flood_behind_the_last, http: memory grew
"""
import select

from reference import Server


class Broken(Server):
    def serve(self, conn, event):
        if conn.closing and conn.owes and event & select.EPOLLIN:
            conn.inp += conn.sock.recv(65536)
        super().serve(conn, event)

    def rearm(self, conn):
        if conn.sock is not None and conn.writing != conn.owes:
            conn.writing = conn.owes
            reading = select.EPOLLIN if conn.closing or not conn.owes else 0
            self.ep.modify(conn.sock, reading | (select.EPOLLOUT if conn.writing else 0))


if __name__ == "__main__":
    Broken().main()
