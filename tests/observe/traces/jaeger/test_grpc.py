"""Both gRPC services through a real client: streams, errors, reflection and health."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from msgspec.structs import replace
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from tests.observe.traces.jaeger.memory import MS, T0, MemoryStore, S, make_context, make_span, shop, trace_id

from pilothouse.formats.jaeger.proto import from_message, to_timestamp
from pilothouse.formats.jaeger.protos import api_v2_query_pb2 as v2
from pilothouse.formats.jaeger.protos import api_v3_query_service_pb2 as v3
from pilothouse.formats.jaeger.protos import expression_v1_pb2 as expression
from pilothouse.formats.jaeger.translate import from_otlp
from pilothouse.formats.otlp.proto import from_traces_data
from pilothouse.kit.config import Config, Listen
from pilothouse.kit.errors import Overloaded, QueryTimeout
from pilothouse.observe.traces.adjust import standard
from pilothouse.observe.traces.jaeger.service import services
from pilothouse.observe.traces.model import Trace

_T = TypeVar("_T")
V2, V3 = "/jaeger.api_v2.QueryService/", "/jaeger.api_v3.QueryService/"
#: What Go's clients send for a time that is not set.
GO_ZERO = Timestamp(seconds=-62_135_596_800)


class Client:
    """Calls methods by name, as any gRPC client does."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def call(self, method: str, request: Message, answer: type[Message]) -> Any:
        ask_for: Any = self._channel.unary_unary(method, _encode, answer.FromString)
        return await ask_for(request)

    async def stream(self, method: str, request: Message | bytes, answer: type[Message]) -> list[Any]:
        return [message async for message in self.open(method, request, answer)]

    def open(self, method: str, request: Message | bytes, answer: type[Message]) -> Any:
        ask_for: Any = self._channel.unary_stream(method, _encode, answer.FromString)
        return ask_for(request)

    async def talk(self, method: str, requests: list[Message], answer: type[Message]) -> list[Any]:
        ask_for: Any = self._channel.stream_stream(method, _encode, answer.FromString)
        return [message async for message in ask_for(iter(requests))]


def _encode(request: Message | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


def ask(store: MemoryStore, question: Callable[[Client], Awaitable[_T]]) -> _T:
    """Serves ``store`` on any free port and asks one question."""

    async def run() -> _T:
        config = replace(Config(), listen=Listen(jaeger_http="", jaeger_grpc="127.0.0.1:0"))
        (listener,) = services(make_context(config), store)
        await listener.start()
        try:
            port = listener.listener().address.rpartition(":")[2]  # type: ignore[attr-defined]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return await asyncio.wait_for(question(Client(channel)), 30)
        finally:
            await asyncio.wait_for(listener.stop(), 20)

    return asyncio.run(run())


def refusal(store: MemoryStore, question: Callable[[Client], Awaitable[object]]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        ask(store, question)
    return caught.value.code(), caught.value.details() or ""


def v3_query(**fields: Any) -> v3.TraceQueryParameters:
    return v3.TraceQueryParameters(
        start_time_min=to_timestamp(T0 - S), start_time_max=to_timestamp(T0 + 60 * S), **fields
    )


def adjusted(store: MemoryStore, number: int) -> Trace:
    found = store.trace(trace_id(number))
    assert found is not None
    return standard(found)


def test_v2_services_and_operations() -> None:
    async def question(client: Client) -> tuple[Any, Any]:
        return (
            await client.call(V2 + "GetServices", v2.GetServicesRequest(), v2.GetServicesResponse),
            await client.call(V2 + "GetOperations", v2.GetOperationsRequest(service="bank"), v2.GetOperationsResponse),
        )

    found, operations = ask(shop(), question)
    assert list(found.services) == ["bank", "front", "shop"]
    assert list(operations.operationNames) == ["charge"]
    assert [(o.name, o.span_kind) for o in operations.operations] == [("charge", "")]


@pytest.mark.parametrize("raw_id", [trace_id(1), trace_id(1)[8:]])
def test_v2_trace(raw_id: bytes) -> None:
    store = shop()
    request = v2.GetTraceRequest(trace_id=raw_id, start_time=GO_ZERO, end_time=GO_ZERO)
    chunks = ask(store, lambda c: c.stream(V2 + "GetTrace", request, v2.SpansResponseChunk))
    assert [from_message(s) for chunk in chunks for s in chunk.spans] == from_otlp(adjusted(store, 1).spans)
    assert store.lookups[0] == (trace_id(1), None, None)


def test_v2_search() -> None:
    store = shop()
    query = v2.TraceQueryParameters(
        service_name="front",
        operation_name="GET /buy",
        tags={"http.status_code": "500"},
        duration_min=Duration(nanos=MS),
        duration_max=Duration(seconds=2),
        start_time_min=to_timestamp(T0),
        start_time_max=to_timestamp(T0 + S),
        search_depth=7,
    )
    chunks = ask(store, lambda c: c.stream(V2 + "FindTraces", v2.FindTracesRequest(query=query), v2.SpansResponseChunk))
    assert sum(len(chunk.spans) for chunk in chunks) == 4
    (asked,) = store.queries
    assert (asked.start, asked.end, asked.duration_min, asked.duration_max) == (T0, T0 + S, MS, 2 * S)
    assert (asked.service, asked.operation, asked.attributes, asked.limit) == (
        "front", "GET /buy", (("http.status_code", "500"),), 7,
    )  # fmt: skip


def test_v2_search_without_anything_looks_back() -> None:
    store = shop()
    request = v2.FindTracesRequest(query=v2.TraceQueryParameters(start_time_min=GO_ZERO, start_time_max=GO_ZERO))
    chunks = ask(store, lambda c: c.stream(V2 + "FindTraces", request, v2.SpansResponseChunk))
    assert [chunk.spans[0].trace_id for chunk in chunks] == [trace_id(2), trace_id(1)]
    assert store.queries[0].start == T0 + 60 * S - Config().query.lookback
    assert store.queries[0].limit == 100


def test_v2_dependencies() -> None:
    request = v2.GetDependenciesRequest(start_time=to_timestamp(T0), end_time=to_timestamp(T0 + S))
    found = ask(shop(), lambda c: c.call(V2 + "GetDependencies", request, v2.GetDependenciesResponse))
    assert [(d.parent, d.child, d.call_count) for d in found.dependencies] == [
        ("front", "shop", 3),
        ("shop", "bank", 2),
    ]


def test_v3_services_and_operations() -> None:
    async def question(client: Client) -> tuple[Any, Any]:
        return (
            await client.call(V3 + "GetServices", v3.GetServicesRequest(), v3.GetServicesResponse),
            await client.call(V3 + "GetOperations", v3.GetOperationsRequest(service="bank"), v3.GetOperationsResponse),
        )

    found, operations = ask(shop(), question)
    assert list(found.services) == ["bank", "front", "shop"]
    assert [(o.name, o.span_kind) for o in operations.operations] == [("charge", "internal")]


@pytest.mark.parametrize("text", ["1", trace_id(1).hex(), "AAAAAAAAAAAAAAAAAAAAAQ=="])
def test_v3_trace(text: str) -> None:
    store = shop()
    chunks = ask(store, lambda c: c.stream(V3 + "GetTrace", v3.GetTraceRequest(trace_id=text), TracesData))
    found = [span for chunk in chunks for span in from_traces_data(chunk)]
    assert sorted(found, key=lambda s: s.start) == list(adjusted(store, 1).spans)


def test_v3_search_and_filter() -> None:
    store = shop()
    term = expression.Expression
    call = expression.Call(
        op="eq",
        args=[
            term(field=expression.FieldReference(name="service", level="resource")),
            term(scalar=expression.Scalar(value="shop")),
        ],
    )

    async def question(client: Client) -> list[Any]:
        plain = v3.FindTracesRequest(query=v3_query(attributes={"error": "true"}))
        filtered = v3.FindTracesRequest(query=v3_query(filter=call))
        return [await client.stream(V3 + "FindTraces", request, TracesData) for request in (plain, filtered)]

    for chunks in ask(store, question):
        assert {span.trace_id for chunk in chunks for span in from_traces_data(chunk)} == {trace_id(1)}


def test_v3_summaries_come_in_chunks() -> None:
    store = MemoryStore([make_span(n, trace=n, start=n) for n in range(1, 151)])
    request = v3.FindTraceSummariesRequest(query=v3_query(search_depth=130))
    chunks = ask(store, lambda c: c.stream(V3 + "FindTraceSummaries", request, v3.FindTraceSummariesResponse))
    assert [len(chunk.summaries) for chunk in chunks] == [100, 30]
    first = chunks[0].summaries[0]
    assert (first.trace_id, first.min_start_time_unix_nano) == (trace_id(150).hex(), T0 + 150)
    assert [(s.name, s.span_count) for s in first.services] == [("shop", 1)]


def test_v3_dependencies() -> None:
    request = v3.GetDependenciesRequest(start_time=to_timestamp(T0), end_time=to_timestamp(T0 + S))
    found = ask(shop(), lambda c: c.call(V3 + "GetDependencies", request, v3.DependenciesResponse))
    assert [(d.parent, d.child, d.call_count) for d in found.dependencies] == [
        ("front", "shop", 3),
        ("shop", "bank", 2),
    ]


def test_chunks_are_small_and_those_of_one_trace_follow_each_other() -> None:
    """A default client takes 4 MiB; one span may be larger than a chunk, and a trace much larger."""
    text = "x" * 400_000
    spans = [make_span(n, trace=1 + n % 2, start=n, attributes={"t": text}) for n in range(20)]
    request = v3.FindTracesRequest(query=v3_query())
    chunks = ask(MemoryStore(spans), lambda c: c.stream(V3 + "FindTraces", request, TracesData))
    assert len(chunks) >= 8
    assert all(chunk.ByteSize() <= 1 << 20 for chunk in chunks)
    found = [span for chunk in chunks for span in from_traces_data(chunk)]
    assert [s.trace_id for s in found] == [trace_id(2)] * 10 + [trace_id(1)] * 10
    assert len({s.span_id for s in found}) == 20


@pytest.mark.parametrize(
    ("method", "request_", "code", "text"),
    [
        (V2 + "GetTrace", v2.GetTraceRequest(), "INVALID_ARGUMENT", "uninitialized TraceID is not allowed"),
        (V2 + "GetTrace", v2.GetTraceRequest(trace_id=bytes(16)), "INVALID_ARGUMENT", "uninitialized TraceID"),
        (V2 + "GetTrace", v2.GetTraceRequest(trace_id=b"short"), "INVALID_ARGUMENT", "a trace id has 16 bytes, not 5"),
        (V2 + "GetTrace", v2.GetTraceRequest(trace_id=trace_id(99)), "NOT_FOUND", "trace not found"),
        (V2 + "FindTraces", v2.FindTracesRequest(), "INVALID_ARGUMENT", "missing query"),
        (
            V2 + "FindTraces",
            v2.FindTracesRequest(query=v2.TraceQueryParameters(search_depth=-1)),
            "INVALID_ARGUMENT",
            "search_depth: -1 is not within 0 and 10000",
        ),
        (
            V2 + "FindTraces",
            v2.FindTracesRequest(query=v2.TraceQueryParameters(start_time_min=Timestamp(seconds=2**40))),
            "INVALID_ARGUMENT",
            "start_time_min: the time is not within",
        ),
        (V2 + "GetDependencies", v2.GetDependenciesRequest(), "INVALID_ARGUMENT", "StartTime and EndTime must be"),
        (
            V2 + "ArchiveTrace",
            v2.ArchiveTraceRequest(trace_id=trace_id(1)),
            "INTERNAL",
            "failed to archive trace: archive span storage was not configured",
        ),
        (
            V2 + "GetOperations",
            v2.GetOperationsRequest(span_kind="x"),
            "INVALID_ARGUMENT",
            "unsupported span kind: 'x'",
        ),
        (V3 + "GetTrace", v3.GetTraceRequest(trace_id="xyz"), "INVALID_ARGUMENT", "malformed trace ID: "),
        (V3 + "GetTrace", v3.GetTraceRequest(trace_id="99"), "NOT_FOUND", "No traces found"),
        (V3 + "FindTraces", v3.FindTracesRequest(), "INVALID_ARGUMENT", "missing query"),
        (
            V3 + "FindTraces",
            v3.FindTracesRequest(query=v3.TraceQueryParameters()),
            "INVALID_ARGUMENT",
            "start time min and max are required parameters",
        ),
        (
            V3 + "FindTraceSummaries",
            v3.FindTraceSummariesRequest(query=v3_query(filter=expression.Call(op="like"))),
            "INVALID_ARGUMENT",
            "query.filter.op: unknown operator 'like'",
        ),
        (
            V3 + "FindTraces",
            v3.FindTracesRequest(query=v3_query(filter=expression.Call(op="eq"), service_name="s")),
            "INVALID_ARGUMENT",
            "query.filter excludes query.service_name",
        ),
        (
            V3 + "GetDependencies",
            v3.GetDependenciesRequest(),
            "INVALID_ARGUMENT",
            "startTime and endTime must be non-zero",
        ),
    ],
)
def test_refusals(method: str, request_: Message, code: str, text: str) -> None:
    found, details = refusal(shop(), lambda c: c.stream(method, request_, TracesData))
    assert (found.name, details[: len(text)]) == (code, text)


def test_bytes_that_are_no_request() -> None:
    code, details = refusal(shop(), lambda c: c.stream(V3 + "FindTraces", b"\xff\xff", TracesData))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "jaeger.api_v3.FindTracesRequest" in details


def test_what_the_store_refuses_has_its_code() -> None:
    class Broken(MemoryStore):
        def services(self) -> Any:
            raise Overloaded("too much")

        def find(self, query: Any) -> Any:
            yield Trace(trace_id(1), (make_span(1),))
            raise QueryTimeout("too slow")

    code, _ = refusal(Broken(), lambda c: c.call(V2 + "GetServices", v2.GetServicesRequest(), v2.GetServicesResponse))
    assert code is grpc.StatusCode.UNAVAILABLE
    request = v3.FindTracesRequest(query=v3_query())
    assert refusal(Broken(), lambda c: c.stream(V3 + "FindTraces", request, TracesData)) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "too slow",
    )


def test_reflection_names_every_service_and_knows_its_messages() -> None:
    method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    ask_for = reflection_pb2.ServerReflectionRequest

    async def question(client: Client) -> list[Any]:
        requests: list[Message] = [ask_for(list_services="")]
        requests += [ask_for(file_containing_symbol=f"jaeger.{name}.QueryService") for name in ("api_v2", "api_v3")]
        return await client.talk(method, requests, reflection_pb2.ServerReflectionResponse)

    listed, *files = ask(shop(), question)
    assert {s.name for s in listed.list_services_response.service} == {
        "jaeger.api_v2.QueryService",
        "jaeger.api_v3.QueryService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    for answer in files:
        assert any(b"QueryService" in raw for raw in answer.file_descriptor_response.file_descriptor_proto)


def test_health() -> None:
    check, answer = "/grpc.health.v1.Health/Check", health_pb2.HealthCheckResponse

    async def question(client: Client) -> list[Any]:
        names = ("", "jaeger.api_v2.QueryService", "jaeger.api_v3.QueryService")
        return [await client.call(check, health_pb2.HealthCheckRequest(service=name), answer) for name in names]

    assert [state.status for state in ask(shop(), question)] == [answer.SERVING] * 3
    unknown = health_pb2.HealthCheckRequest(service="other")
    assert refusal(shop(), lambda c: c.call(check, unknown, answer))[0] is grpc.StatusCode.NOT_FOUND


def test_watching_health_ends_with_the_listener() -> None:
    async def run() -> list[int]:
        config = replace(Config(), listen=Listen(jaeger_http="", jaeger_grpc="127.0.0.1:0"))
        (listener,) = services(make_context(config), shop())
        await listener.start()
        address = listener.listener().address  # type: ignore[attr-defined]
        async with grpc.aio.insecure_channel(address) as channel:
            client, method = Client(channel), "/grpc.health.v1.Health/Watch"
            request, answer = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
            known = client.open(method, request(service="jaeger.api_v3.QueryService"), answer)
            unknown = client.open(method, request(service="other"), answer)
            seen = [(await known.read()).status, (await unknown.read()).status]
            # Far within the time that running calls have to finish.
            await asyncio.wait_for(listener.stop(), 5)
            return [*seen, (await known.read()).status]

    answer = health_pb2.HealthCheckResponse
    assert asyncio.run(run()) == [answer.SERVING, answer.SERVICE_UNKNOWN, answer.NOT_SERVING]
