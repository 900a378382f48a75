#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""The handler of SIGTERM sets a flag, and the wait goes on.

caught by stop_idle, echo: still there
"""
from reference import Server


class Broken(Server):
    def run(self):
        while not self.stopping:
            events = self.ep.poll(-1, 512)
            while {fd for fd, _ in events} == {self.woken.fileno()}:
                self.woken.recv(64)
                events = self.ep.poll(-1, 512)
            for fd, event in events:
                if fd == self.listener.fileno():
                    self.accept()
                elif fd in self.conns:
                    self.serve(self.conns[fd], event)


if __name__ == "__main__":
    Broken().main()
