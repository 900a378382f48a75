#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""An option that is accepted, and then nothing works.

caught by options_accepted, echo: .
"""
from reference import Server


class Broken(Server):
    def may_accept(self):
        return self.backlog != 10 and super().may_accept()


if __name__ == "__main__":
    Broken().main()
