# SPDX-License-Identifier: MIT
"""Public HdrHistogram readers read what loadgen/hlog.c and loadgen/hgrm.c write.

The Java reader is Debian's libhdrhistogram-java; the JavaScript one is hdr-histogram-js from npm,
installed below build/. Where one is absent its tests are skipped with the reason.
"""
from __future__ import annotations

import fcntl
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
READERS = ROOT / "tests" / "readers"
BUILD = ROOT / "build" / "tests" / "readers"
JAR = Path("/usr/share/java/hdrhistogram.jar")
JS_PACKAGE = "hdr-histogram-js@3.0.1"
START_MS = 1700000000000
HIGHEST_NS = 3600 * 10**9


@dataclass
class Interval:
    """What goes into one histogram, and what a reader must find there."""

    tag: str
    start_ms: int
    end_ms: int
    values: Counter[int] = field(default_factory=Counter)
    infinite: int = 0

    def described(self) -> str:
        lines = [f"value {ns} {count}" for ns, count in self.values.items()]
        lines.append(f"infinite {self.infinite}")
        lines.append(f"interval {self.tag} {self.start_ms * 10**6} {self.end_ms * 10**6}")
        return "\n".join(lines) + "\n"

    def counters(self) -> Counter[int]:
        """Count by lowest value of the counter, by the layout's definition: 11 bits are kept."""
        found: Counter[int] = Counter()
        for ns, count in self.values.items():
            shift = max(0, ns.bit_length() - 11)
            if ns <= HIGHEST_NS:
                found[ns >> shift << shift] += count
        return found

    def read_back(self) -> list[str]:
        """The reader's lines, percentiles left out."""
        counters = self.counters()
        times = f"{START_MS + self.start_ms} {START_MS + self.end_ms}"
        head = f"interval {self.tag} {times} {sum(counters.values())}"
        return [head, *(f"count {low} {counters[low]}" for low in sorted(counters))]


def latencies(seed: int, n: int, most: int) -> Counter[int]:
    rng = random.Random(seed)
    return Counter(min(most, int(rng.lognormvariate(11, 2))) for _ in range(n))


def sample_intervals() -> list[Interval]:
    return [
        Interval("-", 0, 1000, latencies(1, 20000, HIGHEST_NS)),
        Interval("service", 0, 1000, latencies(2, 20000, HIGHEST_NS), infinite=7),
        Interval("-", 1000, 2000),
        Interval("service", 1000, 2000, Counter({0: 1, 2047: 2, 2048: 3, HIGHEST_NS: 4})),
        Interval(
            "lag", 1000, 2250, Counter({5: 10**12, 10**9: 2**40 + 1, HIGHEST_NS + 1: 3})
        ),
    ]


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Workers of a parallel pytest share build/."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def sample_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the three sources alone, so that nothing else has to be built first."""
    program = tmp_path_factory.mktemp("readers") / "hdr_sample"
    sources = [f"loadgen/{name}.c" for name in ("hist", "hist_code", "hgrm", "hlog")]
    flags = ["-std=gnu17", "-D_GNU_SOURCE", "-O1", "-I.", "-o", str(program)]
    command = ["cc", *flags, "tests/readers/hdr_sample.c", *sources, "-lz", "-lm"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    return program


def write_files(
    program: Path, directory: Path, intervals: list[Interval], ns_per_unit: int = 1
) -> tuple[Path, Path]:
    hlog, hgrm = directory / "sample.hlog", directory / "sample.hgrm"
    text = "".join(interval.described() for interval in intervals)
    command = [str(program), str(hlog), str(hgrm), str(ns_per_unit)]
    subprocess.run(command, input=text, text=True, check=True, timeout=30)
    return hlog, hgrm


def java(*arguments: str) -> str:
    if shutil.which("java") is None or shutil.which("javac") is None:
        pytest.skip("java and javac are not installed (Debian package default-jdk-headless)")
    if not JAR.exists():
        pytest.skip(f"{JAR} is absent (Debian package libhdrhistogram-java)")
    # Seconds of life: what makes a server fast, or a heap large, would take longer than it spares.
    brief = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    command = ["java", *brief, "-cp", str(JAR), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="session")
def node_modules() -> Path:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed (Debian packages nodejs, npm)")
    prefix = BUILD / "npm"
    with one_at_a_time():
        install(prefix)
    return prefix / "node_modules"


def install(prefix: Path) -> None:
    """The package below prefix/node_modules, unless it is there."""
    if not (prefix / "node_modules" / "hdr-histogram-js" / "package.json").exists():
        prefix.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
            str(prefix),
        ]
        try:
            done = subprocess.run(
                [*command, JS_PACKAGE], capture_output=True, text=True, timeout=120, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not install {JS_PACKAGE} within 120 s")
        if done.returncode:
            pytest.skip(f"npm cannot install {JS_PACKAGE}: {done.stderr.strip()[-200:]}")


def node(node_modules: Path, *arguments: str) -> str:
    command = ["node", *arguments]
    environment = {"NODE_PATH": str(node_modules), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    found = shutil.which("node")
    assert found is not None
    command[0] = found
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    return done.stdout


def without_percentiles(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("percentile")]


def expected_lines(intervals: list[Interval]) -> list[str]:
    return [line for interval in intervals for line in interval.read_back()]


def test_java_reader_decodes_the_log_to_the_same_counts(
    sample_program: Path, tmp_path: Path
) -> None:
    intervals = sample_intervals()
    hlog, _ = write_files(sample_program, tmp_path, intervals)
    read = java(str(READERS / "HlogReader.java"), str(hlog))
    assert without_percentiles(read) == expected_lines(intervals)


def test_javascript_reader_decodes_the_log_to_the_same_counts(
    sample_program: Path, tmp_path: Path, node_modules: Path
) -> None:
    intervals = sample_intervals()
    hlog, _ = write_files(sample_program, tmp_path, intervals)
    read = node(node_modules, str(READERS / "hlog_reader.js"), str(hlog))
    assert without_percentiles(read) == expected_lines(intervals)


def test_java_and_javascript_find_the_same_percentiles(
    sample_program: Path, tmp_path: Path, node_modules: Path
) -> None:
    hlog, _ = write_files(sample_program, tmp_path, sample_intervals())
    read = java(str(READERS / "HlogReader.java"), str(hlog))
    assert node(node_modules, str(READERS / "hlog_reader.js"), str(hlog)) == read


def test_requests_without_an_end_are_stated_beside_their_interval(
    sample_program: Path, tmp_path: Path
) -> None:
    hlog, _ = write_files(sample_program, tmp_path, sample_intervals())
    stated = [line for line in hlog.read_text().splitlines() if line.startswith("#[TenkUnended")]
    assert stated == [
        "#[TenkUnended: tag service, start 0.000, infinite 7, overflow 0]",
        "#[TenkUnended: tag lag, start 1.000, infinite 0, overflow 3]",
    ]


def words(text: str) -> list[list[str]]:
    return [line.replace("]", "").replace(",", "").split() for line in text.splitlines()]


def same_but_for_the_last_digit(own: str, other: str) -> bool:
    digits = len(own.partition(".")[2])
    if own == other or not digits or digits != len(other.partition(".")[2]):
        return own == other
    return abs(int(own.replace(".", "")) - int(other.replace(".", ""))) <= 1


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_percentile_table_equals_that_of_the_public_log_processor(
    sample_program: Path, tmp_path: Path, seed: int
) -> None:
    """HistogramLogProcessor makes its .hgrm from our .hlog; below its heading it must be ours.

    Java rounds the shortest decimal form half up, C the binary number itself: last digits may
    differ by one.
    """
    most = 200 * 10**9
    intervals = [
        Interval("-", 0, 1000, latencies(seed, 1000 * seed, most)),
        Interval("-", 1000, 2000, latencies(seed + 100, 77777, most)),
    ]
    hlog, hgrm = write_files(sample_program, tmp_path, intervals, ns_per_unit=10**6)
    out = tmp_path / "processed"
    processor = "org.HdrHistogram.HistogramLogProcessor"
    java(processor, "-i", str(hlog), "-o", str(out), "-outputValueUnitRatio", "1000000")
    heading, table = Path(f"{out}.hgrm").read_text().split("       Value", 1)
    assert all(line.startswith("#[") for line in heading.splitlines())
    theirs, ours = words("       Value" + table), words(hgrm.read_text())
    assert [len(line) for line in ours] == [len(line) for line in theirs]
    assert len(ours) > 80
    for own, other in zip(ours, theirs):
        assert all(map(same_but_for_the_last_digit, own, other)), (own, other)


def plotted(hgrm: Path) -> list[tuple[float, float]]:
    """(1/(1-percentile), value) of the rows the public plotter takes: four columns, no '#'."""
    rows = [line.split() for line in hgrm.read_text().splitlines() if not line.startswith("#")]
    numbers = [row for row in rows if len(row) == 4 and row[0] != "Value"]
    return [(float(row[3]), float(row[0])) for row in numbers]


def test_plotter_sees_a_rising_curve(sample_program: Path, tmp_path: Path) -> None:
    intervals = [Interval("-", 0, 1000, latencies(3, 50000, HIGHEST_NS))]
    _, hgrm = write_files(sample_program, tmp_path, intervals)
    curve = plotted(hgrm)
    assert len(curve) > 50
    assert curve == sorted(curve)
    assert curve[-1][0] <= 2 * 50000


def test_plotted_curve_ends_below_the_requests_without_an_end(
    sample_program: Path, tmp_path: Path
) -> None:
    """One in a hundred has no end: nothing is drawn beyond 99 %, where 1/(1-p) is 100."""
    intervals = [Interval("-", 0, 1000, latencies(4, 9900, HIGHEST_NS), infinite=100)]
    _, hgrm = write_files(sample_program, tmp_path, intervals)
    furthest = plotted(hgrm)[-1][0]
    assert 80 < furthest <= 100
    assert "#[Infinite = 100, Overflow = 0, Fraction = 0.010000000]" in hgrm.read_text()


def in_unit_test() -> list[tuple[float, int]]:
    text = (ROOT / "tests" / "unit" / "test_hist.c").read_text()
    return [(float(p), int(v)) for p, v in re.findall(r"\{([\d.]+), (\d+)\}", text)]


def printed(answers: str) -> list[tuple[float, int]]:
    lines = [line.split() for line in answers.splitlines() if not line.startswith("count")]
    return [(float(p), int(v)) for p, v in lines]


def test_known_answers_of_the_unit_test_are_those_java_computes() -> None:
    answers = printed(java(str(READERS / "KnownAnswers.java")))
    assert len(answers) == 39
    assert answers == in_unit_test()


def test_known_answers_of_the_unit_test_are_those_javascript_computes(node_modules: Path) -> None:
    answers = printed(node(node_modules, str(READERS / "known_answers.js")))
    assert len(answers) == 39
    assert answers == in_unit_test()
