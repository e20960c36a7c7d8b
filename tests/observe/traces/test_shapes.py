"""Attributes are split into shape and values for a whole batch at once, and come together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from tests.formats.strategies import identical, text, values

from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Value
from pilothouse.observe.traces import shapes, wire
from pilothouse.observe.traces.shapes import LETTERS, Shape, ShapedAttributes, split

Pairs = list[tuple[str, Value]]
FEW = st.sampled_from(["a", "b", "a.b", "", "é"]) | text
PAIRS = st.lists(st.tuples(FEW, values), max_size=6)
COLUMNS = dict(zip(LETTERS, ("strings", "ints", "doubles", "bools", "others"), strict=True))


def decoded(spans: list[Pairs]) -> pa.ListArray:
    """The attributes of spans as ``wire`` gives them."""
    request = ExportTraceServiceRequest()
    inner = request.resource_spans.add().scope_spans.add()
    for pairs in spans:
        kept = inner.spans.add().attributes
        kept.extend(KeyValue(key=k, value=AnyValue.FromString(proto.any_value_to_bytes(v))) for k, v in pairs)
    lists = wire.UpbDecoder().decode([request.SerializeToString()])
    return lists.flatten().field("scope_spans").flatten().field("spans").flatten().field("attributes")


def other(tagged: bytes) -> Value:
    """A value of ``others`` from its letter and its encoding."""
    body = tagged[1:]
    message = AnyValue()
    match tagged[:1]:
        case b"b":
            message.bytes_value = body
        case b"a":
            message.array_value.MergeFromString(body)
            message.array_value.SetInParent()
        case b"k":
            message.kvlist_value.MergeFromString(body)
            message.kvlist_value.SetInParent()
        case letter:
            assert letter == b"-"
            assert not body
    return proto.from_any_value(message)


def shaped(parts: ShapedAttributes, row: int) -> dict[str, Value]:
    """The attributes of a span, by its shape and its values."""
    shape = Shape.of(parts.fields(int(parts.shape[row])))
    lists: dict[str, list[Any]] = {letter: parts.columns[name][row].as_py() for letter, name in COLUMNS.items()}
    found: dict[str, Value] = {}
    for field, slot in zip(shape.fields, shape.slots, strict=True):
        if field[0].islower():
            value = lists[field[0]][slot - 1]
            assert field[2:] not in found
            found[field[2:]] = other(value) if field[0] == "o" else value
    assert sum(map(len, lists.values())) == len(shape.fields)
    return found


def loose(parts: ShapedAttributes, row: int) -> dict[str, Value]:
    """The attributes of a span from the text that stands for them in rows of shape 0."""
    strings = parts.loose(row)
    read: dict[str, Callable[[str], Value]] = {
        "s": str, "i": int, "d": float, "b": lambda t: t == "true", "o": lambda t: other(bytes.fromhex(t)),
    }  # fmt: skip
    assert len(set(strings[::2])) == len(strings[::2])
    return {key: read[t[0]](t[2:]) for key, t in zip(strings[::2], strings[1::2], strict=True)}


def same(found: dict[str, Value], pairs: Pairs) -> bool:
    wanted = dict(pairs)
    return found.keys() == wanted.keys() and all(identical(found[k], wanted[k]) for k in wanted)


@settings(max_examples=100, deadline=None)
@given(st.lists(PAIRS, max_size=6))
def test_every_attribute_comes_back_shaped_and_loose(spans: list[Pairs]) -> None:
    parts = split(decoded(spans))
    for row, pairs in enumerate(spans):
        assert same(shaped(parts, row), pairs)
        assert same(loose(parts, row), pairs)


@settings(max_examples=50, deadline=None)
@example([[], [("", "")], [("", ""), ("", "")]])
@given(st.lists(PAIRS, min_size=1, max_size=8))
def test_spans_share_a_shape_exactly_if_their_keys_and_types_are_equal(spans: list[Pairs]) -> None:
    def kind(pairs: Pairs) -> tuple[tuple[str, str], ...]:
        letters = {str: "s", int: "i", float: "d", bool: "b"}
        return tuple((k, letters.get(type(v), "o")) for k, v in pairs)

    parts = split(decoded(spans))
    assert len(parts.hashes) == len(set(parts.hashes)) == len({kind(p) for p in spans})
    for i, one in enumerate(spans):
        for j, another in enumerate(spans):
            assert (parts.shape[i] == parts.shape[j]) == (kind(one) == kind(another))
    again = split(decoded(spans[::-1]))
    assert {h: parts.fields(i) for i, h in enumerate(parts.hashes)} == {
        h: again.fields(i) for i, h in enumerate(again.hashes)
    }


def test_the_order_of_keys_and_their_number_make_the_shape() -> None:
    spans: list[Pairs] = [[(key, 1) for key in keys] for keys in ("ab", "ba", "aab", "ab", "")]
    parts = split(decoded(spans))
    assert len(parts.hashes) == 4
    assert parts.shape[0] == parts.shape[3]


def test_slots_count_by_type_and_hidden_keys_keep_theirs() -> None:
    shape = Shape.of(("s:a", "i:n", "s:b", "i:a", "o:x", "s:b"))
    assert shape.fields == ("S:a", "i:n", "S:b", "i:a", "o:x", "s:b")
    assert shape.slots == (1, 1, 2, 2, 1, 3)
    fields, slots, keys, types, places = shape.entry()
    assert fields == list(shape.fields)
    assert slots == list(shape.slots)
    assert keys == ["n", "a", "x", "b"]
    assert types == ["int", "int", "other", "string"]
    assert places == [4, 5, 6, 3]


@pytest.mark.parametrize("count", [shapes._PLACES - 1, shapes._PLACES + 1, 2 * shapes._PLACES + 3])
def test_more_keys_than_there_are_multipliers(count: int) -> None:
    many: Pairs = [(f"k{i}", i) for i in range(count)]
    swapped = [many[-1], *many[1:-1], many[0]]
    parts = split(decoded([many, swapped, many]))
    assert len(parts.hashes) == 2
    assert parts.shape[0] == parts.shape[2] != parts.shape[1]
    assert shaped(parts, 1) == dict(many)


def test_a_slice_of_a_batch_is_split_like_the_whole() -> None:
    whole: list[Pairs] = [[("a", i), ("b", str(i)), ("c", b"x")] for i in range(9)]
    spans = [pairs[: i % 4] for i, pairs in enumerate(whole)]
    sliced = decoded(spans).slice(3, 4)
    parts = split(sliced)
    assert [shaped(parts, i) for i in range(4)] == [dict(p) for p in spans[3:7]]
