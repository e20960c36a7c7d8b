"""What a filter bar is offered: keys and values with types and counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.observe.traces.spans import DAY, NOW, Traces, query, span

from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Resource, Value
from pilothouse.observe.traces import completion

FOREVER = (0, NOW + 300 * DAY)


def keys(
    traces: Traces, text: str = "", service: str = "", times: tuple[int, int] = FOREVER, limit: int = 50
) -> list[tuple[str, str, tuple[str, ...], int]]:
    found = traces.store.attribute_keys(text, service, *times, limit)
    return [(k.key, k.level, k.types, k.count) for k in found]


def values(
    traces: Traces,
    key: str,
    prefix: str = "",
    service: str = "",
    times: tuple[int, int] = FOREVER,
    limit: int = 50,
) -> list[tuple[str, str, int]]:
    found = traces.store.attribute_values(key, prefix, service, *times, limit)
    return [(v.value, v.type, v.count) for v in found]


def test_keys_have_their_types_and_levels_most_frequent_first(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=2) as traces:
        traces.add(span(1, 1, attributes={"a": 1, "b": "x"}), span(1, 2, attributes={"a": "1"}))
        traces.add(
            span(1, 3, attributes={"a": True, "c": b"raw"}, resource=Resource({"service.name": "shop", "host": 7}))
        )
        by_name = {k[0]: k[1:] for k in keys(traces)}
        assert by_name["a"] == ("span", ("bool", "int", "string"), 3)
        assert by_name["c"] == ("span", ("other",), 1)
        assert by_name["host"] == ("resource", ("int",), 1)
        counts = [k[3] for k in keys(traces)]
        assert counts == sorted(counts, reverse=True)


def test_keys_that_begin_with_what_is_typed_come_before_those_that_contain_it(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(span(1, 1, attributes={"http.method": 1, "x.http": 1}), span(1, 2, attributes={"x.http": 1}))
        assert [k[0] for k in keys(traces, "http")] == ["http.method", "x.http"]
        assert keys(traces, "nothing") == []
        assert len(keys(traces, limit=1)) == 1


def test_keys_of_a_service_and_of_a_time(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(
            span(1, 1, service="a", attributes={"only.a": 1}),
            span(1, 2, service="b", attributes={"only.b": 1}, at=-3 * DAY),
        )
        assert [k[0] for k in keys(traces, "only")] == ["only.a", "only.b"]
        assert [k[0] for k in keys(traces, "only", "b")] == ["only.b"]
        assert [k[0] for k in keys(traces, "only", times=(NOW - 1, NOW + 1))] == ["only.a"]
        assert keys(traces, service="nobody") == []


def test_a_key_of_the_span_and_of_the_resource_is_two(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(span(attributes={"both": 1}, resource=Resource({"service.name": "s", "both": "x"})))
        assert sorted(k[:3] for k in keys(traces, "both")) == [
            ("both", "resource", ("string",)),
            ("both", "span", ("int",)),
        ]
        assert sorted(values(traces, "both")) == [("1", "int", 1), ("x", "string", 1)]


def test_values_are_told_apart_by_type_and_counted(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=50) as traces:
        several: list[Value] = [200, 200, "200", 2.5, True, 404, 404, 404, b"raw", None, ["list"]]
        for i, value in enumerate(several, 1):
            traces.add(span(1, i, attributes={"code": value, f"k{i % 2}": 0}))
        found = values(traces, "code")
        assert found[0] == ("404", "int", 3)
        assert found[1] == ("200", "int", 2)
        assert sorted(found[2:]) == [("2.5", "double", 1), ("200", "string", 1), ("true", "bool", 1)]
        assert values(traces, "code", "2") == [("200", "int", 2), ("2.5", "double", 1), ("200", "string", 1)]
        assert values(traces, "code", limit=1) == [("404", "int", 3)]
        assert values(traces, "missing") == []


def test_values_of_a_service_and_of_a_time(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(
            span(1, 1, service="a", attributes={"k": "x"}), span(1, 2, service="b", attributes={"k": "y"}, at=-5)
        )
        assert values(traces, "k", service="b") == [("y", "string", 1)]
        assert values(traces, "k", times=(NOW, NOW + 1)) == [("x", "string", 1)]
        assert values(traces, "service.name", "a") == [("a", "string", 1)]


def test_only_the_newest_segments_and_rows_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_SEGMENTS", 2)
    monkeypatch.setattr(completion, "_ROWS", 1)
    with Traces(tmp_path, segment_rows=2) as traces:
        for n in range(1, 7):
            traces.add(span(n, n, at=n, attributes={"n": n}))
        assert sorted(values(traces, "n")) == [("4", "int", 1), ("6", "int", 1)]
        assert {k[3] for k in keys(traces, "n") if k[0] == "n"} == {4}


@pytest.mark.parametrize("nasty", ["a'b", 'q"', "%", "_", "\\", "$1", "'; DROP TABLE spans_0; --", "é", "", "nul\0"])
def test_what_is_typed_never_becomes_code(tmp_path: Path, nasty: str) -> None:
    with Traces(tmp_path) as traces:
        traces.add(span(1, 1, attributes={nasty: nasty, "k": nasty}, service="plain"))
        traces.add(span(1, 2, attributes={"k": "other"}, service=f"s{nasty}"))
        assert nasty in {k[0] for k in keys(traces, nasty)}
        assert values(traces, nasty) == [(nasty, "string", 1)]
        assert (nasty, "string", 1) in values(traces, "k", nasty)
        assert values(traces, "k", service=f"s{nasty}") == [("other", "string", 1)]
        assert traces.rows("SELECT count(*) FROM spans_0") == [(2,)]


def test_hidden_keys_are_not_offered(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        message = proto.to_traces_data([span(attributes={"k": 1})])
        kept = message.resource_spans[0].scope_spans[0].spans[0].attributes
        kept.add(key="k").value.string_value = "last"
        traces.ingest.commit(traces.ingest.prepare([message.SerializeToString()]))
        assert keys(traces, "k") == [("k", "span", ("string",), 1)]
        assert values(traces, "k") == [("last", "string", 1)]
        assert traces.store.search_ids(query(attributes=(("k", "1"),)))[0] == []
