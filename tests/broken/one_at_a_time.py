#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It serves the first client until that leaves, and says that it serves thousands.

caught by greedy_client, echo: waited more than
caught by greedy_client, rot13: waited more than
caught by two_clients_interleaved, http: .
"""
from reference import Server


class Broken(Server):
    def serve(self, conn, event):
        if conn is next(iter(self.conns.values())):
            super().serve(conn, event)


if __name__ == "__main__":
    Broken().main()
