#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It listens on every address of the machine.

caught by listens_on_loopback, echo: bound to
"""
from reference import Server


class Broken(Server):
    def listen(self):
        self.address = "0.0.0.0"
        return super().listen()


if __name__ == "__main__":
    Broken().main()
