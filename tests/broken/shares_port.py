#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""SO_REUSEPORT: a second server on the port is welcome.

caught by port_taken, echo: .
"""
import socket

from reference import Server


class Broken(Server):
    def listen(self):
        listener = socket.socket()
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((self.address, self.port))
        listener.listen(self.backlog)
        return listener


if __name__ == "__main__":
    Broken().main()
