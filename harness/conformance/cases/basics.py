# SPDX-License-Identifier: MIT
"""The least a server does. Where this fails, nothing else can be tried."""
from __future__ import annotations

from harness.conformance.core import case
from harness.conformance.trial import Trial

ORDER = 0


@case(gate=True)
def first_exchange(t: Trial) -> None:
    """One client, one request, one right answer; the same client is answered twice more.

    What usually goes wrong: the answer is cut short or one byte too long (strlen() of what recv(2)
    returned, a newline that was dropped); it stays in a buffer of stdio; or the server serves one
    request and closes.
    """
    with t.connect(t.start()) as peer:
        for i in (0, 1, 2):
            t.talk.exchange(peer, i)
