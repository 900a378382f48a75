#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It serves a client until there is nothing more to read, which may be never.

caught by greedy_work, http: waited
"""
import socket

from reference import Server


class Broken(Server):
    def serve(self, conn, event):
        while conn.sock is not None:
            super().serve(conn, event)
            if conn.sock is None:
                return
            if conn.owes:
                continue
            try:
                if not conn.sock.recv(1, socket.MSG_PEEK):
                    return
            except OSError:
                return


if __name__ == "__main__":
    Broken().main()
