"""Where a key may be: Bloom filters over 16-byte keys, one for each zone of a segment's rows.

Without them a look-up by trace id reads every row's id. Keys may be chosen by an attacker, so they are mixed with constants
before use; a filter only ever decides what is *not* read, hence a bad key costs time and never an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Rows of a zone: a row group of the engine, which it skips as a whole.
ZONE_ROWS: Final = 122_880
#: Probes per key: near the optimum for 8 to 12 bits a key (false positives 2 % to 0.3 %).
_PROBES: Final = 6
#: Bits per key that a closed filter keeps.
_BITS_PER_KEY: Final = 12
_GROWING_BITS: Final = 1 << 20
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


def probes(keys: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The numbers by which keys of shape ``(n, 16)`` are looked for, of shape ``(n, probes)``."""
    halves = np.ascontiguousarray(keys).view(np.uint64)
    first = _mix(halves[:, 0] ^ (halves[:, 1] << np.uint64(1)), _MIX[0])
    step = _mix(halves[:, 1] + first, _MIX[1]) | np.uint64(1)
    return np.add(first[:, None], step[:, None] * np.arange(_PROBES, dtype=np.uint64), dtype=np.uint64)


def probes_of(key: bytes) -> list[int]:
    """The numbers of one key."""
    found: list[int] = probes(np.frombuffer(key, np.uint8).reshape(1, 16))[0].tolist()
    return found


def _mix(values: NDArray[np.uint64], constant: np.uint64) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(33))) * constant
    mixed: NDArray[np.uint64] = values ^ (values >> np.uint64(29))
    return mixed


class Bloom:
    """A filter whose number of bits is a power of two."""

    def __init__(self, data: bytes | None = None) -> None:
        self._bits = (
            np.zeros(_GROWING_BITS // 8, np.uint8) if data is None else np.frombuffer(bytearray(data), np.uint8)
        )
        # Single bits are read much faster from a memoryview than from an array.
        self._view = memoryview(self._bits)  # type: ignore[arg-type]  # an array is a buffer

    def add(self, numbers: NDArray[np.uint64]) -> None:
        """Adds keys by their ``probes``."""
        where = np.bitwise_and(numbers.ravel(), np.uint64(len(self._bits) * 8 - 1), dtype=np.uint64)
        np.bitwise_or.at(self._bits, where >> np.uint64(3), np.uint8(1) << (where & np.uint64(7)).astype(np.uint8))

    def may_contain(self, numbers: Sequence[int]) -> bool:
        """False only if the key of these ``probes_of`` was never added."""
        view, mask = self._view, len(self._view) * 8 - 1
        return all(view[(n & mask) >> 3] >> (n & 7) & 1 for n in numbers)

    def closed(self, keys: int) -> bytes:
        """The filter in as few bytes as ``keys`` distinct keys need; the upper half folds onto the lower."""
        bits = self._bits
        while len(bits) > 64 and len(bits) * 4 >= keys * _BITS_PER_KEY:
            bits = bits[: len(bits) // 2] | bits[len(bits) // 2 :]
        return bits.tobytes()


class Zones:
    """The filters of one segment; the last one grows. One thread adds while others look."""

    def __init__(self, closed: Sequence[bytes] = ()) -> None:
        self.filters = [Bloom(data) for data in closed]
        #: Keys added to the last filter, those added twice counted twice.
        self._keys = 0

    def add(self, keys: NDArray[np.uint8], first: int, rows: int) -> None:
        """Adds the keys, of shape ``(n, 16)``, of ``rows`` rows from row ``first`` on."""
        numbers = probes(keys)
        for zone in range(first // ZONE_ROWS, (first + rows - 1) // ZONE_ROWS + 1):
            while len(self.filters) <= zone:
                self._close_last()
                self.filters.append(Bloom())
            self.filters[zone].add(numbers)
            self._keys += len(keys)

    def close(self) -> list[bytes]:
        """All filters in their final size."""
        self._close_last()
        return [f.closed(0) if len(f._view) <= 64 else bytes(f._view) for f in self.filters]

    def _close_last(self) -> None:
        if self.filters and self._keys:
            self.filters[-1] = Bloom(self.filters[-1].closed(self._keys))
        self._keys = 0
