#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A table for 4,096 clients; the others are turned away.

caught by ten_thousand, echo: client
"""
from reference import Server


class Broken(Server):
    def serve(self, conn, event):
        if len(self.conns) > 4096:
            self.drop(conn)
        else:
            super().serve(conn, event)


if __name__ == "__main__":
    Broken().main()
