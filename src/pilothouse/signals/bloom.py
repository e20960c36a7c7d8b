"""Which segments may hold a key: a Bloom filter over 16-byte keys.

Without it a look-up by trace id reads the id column of every segment. Keys may be chosen by an attacker, so they are mixed
with constants before use; the filter only ever decides what is *not* read, hence a bad key costs time and never an answer.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Probes per key: near the optimum for 8 to 12 bits a key (false positives 2 % to 0.3 %).
_PROBES: Final = 6
#: Bits per key that a sealed filter keeps.
_BITS_PER_KEY: Final = 12
_GROWING_BITS: Final = 1 << 23
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


def _mix(values: NDArray[np.uint64], constant: np.uint64) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(33))) * constant
    mixed: NDArray[np.uint64] = values ^ (values >> np.uint64(29))
    return mixed


class Bloom:
    """A filter of ``8 * len(bits)`` bits, a power of two."""

    def __init__(self, bits: NDArray[np.uint8] | None = None) -> None:
        self._bits = np.zeros(_GROWING_BITS // 8, np.uint8) if bits is None else bits

    @classmethod
    def from_bytes(cls, data: bytes) -> Bloom:
        """Reads what ``sealed`` wrote."""
        return cls(np.frombuffer(data, np.uint8))

    def add(self, keys: NDArray[np.uint8]) -> None:
        """Adds keys of shape ``(n, 16)``, C-contiguous."""
        where = self._positions(keys)
        np.bitwise_or.at(self._bits, where >> np.uint64(3), np.uint8(1) << (where & np.uint64(7)).astype(np.uint8))

    def may_contain(self, key: bytes) -> bool:
        """False only if the key was never added."""
        where = self._positions(np.frombuffer(key, np.uint8).reshape(1, 16))
        hit = self._bits[where >> np.uint64(3)] >> (where & np.uint64(7)).astype(np.uint8)
        return bool((hit & 1).all())

    def sealed(self, keys: int) -> bytes:
        """The filter in as few bytes as ``keys`` distinct keys need; the upper half folds onto the lower."""
        bits = self._bits
        while len(bits) > 64 and len(bits) * 4 >= keys * _BITS_PER_KEY:
            bits = bits[: len(bits) // 2] | bits[len(bits) // 2 :]
        return bits.tobytes()

    def _positions(self, keys: NDArray[np.uint8]) -> NDArray[np.uint64]:
        halves = np.ascontiguousarray(keys).view(np.uint64)
        first = _mix(halves[:, 0] ^ (halves[:, 1] << np.uint64(1)), _MIX[0])
        step = _mix(halves[:, 1] + first, _MIX[1]) | np.uint64(1)
        probes = first[:, None] + step[:, None] * np.arange(_PROBES, dtype=np.uint64)
        mask = np.uint64(len(self._bits) * 8 - 1)
        return np.bitwise_and(probes, mask, dtype=np.uint64).ravel()
