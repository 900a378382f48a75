#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""Ctrl-C is ignored.

caught by stop_interrupt, echo: still there
"""
import signal

from reference import Server


class Broken(Server):
    def run(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        super().run()


if __name__ == "__main__":
    Broken().main()
