#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It waits for writing even when there is nothing to write.

caught by idle_costs_nothing, echo: busy
"""
import select

from reference import Server


class Broken(Server):
    def rearm(self, conn):
        if conn.sock is not None:
            self.ep.modify(conn.sock, select.EPOLLIN | select.EPOLLOUT)


if __name__ == "__main__":
    Broken().main()
