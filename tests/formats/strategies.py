"""Hypothesis strategies for OTLP values and spans: everything the model can carry, at every level."""

from hypothesis import strategies as st

from pilothouse.formats.otlp.model import Event, Link, Resource, Scope, Span

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
int64 = st.integers(-(2**63), 2**63 - 1)
uint64 = st.integers(0, 2**64 - 1)
uint32 = st.integers(0, 2**32 - 1)

scalars = st.none() | text | st.booleans() | int64 | st.floats(allow_nan=False) | st.binary(max_size=6)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6
)
attributes = st.dictionaries(text, values, max_size=4)
trace_ids = st.binary(min_size=16, max_size=16)
span_ids = st.binary(min_size=8, max_size=8)
resources = st.builds(Resource, attributes, uint32, text)
scopes = st.builds(Scope, text, text, attributes, uint32, text)
events = st.builds(Event, uint64, text, attributes, uint32)
links = st.builds(Link, trace_ids, span_ids, text, attributes, uint32, uint32)


def spans(
    resource: st.SearchStrategy[Resource] = resources, scope: st.SearchStrategy[Scope] = scopes
) -> st.SearchStrategy[Span]:
    return st.builds(
        Span,
        trace_id=trace_ids,
        span_id=span_ids,
        resource=resource,
        scope=scope,
        name=text,
        start=uint64,
        end=uint64,
        parent_span_id=st.just(b"") | span_ids,
        trace_state=text,
        flags=uint32,
        kind=st.integers(0, 6),
        status_code=st.integers(0, 3),
        status_message=text,
        attributes=attributes,
        events=st.lists(events, max_size=2).map(tuple),
        links=st.lists(links, max_size=2).map(tuple),
        dropped_attributes=uint32,
        dropped_events=uint32,
        dropped_links=uint32,
    )


def identical(left: object, right: object) -> bool:
    """Equality that tells 1 from 1.0 and True, which ``==`` does not."""
    return left == right and repr(left) == repr(right)
