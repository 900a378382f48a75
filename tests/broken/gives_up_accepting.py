#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""After EMFILE it waits for an event that will not come.

caught by descriptors_freed, echo: were freed, but
caught by no_descriptors, echo: are there again, but
"""
from reference import Server


class Broken(Server):
    def accept_failed(self, error):
        self.paused_until = float("inf")


if __name__ == "__main__":
    Broken().main()
