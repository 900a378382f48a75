#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It stops when the last client has left.

caught by stop_idle_clients, echo: still there
caught by stop_blocked_clients, http: still there
"""
from reference import Server


class Broken(Server):
    def run(self):
        super().run()
        while self.conns:
            for fd, event in self.ep.poll(-1, 512):
                if fd == self.listener.fileno():
                    self.accept()
                elif fd in self.conns:
                    self.serve(self.conns[fd], event)


if __name__ == "__main__":
    Broken().main()
