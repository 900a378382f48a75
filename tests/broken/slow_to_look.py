#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""SIGTERM is noticed after a while.

caught by stop_under_load, echo: still there
"""
import time

from reference import Server


class Broken(Server):
    def report(self):
        time.sleep(4)
        super().report()


if __name__ == "__main__":
    Broken().main()
