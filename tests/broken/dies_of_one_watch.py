#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A connection that cannot be watched is the end of the server.

felled by register_ENOSPC, http: it died of
"""
import select

from reference import Server


class Broken(Server):
    def watch(self, conn):
        self.conns[conn.sock.fileno()] = conn
        self.must("epoll_ctl", self.ep.register, conn.sock, select.EPOLLIN)


if __name__ == "__main__":
    Broken().main()
