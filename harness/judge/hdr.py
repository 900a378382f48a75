# SPDX-License-Identifier: MIT
"""Histograms as the load generator writes them, and percentiles of several added up.

The text is HdrHistogram's V2 encoding, compressed and in base64. Source: G. Tene, HdrHistogram,
AbstractHistogram.java (encodeIntoCompressedByteBuffer); the layout: loadgen/hist.h.
"""
from __future__ import annotations

import base64
import binascii
import functools
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

_COMPRESSED, _PLAIN = 0x1C849314, 0x1C849313
_HEAD = struct.Struct(">IIIIQQd")  # cookie, bytes of counts, offset, digits, lowest, highest, ratio
_DIGITS, _LOWEST = 3, 1  # what loadgen writes; the layout below is that of these
_HALF = 1024
_COUNTERS = 33 * _HALF  # up to an hour

Ints = npt.NDArray[np.int64]


@functools.lru_cache(maxsize=1 << 14)
def decode(text: str) -> tuple[Ints, Ints]:
    """The counters in use, rising, and their counts. Raises ValueError for another text."""
    try:
        packed = base64.b64decode(text, validate=True)
        cookie, length = struct.unpack_from(">II", packed)
        if cookie != _COMPRESSED or length != len(packed) - 8:
            raise ValueError("not a compressed histogram, V2")
        plain = zlib.decompress(packed[8:])
        cookie, length, offset, digits, lowest, _, _ = _HEAD.unpack_from(plain)
    except (binascii.Error, struct.error, zlib.error) as error:
        raise ValueError(f"not a histogram: {error}") from None
    if (cookie, offset, digits, lowest) != (_PLAIN, 0, _DIGITS, _LOWEST):
        raise ValueError("not a histogram as loadgen writes it")
    if length != len(plain) - _HEAD.size:
        raise ValueError(f"{len(plain) - _HEAD.size} bytes of counts instead of {length}")
    counters, counts, at = [], [], 0
    for word in _words(plain[_HEAD.size :]):
        if word > 0:
            counters.append(at)
            counts.append(word)
        at += max(1, -word)
        if at > _COUNTERS:
            raise ValueError(f"more than {_COUNTERS} counters")
    return np.array(counters, dtype=np.int64), np.array(counts, dtype=np.int64)


def percentiles(texts: Iterable[str], recorded: int, wanted: Sequence[float]) -> list[float]:
    """Percentiles, in ns, of all requests of several histograms together.

    recorded: how many requests there were; those that are in no histogram had no end, and rank
    above all others: inf. wanted: from 0 to 100. Nearest rank, rounded up, as the highest value of
    a counter: as hist_percentile() does in loadgen. Without any request they are nan.
    """
    total = np.zeros(_COUNTERS, dtype=np.int64)
    for text in texts:
        counters, counts = decode(text)
        total[counters] += counts
    below = np.cumsum(total)
    every = max(recorded, int(below[-1]))
    if not every:
        return [math.nan for _ in wanted]
    found = []
    for one in wanted:
        rank = max(1, math.ceil(one / 100 * every))
        found.append(
            float(_highest(int(np.searchsorted(below, rank)))) if rank <= below[-1] else math.inf
        )
    return found


def _words(data: bytes) -> Iterator[int]:
    """ZigZag LEB128; the ninth byte of a word carries eight bits."""
    value = shift = 0
    for byte in data:
        value |= (byte if shift == 56 else byte & 0x7F) << shift
        if byte & 0x80 and shift < 56:
            shift += 7
            continue
        yield value >> 1 ^ -(value & 1)
        value = shift = 0
    if shift:
        raise ValueError("the last count is cut off")


def _highest(counter: int) -> int:
    """The greatest value that shares a counter: exact below 2048, then 1024 counters to each
    doubling."""
    if counter < 2 * _HALF:
        return counter
    shift = counter // _HALF - 1
    return ((counter % _HALF + _HALF + 1) << shift) - 1
