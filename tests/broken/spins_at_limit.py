#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""At the limit the listening socket is still watched.

caught by connection_limit, echo: it spins
"""
from reference import Server


class Broken(Server):
    def watch_listener(self):
        pass


if __name__ == "__main__":
    Broken().main()
