#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It asks for the address of a client that has gone already, and dies of the answer.

caught by reset_while_accepting, echo: .
"""
from reference import Server


class Broken(Server):
    def accept(self):
        known = set(self.conns)
        super().accept()
        for fd in set(self.conns) - known:
            self.conns[fd].sock.getpeername()


if __name__ == "__main__":
    Broken().main()
