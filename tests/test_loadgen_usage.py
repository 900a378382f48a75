# SPDX-License-Identifier: MIT
"""Whatever the arguments and wherever the output goes: a documented status, and one line that says
why."""
from __future__ import annotations

import os
import random
import resource
import subprocess
from pathlib import Path

import pytest

from loadgen_util import (
    FAILED,
    LOADGEN,
    SUSPECT,
    UNSUPPORTED,
    USAGE,
    VALID,
    Run,
    model,
    run,
)

SHORT = ("-d", "100ms", "--warmup", "0", "--drain", "100ms")
NOBODY = "echo://127.0.0.1:1"


def refused(done: Run, *words: str) -> None:
    """Bad usage: one line with these words, nothing else."""
    assert done.status == USAGE, done
    assert done.err.count("\n") == 1 and done.out == ""
    assert [word for word in words if word not in done.err] == [], done.err


# --- one file, two outputs ----------------------------------------------------------------------


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("other", ["the same", "a longer way", "a symbolic link", "a hard link"])
def test_two_outputs_in_one_file_are_refused(other: str, exists: bool, tmp_path: Path) -> None:
    one, two = tmp_path / "out", tmp_path / "two"
    if exists:
        one.write_text("kept")
    if other == "the same":
        second = str(one)
    elif other == "a longer way":
        second = f"{tmp_path}/../{tmp_path.name}/out"
    elif other == "a symbolic link":
        two.symlink_to("out")
        second = str(two)
    else:
        if not exists:
            pytest.skip("there is nothing to link to")
        two.hardlink_to(one)
        second = str(two)
    for first, last in (("--json", "--hgrm"), ("--hlog", "--json")):
        done = run(first, str(one), last, second, NOBODY)
        refused(done, "a file of its own")
    assert not exists or one.read_text() == "kept"
    assert one.exists() == exists


def test_an_output_in_the_file_that_standard_output_goes_to_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out"
    for args in (["--json", str(path)], ["--json", "-", "--hgrm", str(path)]):
        with path.open("w") as out:
            done = subprocess.run(
                [LOADGEN, *args, NOBODY],
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                timeout=30,
                check=False,
            )
        assert done.returncode == USAGE and "a file of its own" in done.stderr
        assert path.read_text() == ""


def test_an_output_in_the_trace_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("0\n1\n")
    done = run("--arrival", "trace", "--trace", str(trace), "--json", str(trace), NOBODY)
    refused(done, "--json", "it is the --trace")
    assert trace.read_text() == "0\n1\n"


def test_two_outputs_may_go_to_dev_null() -> None:
    with model("epoll_lt", "echo") as server:
        done = run(*SHORT, "-q", "--json", "/dev/null", "--hgrm", "/dev/null", server.url("echo"))
    assert done.status in (VALID, SUSPECT)


# --- outputs that fail --------------------------------------------------------------------------


@pytest.mark.parametrize("args", [[], ["-L"], ["--json", "-"], ["--hgrm", "-"], ["--hlog", "-"]])
def test_a_full_standard_output_is_a_failure_of_one_line(args: list[str]) -> None:
    with model("epoll_lt", "echo") as server, open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(
            [LOADGEN, *SHORT, *args, server.url("echo")],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == FAILED
    assert done.stderr.count("\n") == 1 and "No space left on device" in done.stderr


@pytest.mark.parametrize("what", ["--help", "--help-markdown", "--man", "--version"])
def test_information_that_cannot_be_written_is_a_failure(what: str) -> None:
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(
            [LOADGEN, what], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False
        )
    assert done.returncode == FAILED and done.stderr.count("\n") == 1


def test_a_reader_of_standard_output_that_has_gone_is_a_failure_of_one_line() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with model("epoll_lt", "echo") as server:
        done = subprocess.run(
            [LOADGEN, *SHORT, server.url("echo")],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    os.close(writing)
    assert done.returncode == FAILED
    assert done.stderr.count("\n") == 1 and "Broken pipe" in done.stderr


def test_a_closed_standard_output_does_not_lend_its_number_to_a_result(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    with model("epoll_lt", "echo") as server:
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" >&-', "sh"]
            + [str(LOADGEN), *SHORT, "--json", str(path), server.url("echo")],
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == FAILED and done.stderr.count("\n") == 1
    assert path.read_text().startswith("{") and path.read_text().endswith("}\n")


def test_one_output_that_fails_does_not_lose_the_other(tmp_path: Path) -> None:
    path = tmp_path / "out.hgrm"
    with model("epoll_lt", "echo") as server:
        done = run(*SHORT, "--json", "/dev/full", "--hgrm", str(path), server.url("echo"))
    assert done.status == FAILED and done.err.count("\n") == 1
    assert "Percentile" in path.read_text()


def test_a_reader_of_events_that_has_gone_does_not_end_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with model("epoll_lt", "echo") as server:
        done = subprocess.run(
            [LOADGEN, *SHORT, "-q", "--events-fd", str(writing), server.url("echo")],
            pass_fds=[writing],
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    os.close(writing)
    assert done.returncode in (VALID, SUSPECT)
    assert done.stderr.count("\n") == 1 and "--events-fd" in done.stderr


# --- values that are named as what they are -----------------------------------------------------


@pytest.mark.parametrize("trace", ["/dev/zero", "/proc/self/mem", "/"])
def test_a_trace_that_is_none_is_refused_however_long(trace: str) -> None:
    def little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = subprocess.run(
        [LOADGEN, "--arrival", "trace", "--trace", trace, NOBODY],
        preexec_fn=little_memory,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == USAGE
    assert done.stderr.count("\n") == 1 and f"--trace: '{trace}'" in done.stderr
    assert "memory" not in done.stderr


def test_a_range_is_said_in_numbers_that_are_accepted() -> None:
    done = run("--rate", "1e9", NOBODY)
    refused(done, "--rate: '1e9' is not a number from 0 to 1000000000 ")
    assert run("--rate", "1000000000", "-d", "1ms", NOBODY).status == FAILED
    assert "e+" not in run("--help-markdown").out


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://[::1:80/", "IPv6"),
        ("http://[127.0.0.1]/", "IPv6"),
        ("http://::1/", "IPv6"),
        ("echo://fe80::1:9000", "IPv6"),
        ("echo://[fe80::1%lo]:9000", "zone"),
        ("http://me:secret@127.0.0.1:80/", "user and password"),
        ("http://me@127.0.0.1/", "user and password"),
    ],
)
def test_what_a_url_may_not_have_is_named(url: str, word: str) -> None:
    done = run(url)
    refused(done, "URL: ", word)
    assert "whose port" not in done.err


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "127.255.255.255", "192.0.2.1"]
)
def test_a_source_from_which_no_connection_can_come_is_refused(address: str) -> None:
    """The kernel binds a socket to "any", multicast and broadcast addresses, and takes another."""
    refused(run("--source-ip", address, NOBODY), f"'{address}'", "addresses of this machine")
    assert run("--source-ip", "127.0.0.1-127.0.0.3", NOBODY).status == FAILED


@pytest.mark.parametrize(
    ("args", "start"),
    [
        (["-Z"], "loadgen: -Z: no such option"),
        (["-qZ"], "loadgen: -Z: no such option"),
        (["--nonsense=1"], "loadgen: --nonsense=1: no such option"),
        (["--latency=3"], "loadgen: --latency=3: takes no value"),
        (["--json"], "loadgen: --json: needs a value"),
        (["-c"], "loadgen: -c: needs a value"),
    ],
)
def test_the_option_that_is_wrong_is_named(args: list[str], start: str) -> None:
    done = run(*args)
    refused(done)
    assert done.err.startswith(start)


def test_a_value_with_line_ends_is_refused_in_one_line() -> None:
    refused(run("--rate", "1\n2\x1b[2J", NOBODY), r"'1\n2\x1b[2J' is not")


# --- any bytes ----------------------------------------------------------------------------------

NAMES = [
    *"cdtRLTnq",
    *("connections workers duration rate latency timeout warmup drain arrival trace seed").split(),
    *("pace size pipeline requests-per-connection close verify idle silent slow-readers").split(),
    *(
        "slow-writers short-lived slow-rate connect-rate connect-ahead prime source-ip engine cpus"
    ).split(),
    *(
        "warmup-passes warmup-most interval json hlog hgrm events-fd quiet help version nonsense"
    ).split(),
]
VALUES = [
    *("0 1 -1 7 1k 2M 1G 1e9 9223372036854775808 1.5 .5 nan inf 0x10 1ms 1us 1h 99999h").split(),
    *("fixed poisson trace hybrid fin rst full none epoll io_uring auto - / /dev/zero").split(),
    *("/dev/null /dev/full /proc/self/mem 127.0.0.1 127.0.0.2-127.0.0.9 8.8.8.8 0-3 0,0").split(),
    "",
    " ",
    "\n",
    "%s%n",
    "--",
    "\udcff\udcfe",
    "é",
    "x" * 5000,
    "1," * 5000,
]
URLS = [
    NOBODY,
    "rot13://127.0.0.1:1/",
    "http://127.0.0.1:1/bytes/9",
    "http://127.0.0.1:1",
    "echo://127.0.0.1",
    "echo://127.0.0.1:99999",
    "ftp://127.0.0.1:1/",
    "http://[::1]/",
    "http://a:b@c/",
    "http:///",
    "://",
    "",
]


def any_arguments(random_: random.Random) -> list[str]:
    """Options and values, often of the right kind; now and then bytes are changed."""
    argv: list[str] = []
    for _ in range(random_.randrange(6)):
        name = random_.choice(NAMES)
        argv.append(f"-{name}" if len(name) == 1 else f"--{name}")
        if random_.random() < 0.8:
            value = random_.choice(VALUES)
            if random_.random() < 0.3 and len(name) > 1:
                argv[-1] += f"={value}"
            else:
                argv.append(value)
    for _ in range(random_.choice([0, 1, 1, 1, 1, 2])):
        argv.append(random_.choice(URLS))
    for i, word in enumerate(argv):
        if word and random_.random() < 0.1 and "//" not in word:
            at = random_.randrange(len(word))
            argv[i] = word[:at] + chr(random_.randrange(1, 128)) + word[at + 1 :]
    return argv


def few_descriptors() -> None:
    """Else a count of connections may ask for all memory before nobody answers."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))


@pytest.mark.parametrize("seed", range(8))
def test_any_arguments_end_in_a_documented_status_with_one_line(seed: int, tmp_path: Path) -> None:
    random_ = random.Random(seed)
    for _ in range(40):
        argv = any_arguments(random_)
        done = subprocess.run(
            [str(LOADGEN), *argv],
            cwd=tmp_path,
            preexec_fn=few_descriptors,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        where = f"{argv}: {done.returncode}, {done.stderr!r}"
        assert done.returncode in (0, FAILED, USAGE, UNSUPPORTED), where
        if done.returncode == 0:
            assert done.stdout and not done.stderr, where  # --help and --version
        else:
            assert done.stderr.startswith(b"loadgen: ") and not done.stdout, where
            assert done.stderr.count(b"\n") == 1 and done.stderr.endswith(b"\n"), where
        assert list(tmp_path.iterdir()) == [], where
