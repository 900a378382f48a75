#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""An error on a connection ends the server.

caught by reset_while_reading, echo: the server had ended
caught by reset_while_writing, http: the server had ended
felled by receive_ECONNRESET, http: it died of
felled by send_ECONNRESET, http: it died of
"""
import socket
import sys

from reference import Server


class Broken(Server):
    def drop(self, conn):
        error = conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        super().drop(conn)
        if sys.exc_info()[0] or error:
            sys.exit(1)


if __name__ == "__main__":
    Broken().main()
