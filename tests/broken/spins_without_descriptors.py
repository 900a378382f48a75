#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""EMFILE is tried again at once, for ever.

caught by no_descriptors, echo: it spins
"""
from reference import Server


class Broken(Server):
    def accept_failed(self, error):
        pass


if __name__ == "__main__":
    Broken().main()
