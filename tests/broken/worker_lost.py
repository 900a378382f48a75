#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""Each worker serves one client in its life.

caught by workers, echo: .
"""
from reference import Server


class Broken(Server):
    options = [*Server.options, "-w"]

    def option(self, option, value):
        if option == "-w":
            self.max_conns = self.number(option, value, 1, 1000)
        super().option(option, value)

    def may_accept(self):
        return self.counted["connections"] < self.max_conns


if __name__ == "__main__":
    Broken().main()
