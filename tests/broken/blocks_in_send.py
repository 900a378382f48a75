#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It waits for one client to read, and serves nobody meanwhile.

caught by slow_reader, rot13: nothing happened
"""
from reference import Server


class Broken(Server):
    def transmit(self, conn):
        conn.sock.setblocking(True)
        try:
            return super().transmit(conn)
        finally:
            conn.sock.setblocking(False)

    def serve(self, conn, event):
        super().serve(conn, event)
        while conn.owes and conn.sock is not None:
            super().serve(conn, event)


if __name__ == "__main__":
    Broken().main()
