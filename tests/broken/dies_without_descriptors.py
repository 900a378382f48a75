#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""EMFILE is taken for the end.

caught by no_descriptors, echo: the server had ended
felled by accept_EMFILE, http: it died of
"""
from reference import Server


class Broken(Server):
    def accept_failed(self, error):
        raise error


if __name__ == "__main__":
    Broken().main()
