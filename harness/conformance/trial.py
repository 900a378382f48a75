# SPDX-License-Identifier: MIT
"""What a case is given: a model, a protocol, and the means to start servers and clients.

A case starts the servers it needs and opens what clients it likes. Afterwards every server that
still runs is stopped with SIGTERM and held to what it promises for its end, so each case also tests
the stop after what happened in it.
"""
from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

from harness.conformance import ending
from harness.conformance.ending import Ending
from harness.conformance.outcome import Failed, NotApplicable
from harness.conformance.peer import Peer
from harness.conformance.subject import Conditions, Subject
from harness.conformance.talk import TALKS, AnyHttp, Talk
from harness.design.model import Model

LOCALHOST = "127.0.0.1"


class Trial:
    def __init__(self, model: Model, protocol: str, conditions: Conditions = Conditions()) -> None:
        self.model = model
        self.protocol = protocol
        self.conditions = conditions
        self.talk: Talk = TALKS[protocol]
        if model.is_guest and protocol == "http":
            paths = (model.describe.get("guest") or {}).get("paths") or ["/"]
            self.talk = AnyHttp(str(paths[0]))
        self.timeout_s = conditions.give_up_s * conditions.patience
        self.ending: Ending | None = None
        self._subjects: list[Subject] = []
        self._peers: list[Peer] = []

    def __enter__(self) -> "Trial":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self.conditions.holds_end:
                for subject in self._subjects:
                    if not subject.finished:
                        self.leave()
                        subject.finish()
        except Failed as failed:
            self.ending = ending.of(failed, self._subjects)
            raise
        finally:
            if error is not None and not isinstance(error, NotApplicable):
                self.ending = ending.of(error, self._subjects)
            self.leave()
            for subject in self._subjects:
                subject.close()

    # --- servers -----------------------------------------------------------------------------

    def start(self, *options: str, conditions: Conditions | None = None) -> Subject:
        """A fresh server on a free port of 127.0.0.1, speaking the trial's protocol."""
        argv = [*self.model.argv, "-p", "0", "-P", self.protocol, *options]
        subject = Subject(argv, conditions or self.conditions)
        subject.never_waits = bool(self.model.describe.get("busy_polls"))
        self._subjects.append(subject)
        return subject

    def run(self, *options: str, timeout_s: float = 5.0) -> "subprocess.CompletedProcess[str]":
        """Run the server for its output only; it must end by itself."""
        try:
            return subprocess.run(
                [*self.model.argv, *options],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=timeout_s * self.conditions.patience,
                check=False,
                env=None,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(options)}: it did not end by itself") from None

    def post_mortem(self) -> str:
        """What is to be said about servers that are no longer there; '' if all are."""
        said = []
        for subject in self._subjects:
            # It may be about to end: a broken connection is often the first sign of that.
            if not subject.finished and subject.wait(0.3) and subject.exit is not None:
                gist = subject.gist()
                said.append(f" (the server had ended, status {subject.exit.status}: {gist})")
        return "".join(said)

    # --- clients -----------------------------------------------------------------------------

    def connect(
        self, subject: Subject, receive_buffer: int = 0, send_buffer: int = 0, host: str = LOCALHOST
    ) -> Peer:
        """A client; closed at the end of the trial if the case does not."""
        peer = Peer(
            (subject.host or host, subject.port), self.timeout_s, receive_buffer, send_buffer
        )
        self._peers.append(peer)
        return peer

    def probe(self, subject: Subject, what: str = "a new client") -> None:
        """A new client is served, and leaves in order: when this returns, the server has closed its
        side too."""
        with self.connect(subject) as peer:
            try:
                self.talk.exchange(peer)
                peer.half_close()
                peer.expect_end()
            except Failed as failed:
                raise Failed(f"{what} is not served: {failed}") from None

    def leave(self) -> None:
        """All clients leave."""
        for peer in self._peers:
            peer.close()
        self._peers.clear()

    # --- what the model says of itself -------------------------------------------------------

    @property
    def limit(self) -> int | None:
        """How many connections it serves at a time; None: it names no limit."""
        return self.model.max_connections

    def serves(self, connections: int) -> bool:
        return self.limit is None or self.limit >= connections

    def needs_connections(self, connections: int) -> None:
        """Not applicable unless the model serves that many at a time."""
        if not self.serves(connections):
            because = f" ({self.model.limit_reason})" if self.model.limit_reason else ""
            raise NotApplicable(f"limits.connections = {self.limit}{because}")

    def needs_option(self, option: str) -> None:
        if option not in self.options:
            raise NotApplicable(f"the model has no option {option}")

    def needs_own_process(self) -> None:
        """For cases that look into the server's process, or stop it for a while."""
        if self.model.is_attached:
            raise NotApplicable("the server ran before, and is not ours to look into or to stop")

    def needs_blocking_waits(self) -> None:
        """For cases that bound the CPU time of a server that has nothing to do."""
        if self.model.describe.get("busy_polls"):
            raise NotApplicable("it says that it keeps a CPU busy on purpose (busy_polls)")

    def needs_memory_measured(self) -> None:
        if not self.conditions.measures_memory:
            raise NotApplicable("memory cannot be judged in an instrumented build")

    @property
    def options(self) -> list[str]:
        listed: Any = self.model.describe.get("options", [])
        return [str(option) for option in listed]


class Helper:
    """Clients in a process of their own while the `with` block runs: body(tell) goes on for ever,
    or until something fails, and calls tell() once the server is seen to be under way. The block
    begins then."""

    LIFETIME_S = 60  # a net below the suite: never reached

    def __init__(self, body: Callable[[Callable[[], None]], None]) -> None:
        self._body = body
        self._pid = 0

    def __enter__(self) -> "Helper":
        ready, told = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(ready)
            self._run(told)
        os.close(told)
        with open(ready, "rb") as pipe:
            if not pipe.read(1):
                self.__exit__()
                raise Failed("clients in a process of their own were not served")
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _run(self, told: int) -> NoReturn:
        left = [told]

        def tell() -> None:
            if left:
                os.write(left[0], b"x")
                os.close(left.pop())

        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, self.LIFETIME_S)
        try:
            self._body(tell)
        except BaseException:  # pylint: disable=broad-except
            pass  # the server is being stopped under it; the block in the parent judges
        os._exit(0)
