#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It leaves it to close() to take a socket off the list of epoll.

caught by held_socket, echo: it spins
"""
from reference import Server


class Broken(Server):
    def forget(self, sock):
        pass


if __name__ == "__main__":
    Broken().main()
