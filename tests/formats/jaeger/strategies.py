"""Hypothesis strategies for Jaeger's own span model."""

from hypothesis import strategies as st
from tests.formats.strategies import int64, span_ids, text, trace_ids

from pilothouse.formats.jaeger.model import JaegerSpan, Log, Process, Reference

tag_values = text | st.booleans() | int64 | st.floats(allow_nan=False) | st.binary(max_size=6)
tags = st.lists(st.tuples(text, tag_values), max_size=4).map(tuple)
times = st.integers(0, 2**63 - 1)
references = st.builds(Reference, st.sampled_from(["CHILD_OF", "FOLLOWS_FROM"]), trace_ids, span_ids)
processes = st.builds(Process, text, tags)
jaeger_spans = st.builds(
    JaegerSpan,
    trace_id=trace_ids,
    span_id=span_ids,
    operation=text,
    start=times,
    duration=st.integers(-(2**62), 2**62),
    process=processes,
    references=st.lists(references, max_size=2).map(tuple),
    flags=st.integers(0, 2**32 - 1),
    tags=tags,
    logs=st.lists(st.builds(Log, times, tags), max_size=2).map(tuple),
    warnings=st.lists(text, max_size=2).map(tuple),
)
