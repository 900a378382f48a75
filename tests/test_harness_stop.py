# SPDX-License-Identifier: MIT
"""How long a server may take to stop: as long as it works at it, within a bound."""
from __future__ import annotations

from pathlib import Path

import pytest

from harness.measure import process
from harness.measure.process import ProcessError, Server

SERVER = """#!/usr/bin/python3 -IS
import os, signal, time
def stop(*_):
    end = time.process_time() + {cpu_s}
    while time.process_time() < end:
        pass
    time.sleep({sleep_s})
    os.write(1, b'{{"requests": 1}}\\n')  # print() may be what was interrupted
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
print(f"ready model=slow port=1 pid={{os.getpid()}}", flush=True)
while True:
    time.sleep(60)
"""


def slow_server(folder: Path, cpu_s: float, sleep_s: float) -> Server:
    path = folder / "slow"
    path.write_text(SERVER.format(cpu_s=cpu_s, sleep_s=sleep_s), encoding="utf-8")
    path.chmod(0o755)
    return Server([str(path)])


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_TIMEOUT_S", 1.0)


def test_a_server_that_works_at_its_end_is_waited_for(tmp_path: Path) -> None:
    with slow_server(tmp_path, cpu_s=2.5, sleep_s=0) as server:
        assert server.stop() == {"requests": 1}


def test_a_server_that_only_sleeps_did_not_stop(tmp_path: Path) -> None:
    with slow_server(tmp_path, cpu_s=0, sleep_s=600) as server:
        with pytest.raises(ProcessError, match="did not stop within"):
            server.stop()


def test_a_server_that_works_without_end_did_not_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_AT_WORK_S", 2.0)
    with slow_server(tmp_path, cpu_s=600, sleep_s=0) as server:
        with pytest.raises(ProcessError, match="did not stop within"):
            server.stop()
