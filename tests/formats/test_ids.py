from base64 import b64encode, urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pilothouse.formats import ids
from pilothouse.kit.errors import InvalidInput


@given(st.binary(min_size=16, max_size=16).filter(any))
def test_every_spelling_of_a_trace_id(raw: bytes) -> None:
    assert ids.trace_id(raw.hex()) == raw
    assert ids.trace_id(raw.hex().upper()) == raw
    assert ids.trace_id(raw.hex().lstrip("0")) == raw
    assert ids.trace_id(ids.jaeger_trace_id(raw)) == raw
    for encode in (b64encode, urlsafe_b64encode):
        assert ids.trace_id(encode(raw).decode()) == raw
        assert ids.trace_id(encode(raw).decode().rstrip("=")) == raw


@given(st.binary(min_size=8, max_size=8).filter(any))
def test_every_spelling_of_a_span_id_and_a_short_trace_id(raw: bytes) -> None:
    base64 = urlsafe_b64encode(raw).decode()
    assume(not all(character in "0123456789abcdefABCDEF" for character in base64.rstrip("=")))
    for spelling in (raw.hex(), base64, base64.rstrip("="), b64encode(raw).decode()):
        assert ids.span_id(spelling) == raw
        assert ids.trace_id(spelling) == bytes(8) + raw


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0" * 32,
        "g" * 32,
        "a" * 33,
        "é",
        "====",
        "-A==",
        "AAA_",
        "ab cd",
        "0x1",
        "a" * 10_000,
        "\u0663",
        "\ud800",
    ],
)
def test_no_trace_id(text: str) -> None:
    with pytest.raises(InvalidInput):
        ids.trace_id(text)


@pytest.mark.parametrize("text", ["", "0" * 16, "a" * 17, b64encode(bytes(15) + b"1").decode(), "z"])
def test_no_span_id(text: str) -> None:
    with pytest.raises(InvalidInput):
        ids.span_id(text)


@given(st.text(max_size=40))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    for read, size in ((ids.trace_id, 16), (ids.span_id, 8)):
        with suppress(InvalidInput):
            assert len(read(text)) == size


def test_jaeger_writes_short_ids_short() -> None:
    assert ids.jaeger_trace_id(bytes(8) + b"\x01" * 8) == "01" * 8
    assert ids.jaeger_trace_id(b"\x01" + bytes(15)) == "01" + "00" * 15
