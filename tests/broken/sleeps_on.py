#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""/sleep goes on after SIGTERM.

caught by stop_while_sleeping, http: still there
"""
import time

from reference import Server


class Broken(Server):
    def spend(self, what, seconds):
        if what == b"sleep":
            time.sleep(seconds)
        else:
            super().spend(what, seconds)

    def after_send(self, conn):
        stopping, self.stopping = self.stopping, False
        super().after_send(conn)
        self.stopping = self.stopping or stopping


if __name__ == "__main__":
    Broken().main()
