"""Questions to a store that was filled the real way: traces, spans, lists, and the view that people query in SQL."""

from __future__ import annotations

import base64
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from tests.formats.strategies import attributes
from tests.observe.traces.spans import DAY, NOW, Traces, query, span, span_id, trace_id

from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Event, Link, Resource, Scope, Span, Value
from pilothouse.kit.errors import QueryTimeout
from pilothouse.observe.traces import ingest, store
from pilothouse.observe.traces.ingest import Outcome
from pilothouse.observe.traces.model import Trace
from pilothouse.observe.traces.schema import SPANS
from pilothouse.observe.traces.store import TraceStore


def spans_of(trace: Trace | None) -> list[Span]:
    assert trace is not None
    return list(trace.spans)


# traces


def test_a_trace_comes_whole_by_start_from_wherever_it_lies(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=2) as traces:
        spans = [span(1, n, parent=n - 1, at=-n * DAY // 4, name=f"op{n}") for n in range(1, 9)]
        others = [span(t, 100 + t, at=t) for t in range(2, 10)]
        for one, other in zip(spans, others, strict=True):
            traces.add(one, other)
        assert spans_of(traces.store.trace(trace_id(1))) == spans[::-1]
        assert traces.store.trace(trace_id(99)) is None
        traces.restart()
        assert spans_of(traces.store.trace(trace_id(1))) == spans[::-1]


def test_a_trace_between_times(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=2) as traces:
        traces.add(*(span(1, n, at=n) for n in range(1, 6)))
        between = traces.store.trace(trace_id(1), NOW + 2, NOW + 4)
        assert [s.start - NOW for s in spans_of(between)] == [2, 3]
        assert traces.store.trace(trace_id(1), NOW + 6, NOW + 9) is None
        assert len(spans_of(traces.store.trace(trace_id(1), start=NOW + 3))) == 3
        assert len(spans_of(traces.store.trace(trace_id(1), end=NOW + 3))) == 2


def test_a_trace_beyond_the_limit_is_cut_and_says_so(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=3, max_trace_spans=4) as traces:
        for first in (1, 3, 5):
            traces.add(*(span(t, n + 10 * t, at=n) for t in (1, 2) for n in (first, first + 1)))
        traces.add(*(span(3, n, at=n) for n in range(1, 5)))
        cut, whole = traces.store.trace(trace_id(1)), traces.store.trace(trace_id(3))
        assert cut is not None
        assert whole is not None
        assert [s.start - NOW for s in cut.spans] == [1, 2, 3, 4]
        assert (cut.truncated, whole.truncated) == (True, False)
        assert {t.trace_id: t for t in traces.store.find(query())} == {
            t: traces.store.trace(t) for t in (trace_id(1), trace_id(2), trace_id(3))
        }


def test_repeats_that_fill_the_limit_do_not_hide_that_there_is_more(tmp_path: Path) -> None:
    with Traces(tmp_path, max_trace_spans=3) as traces:
        for extra in range(5):
            traces.add(span(1, 1), span(9, 50 + extra))
        traces.add(span(1, 2, at=1))
        trace = traces.store.trace(trace_id(1))
        assert trace is not None
        assert trace.truncated or len(trace.spans) == 2


def test_equal_spans_collapse_and_differing_ones_stay(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=1) as traces:
        one, other = span(1, 1, attributes={"a": 1}), span(1, 1, attributes={"a": 2})
        traces.add(one)
        traces.add(one, other)
        traces.add(other)
        found = spans_of(traces.store.trace(trace_id(1)))
        assert sorted(found, key=repr) == [one, other]


def test_one_span(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=1) as traces:
        spans = [span(1, n, at=i * DAY // 3) for i, n in enumerate((1, 2, 2**64 - 1))]
        for one in spans:
            traces.add(one)
        assert [traces.store.span(trace_id(1), s.span_id) for s in spans] == spans
        assert traces.store.span(trace_id(1), span_id(3)) is None
        assert traces.store.span(trace_id(2), span_id(1)) is None


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_find_gives_what_search_and_trace_do(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 9)), min_size=1, max_size=30))
    with pytest.MonkeyPatch.context() as patch, Traces(tmp_path_factory.mktemp("find"), segment_rows=4) as traces:
        patch.setattr(store, "_FIND_SPANS", data.draw(st.integers(1, 12)))
        spans = [span(trace, number, at=at) for number, (trace, at) in enumerate(places, 1)]
        for first in range(0, len(spans), 5):
            traces.add(*spans[first : first + 5])
        limit = data.draw(st.integers(1, 9))
        found = list(traces.store.find(query(limit=limit)))
        ids, _ = traces.store.search_ids(query(limit=limit))
        assert found == [traces.store.trace(t) for t in ids]
        assert [t.trace_id for t in found] == ids


# services and operations


def test_services_and_operations_with_when_they_were_last_seen(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(span(1, 1, service="b", name="x", kind=2, at=5), span(1, 2, service="a", name="x", kind=3, at=9))
        traces.add(span(1, 3, service="b", name="x", kind=3, at=1), span(1, 4, service="b", name="a", kind=2))
        assert [(s.name, s.last_seen - NOW) for s in traces.store.services()] == [("a", 9), ("b", 5)]
        of_b = [(o.name, o.kind, o.last_seen - NOW) for o in traces.store.operations("b")]
        assert of_b == [("a", 2, 0), ("x", 2, 5), ("x", 3, 1)]
        assert [(o.name, o.kind) for o in traces.store.operations("b", 2)] == [("a", 2), ("x", 2)]
        assert [(o.name, o.last_seen - NOW) for o in traces.store.operations("", 3)] == [("x", 9)]
        assert traces.store.operations("nobody") == []
        traces.clock.advance(11 * 10**9)
        traces.add(span(2, 5, service="b", name="x", kind=2, at=77))
        assert traces.store.operations("b", 2)[1].last_seen == NOW + 77
        traces.restart()
        assert len(traces.store.operations("")) == 3


def test_services_go_with_their_last_spans_and_come_again(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=1, retention_age=DAY) as traces:
        traces.add(span(1, 1, service="old"))
        traces.add(span(1, 2, service="both"), span(1, 3, service="both", name="gone"))
        traces.clock.advance(DAY)
        traces.add(span(2, 4, at=DAY, service="both"), span(2, 5, at=DAY, service="new"))
        traces.clock.advance(DAY // 2)
        assert len(traces.signals.sweep()) == 2
        assert [s.name for s in traces.store.services()] == ["both", "new"]
        assert [o.name for o in traces.store.operations("both")] == ["GET /"]
        traces.add(span(3, 6, at=-1, service="old"))  # late, and older than what was known of it
        assert [s.name for s in traces.store.services()] == ["both", "new", "old"]


# retention and readers


def test_nothing_of_a_dropped_segment_is_remembered(tmp_path: Path) -> None:
    """Rows of later segments are read with their own keys, resources and scopes."""
    with Traces(tmp_path, retention_age=DAY) as traces:
        for round_ in range(3):
            made = span(
                round_ + 1,
                1,
                at=round_ * 2 * DAY,
                attributes={f"key{round_}": round_, "x": "s"},
                resource=Resource({"service.name": f"s{round_}", "r": round_}),
                scope=Scope(f"scope{round_}"),
            )
            traces.add(made)
            assert spans_of(traces.store.trace(trace_id(round_ + 1))) == [made]
            assert traces.store.search_ids(query(attributes=((f"key{round_}", str(round_)),)))[0] == [made.trace_id]
            assert [s.name for s in traces.store.services()] == [f"s{round_}"]
            traces.clock.advance(2 * DAY)
            assert len(traces.signals.sweep()) == 1
            assert traces.store.trace(trace_id(round_ + 1)) is None
            assert traces.rows("SELECT count(*) FROM spans") == [(0,)]
            for name in ("resources", "scopes", "shapes", "operations"):
                assert traces.rows(f"SELECT count(*) FROM {name}") == [(0,)]


def test_traces_being_found_while_retention_removes_them_end_early(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, Traces(tmp_path, segment_rows=1, retention_age=DAY) as traces:
        patch.setattr(store, "_FIND_SPANS", 1)
        for n in range(1, 5):
            traces.add(span(n, n, at=n))
        found = traces.store.find(query())
        assert next(found).trace_id == trace_id(4)
        traces.clock.advance(2 * DAY)
        assert len(traces.signals.sweep()) == 4
        assert list(found) == []


def test_readers_and_a_writer_and_retention_at_once(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=5, retention_age=DAY) as traces:
        done, errors = threading.Event(), []

        def read() -> None:
            try:
                while not done.is_set():
                    ids, _ = traces.store.search_ids(query(limit=5))
                    for found in traces.store.summaries_of(ids):
                        assert found.span_count >= 1
                    for trace in traces.store.find(query(limit=3)):
                        assert trace.spans
                        assert all(s.attributes["n"] == int.from_bytes(s.trace_id) for s in trace.spans)
                    traces.store.attribute_keys("", "", 0, NOW + 99 * DAY, 10)
            except BaseException as error:
                errors.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for n in range(1, 25):
            traces.add(*(span(n, 10 * n + i, at=n * DAY // 8, attributes={"n": n}) for i in range(1, 4)))
            traces.clock.advance(DAY // 8)
            traces.signals.sweep()
        done.set()
        for reader in readers:
            reader.join()
        assert errors == []


def test_a_question_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(span())
        hasty = TraceStore(traces.signals, timeout=1, max_trace_spans=10)

        def ask() -> None:
            for _ in range(100_000):
                hasty.summaries(query())

        with pytest.raises(QueryTimeout):
            ask()


# what is committed while someone follows


def test_following_gives_every_span_once_in_the_order_of_commits(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=2) as traces:
        traces.add(span(1, 1))
        seen = traces.store.last_commit()
        traces.add(span(2, 2, at=-DAY), span(2, 3, service="cart"))
        until = traces.store.last_commit()
        traces.add(span(3, 4, at=-2 * DAY))
        first = traces.store.committed(seen, until, "", 10)
        second = traces.store.committed(until, traces.store.last_commit(), "", 10)
        assert sorted(s.span_id for s in first) == [span_id(2), span_id(3)]
        assert [s.span_id for s in second] == [span_id(4)]
        assert [s.span_id for s in traces.store.committed(0, 99, "cart", 10)] == [span_id(3)]
        oldest = traces.store.committed(0, 99, "", 2)
        assert oldest[0].span_id == span_id(1)
        assert len(oldest) == 2
        assert traces.store.committed(99, 100, "", 10) == []


# the view


def view(traces: Traces, columns: str = "*", also: str = "") -> dict[str, list[Any]]:
    answer = traces.signals.sql(f"SELECT {columns} FROM spans {also}", 1000, 60 * 10**9)
    return {name: [row[i] for row in answer.rows] for i, (name, _) in enumerate(answer.columns)}


def test_the_view_has_the_columns_it_declares(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        declared = [(c.name, c.type.replace('"', "")) for c, _ in SPANS.view]

        def there() -> list[tuple[Any, ...]]:
            rows = traces.rows("SELECT column_name, column_type FROM (DESCRIBE spans)")
            return [(name, type_.replace('"', "")) for name, type_ in rows]

        assert there() == declared
        traces.add(span())
        assert there() == declared


def test_the_view_tells_everything_as_text_that_people_read(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        full = span(
            0xAB,
            2**64 - 1,
            parent=7,
            at=5,
            duration=12,
            kind=4,
            status=2,
            resource=Resource({"service.name": "shop", "n": 5, "ok": True, "raw": b"\1"}),
            scope=Scope("lib", "2.0"),
            events=[Event(NOW, "boom", {"a": 1.5})],
            links=[(3, 4)],
        )
        full = replace(full, status_message="no", trace_state="a=b", flags=257, dropped_links=3)
        traces.add(full, span(1, 1, kind=0))
        row = {name: values[0] for name, values in view(traces, also="WHERE name = 'GET /' AND flags = 257").items()}
        assert row["trace_id"] == f"{0xAB:032x}"
        assert row["span_id"] == "f" * 16
        assert row["parent_span_id"] == f"{7:016x}"
        assert (row["service"], row["name"], row["kind"], row["status"]) == ("shop", "GET /", "producer", "error")
        assert row["start_time"].startswith("2023-11-14")
        assert row["start_time"].endswith("000000005")
        assert (row["duration_ns"], row["status_message"], row["trace_state"]) == (12, "no", "a=b")
        assert (row["scope_name"], row["scope_version"]) == ("lib", "2.0")
        assert row["resource"] == {"service.name": "shop", "n": "5", "ok": "true", "raw": "AQ=="}
        assert row["events"][0]["name"] == "boom"
        assert row["events"][0]["attributes"][0]["double"] == 1.5
        assert row["links"][0]["span_id"] == f"{4:016x}"
        assert (row["dropped_attributes"], row["dropped_events"], row["dropped_links"]) == (0, 0, 3)
        root = view(traces, "parent_span_id, kind, status", "WHERE flags = 0")
        assert root == {"parent_span_id": [None], "kind": ["unspecified"], "status": ["unset"]}


def test_kinds_and_states_without_a_name_are_numbers_and_times_at_the_end_are_times(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        late = replace(span(1, 1, kind=200, status=77), start=2**63 - 3, end=2**63 - 2)
        early = replace(span(1, 2), start=0, end=1)
        traces.add(late, early)
        found = view(traces, "kind, status, start_time", "ORDER BY start_time DESC")
        assert (found["kind"][0], found["status"][0]) == ("200", "77")
        assert [t[:4] for t in found["start_time"]] == ["2262", "1970"]


def text(value: Value) -> tuple[str, str]:
    """A value's type and text, as the view should have them."""
    match value:
        case str():
            return "string", value
        case bool():
            return "bool", str(value).lower()
        case int():
            return "int", str(value)
        case float():
            return "double", "number"
        case _:
            return "other", "base64"


def shown(traces: Traces) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """The attributes of the one span by key, with types, from the lists; and the map."""
    found = view(traces, "attributes, attribute_keys, attribute_values, attribute_types")
    keys, values, types = (found[f"attribute_{n}"][0] for n in ("keys", "values", "types"))
    assert len(keys) == len(values) == len(types) == len(set(keys))
    as_map = found["attributes"][0]
    assert as_map == dict(zip(keys, values, strict=True))
    return {k: (t, v) for k, t, v in zip(keys, types, values, strict=True)}, as_map


def same(found: dict[str, tuple[str, str]], expected: dict[str, Value]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        type_, as_text = found[key]
        wanted, plain = text(value)
        assert type_ == wanted
        match value:
            case float():
                assert float(as_text) == value
            case None | bytes() | list() | dict():
                base64.b64decode(as_text, validate=True)
            case _:
                assert as_text == plain


@settings(max_examples=20, deadline=None)
@given(given_=st.lists(attributes, min_size=1, max_size=1), shapes=st.sampled_from([8192, 1]))
def test_attributes_in_the_view_shaped_and_loose(
    tmp_path_factory: pytest.TempPathFactory, given_: list[dict[str, Value]], shapes: int
) -> None:
    (wanted,) = given_
    with pytest.MonkeyPatch.context() as patch, Traces(tmp_path_factory.mktemp("view")) as traces:
        patch.setattr(ingest, "MAX_SHAPES", shapes)
        traces.add(span(attributes=wanted))
        assert traces.rows("SELECT shape = 0 FROM spans_0") == [(shapes == 1,)]
        found, _ = shown(traces)
        same(found, wanted)
        (stored,) = spans_of(traces.store.trace(trace_id(1)))
        assert stored.attributes == wanted


def send_pairs(traces: Traces, pairs: Sequence[tuple[str, Value]]) -> None:
    """One span with exactly these attributes, repeated keys included."""
    message = proto.to_traces_data([span()])
    kept = message.resource_spans[0].scope_spans[0].spans[0].attributes
    kept.extend(KeyValue(key=k, value=AnyValue.FromString(proto.any_value_to_bytes(v))) for k, v in pairs)
    same_pairs = [KeyValue(key=k, value=AnyValue.FromString(proto.any_value_to_bytes(v))) for k, v in pairs]
    message.resource_spans[0].resource.attributes.extend(same_pairs)
    (outcome,) = traces.ingest.commit(traces.ingest.prepare([message.SerializeToString()]))
    assert isinstance(outcome, Outcome)


@pytest.mark.parametrize("shapes", [8192, 1])
def test_of_repeated_keys_the_last_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shapes: int) -> None:
    monkeypatch.setattr(ingest, "MAX_SHAPES", shapes)
    with Traces(tmp_path) as traces:
        send_pairs(traces, [("k", 1), ("a", "x"), ("k", "two"), ("k", 3.5), ("a", b"raw"), ("b", True), ("a", "y")])
        found, as_map = shown(traces)
        same(found, {"k": 3.5, "b": True, "a": "y"})
        assert as_map["k"] == "3.5"
        assert view(traces, "resource")["resource"] == [{"service.name": "shop", "k": "3.5", "b": "true", "a": "y"}]
        (stored,) = spans_of(traces.store.trace(trace_id(1)))
        assert stored.attributes == {"k": 3.5, "b": True, "a": "y"}


@pytest.mark.parametrize("shapes", [8192, 1])
def test_bytes_are_base64_of_themselves_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shapes: int
) -> None:
    monkeypatch.setattr(ingest, "MAX_SHAPES", shapes)
    with Traces(tmp_path) as traces:
        values: dict[str, Value] = {"raw": b"\0\xff", "none": None, "list": ["a", 1], "map": {"k": [b"x"]}}
        traces.add(span(attributes=values, resource=Resource({"service.name": "shop", **values})))
        found = view(traces, "attributes, resource")
        expected = {key: found["resource"][0][key] for key in values}
        assert found["attributes"][0] == expected
        assert expected["raw"] == "AP8="
        assert expected["none"] == ""


def test_filters_on_the_lists_find_what_the_map_has(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=2) as traces:
        traces.add(*(span(n, n, attributes={"n": n, "even": n % 2 == 0}) for n in range(1, 4)))
        traces.add(span(4, 4, attributes={"n": 4, "other": None}))
        by_map = view(traces, "trace_id", "WHERE attributes['n'] = '3'")
        by_list = view(traces, "trace_id", "WHERE attribute_values[list_position(attribute_keys, 'n')] = '3'")
        assert by_map == by_list == {"trace_id": [trace_id(3).hex()]}
        total = view(traces, "sum(attributes['n']::INT)::INT AS total")
        assert total == {"total": [10]}


def test_links_keep_ids_of_any_length(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        odd = replace(span(), links=(Link(b"", b""), Link(b"\1", b"\2\3"), Link(trace_id(1), span_id(2))))
        traces.add(odd)
        assert spans_of(traces.store.trace(trace_id(1))) == [odd]
        assert [x["span_id"] for x in view(traces, "links")["links"][0]] == ["", "0203", f"{2:016x}"]
