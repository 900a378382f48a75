#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""Half a head at the end of the input is answered.

caught by http_truncated, http: too many
"""
from reference import Server


class Broken(Server):
    def at_end(self, conn):
        if conn.inp:
            conn.sock.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        self.drop(conn)


if __name__ == "__main__":
    Broken().main()
