#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""What has been received of a request is kept in one place for all clients.

caught by two_clients_interleaved, http: .
caught by two_clients_interleaved, rot13: .
"""
from reference import Server


shared = bytearray()


class Broken(Server):
    def accept(self):
        super().accept()
        for conn in self.conns.values():
            conn.inp = shared


if __name__ == "__main__":
    Broken().main()
