#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""SIGPIPE does what it does by default.

caught by reset_while_writing, http: the server had ended, status 141
"""
import signal

from reference import Server


class Broken(Server):
    def run(self):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        super().run()


if __name__ == "__main__":
    Broken().main()
