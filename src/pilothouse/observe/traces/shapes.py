"""Splitting span attributes into shapes and values (``schema`` explains why), for a whole batch at once.

Everything here is arithmetic on arrays: a batch has a few dozen shapes and thousands of spans, so Python objects are made
per shape and never per span, save for rows of more keys than a segment takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from numpy.typing import NDArray

#: Letters of the types, by code; the code's list is ``strings``, ``ints``, ``doubles``, ``bools`` or ``others``.
LETTERS: Final = "sidbo"
TYPE_NAMES: Final = {"s": "string", "i": "int", "d": "double", "b": "bool", "o": "other"}
#: Letters of what stands in ``others``: bytes, array, key-value list, empty.
BYTES, ARRAY, KVLIST, EMPTY = b"b", b"a", b"k", b"-"

_PLACES: Final = 4096
#: Secret multipliers by place, so that nobody can send two shapes of equal hash.
_SECRET: Final = np.frombuffer(os.urandom(8 * _PLACES), np.uint64) | np.uint64(1)

Fields = tuple[str, ...]


class Shape(Struct, frozen=True):
    """The keys of a span's attributes, as ``LETTER:key``; ``slots`` as in the table of shapes."""

    fields: Fields
    slots: tuple[int, ...]

    @classmethod
    def of(cls, fields: Fields) -> Shape:
        """Finds the slots, and hides keys that a later one repeats."""
        slots, used, last = [], dict.fromkeys(LETTERS, 0), {f[2:]: i for i, f in enumerate(fields)}
        for field in fields:
            used[field[0]] += 1
            slots.append(used[field[0]])
        shown = tuple(f if last[f[2:]] == i else f.upper()[0] + f[1:] for i, f in enumerate(fields))
        return cls(shown, tuple(slots))

    def entry(self) -> tuple[object, ...]:
        """Its row in the table of shapes."""
        counts = [sum(f[0].lower() == letter for f in self.fields) for letter in LETTERS]
        before = {letter: sum(counts[:i]) for i, letter in enumerate(LETTERS)}
        shown = [(f, slot) for f, slot in zip(self.fields, self.slots, strict=True) if f[0].islower()]
        return (
            list(self.fields),
            list(self.slots),
            [f[2:] for f, _ in shown],
            [TYPE_NAMES[f[0]] for f, _ in shown],
            [before[f[0]] + slot for f, slot in shown],
        )


class ShapedAttributes(Struct, frozen=True):
    """The attributes of a batch of spans.

    Attributes:
        shape: For each span the place of its shape in ``hashes``.
        hashes: For each distinct shape a number, equal for equal shapes within this process.
        fields: Makes the fields of a shape by its place; most are known by their hash and need not be made.
        columns: ``strings``, ``ints``, ``doubles``, ``bools`` and ``others``, a list per span.
        loose: Makes the ``strings`` of span ``i`` for shape 0: key, ``LETTER:text`` and so on.
    """

    shape: NDArray[np.int64]
    hashes: list[int]
    fields: Callable[[int], Fields]
    columns: dict[str, pa.ListArray]
    loose: Callable[[int], list[str]]


def split(attributes: pa.ListArray) -> ShapedAttributes:
    """Takes ``list<struct<key, value>>`` apart, as decoded by ``wire``."""
    offsets = np.asarray(attributes.offsets).astype(np.int64)
    flat = attributes.flatten()
    offsets = offsets - offsets[0]
    keys = pc.dictionary_encode(flat.field("key").fill_null(""))
    value = flat.field("value")
    arrays = {name: pc.struct_field(value, name) for name in ("string", "int", "double", "bool")}
    present = [a.is_valid().to_numpy(zero_copy_only=False) for a in arrays.values()]
    others = _others(value, present)
    types = np.select(present, [0, 1, 2, 3], 4).astype(np.uint64)

    names = keys.dictionary.to_pylist()
    codes = np.asarray(keys.indices)
    shape, hashes, first = _distinct(names, codes, types, offsets)

    columns = {
        name: _sublist(offsets, mask, array)
        for name, mask, array in zip(("strings", "ints", "doubles", "bools"), present, arrays.values(), strict=True)
    }
    columns["others"] = _sublist(offsets, types == 4, others)

    def fields(index: int) -> Fields:
        span = slice(offsets[first[index]], offsets[first[index] + 1])
        return tuple(
            f"{LETTERS[t]}:{names[c]}" for c, t in zip(codes[span].tolist(), types[span].tolist(), strict=True)
        )

    def loose(row: int) -> list[str]:
        texts: dict[str, str] = {}
        for i in range(int(offsets[row]), int(offsets[row + 1])):
            letter = LETTERS[int(types[i])]
            texts[names[int(codes[i])]] = f"{letter}:{_loose_text(letter, arrays, others, i)}"
        return [text for pair in texts.items() for text in pair]

    return ShapedAttributes(shape, hashes, fields, columns, loose)


def _others(value: pa.Array, present: list[NDArray[np.bool_]]) -> pa.Array:
    """What is no string, int, double or bool: a letter, then bytes or the encoded array or list."""
    if bool(np.logical_or.reduce(present).all()) if len(value) else True:
        return pa.nulls(len(value), pa.binary())
    tagged = [
        pc.binary_join_element_wise(pa.scalar(letter, pa.binary()), pc.struct_field(value, name), b"")
        for letter, name in ((BYTES, "bytes"), (ARRAY, "array"), (KVLIST, "kvlist"))
    ]
    return pc.coalesce(*tagged, pa.scalar(EMPTY, pa.binary()))


def _distinct(
    names: list[str], codes: NDArray[np.int32], types: NDArray[np.uint64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[int], NDArray[np.int64]]:
    """For each span its shape's place, for each shape its hash and its first span."""
    key_hashes = np.array([hash(name) & 0xFFFFFFFFFFFFFFFF for name in names], np.uint64)
    place = np.arange(len(codes)) - np.repeat(offsets[:-1], np.diff(offsets))
    # The empty key's hash is 0, and nothing may add nothing to a sum: types count from 1.
    tagged = (types + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (key_hashes[codes] + tagged) if len(codes) else np.zeros(0, np.uint64)
    mixed ^= mixed >> np.uint64(31)
    mixed = (mixed + (place // _PLACES).astype(np.uint64)) * _SECRET[place % _PLACES]
    mixed ^= mixed >> np.uint64(29)
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    hashes, first, shape = np.unique(sums[offsets[1:]] - sums[offsets[:-1]], return_index=True, return_inverse=True)
    return shape.astype(np.int64), hashes.tolist(), first.astype(np.int64)


def _sublist(offsets: NDArray[np.int64], mask: NDArray[np.bool_], values: pa.Array) -> pa.ListArray:
    """The values of one type as a list per span."""
    before = np.concatenate((np.zeros(1, np.int32), np.cumsum(mask, dtype=np.int32)))
    return pa.ListArray.from_arrays(pa.array(before[offsets]), values.filter(pa.array(mask)))


def _loose_text(letter: str, arrays: dict[str, pa.Array], others: pa.Array, i: int) -> str:
    match letter:
        case "s":
            return str(arrays["string"][i].as_py())
        case "i":
            return str(arrays["int"][i].as_py())
        case "d":
            return repr(arrays["double"][i].as_py())
        case "b":
            return "true" if arrays["bool"][i].as_py() else "false"
        case _:
            return bytes(others[i].as_py()).hex()
