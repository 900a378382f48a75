#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It says that it serves 50 at a time, and serves any number.

caught by idle_clients, echo: served 51
"""
from reference import Server


class Broken(Server):
    claims = 50

    def may_accept(self):
        return True


if __name__ == "__main__":
    Broken().main()
