#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It claims to serve thousands, and serves a hundred.

caught by idle_clients, echo: .
"""
from reference import Server


class Broken(Server):
    def may_accept(self):
        return len(self.conns) < 100 and super().may_accept()


if __name__ == "__main__":
    Broken().main()
