#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""Input is collected until the request is whole, however long it gets.

caught by memory_never_ending, http: memory grew
caught by memory_never_ending, rot13: memory grew
"""
from reference import Server


class Broken(Server):
    def run(self):
        self.head_max = self.line_max = 1 << 40
        super().run()

    def receive(self, conn):
        data = conn.sock.recv(65536)
        conn.inp += data
        if not data:
            self.drop(conn)
        elif data.endswith(b"\r\n\r\n" if self.protocol == "http" else b"\n"):
            self.answer(conn)


if __name__ == "__main__":
    Broken().main()
