"""Delivery loses nothing, says little, and gives up only when told to or when trying again cannot help."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from pilothouse.kit.clock import SECOND, ManualClock
from pilothouse.kit.errors import InvalidInput, ServerUnreachable, Unauthorized
from pilothouse.learn.shop.cluster import Cluster
from pilothouse.learn.shop.delivery import Delivery, Outbox
from pilothouse.learn.shop.journeys import Shop


class Flaky(SpanExporter):
    """Fails ``failures`` times in the exporter's manner, then takes everything."""

    def __init__(self, failures: int, log: tuple[object, ...] = ()) -> None:
        self.failures, self.log = failures, log
        self.batches: list[list[ReadableSpan]] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.failures:
            self.failures -= 1
            logging.getLogger("opentelemetry.exporter.test").error(
                *(self.log or ("Transient: %s", "Connection refused"))
            )
            return SpanExportResult.FAILURE
        self.batches.append(list(spans))
        return SpanExportResult.SUCCESS


class TickingStop(threading.Event):
    """A stop whose waits cost no time but are seen by the clock."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.advance(int((timeout or 0) * SECOND))
        return self.is_set()


def deliver(exporter: Flaky, patience: int | None = None, *, stopped: bool = False) -> tuple[list[str], Outbox, int]:
    clock = ManualClock()
    stop = TickingStop(clock)
    if stopped:
        stop.set()
    outbox, said = Outbox(), list[str]()
    shop = Shop(Cluster(1, 0, outbox))
    for _ in range(80):
        shop.happen(10**18)
    delivery = Delivery(exporter, outbox, "http://there:1", clock, stop, said.append, patience)
    try:
        delivery.flush()
    finally:
        delivery.close()
    return said, outbox, delivery.sent


def test_batches_are_of_one_service_and_lose_nothing() -> None:
    exporter = Flaky(0)
    said, outbox, sent = deliver(exporter)
    assert said == []
    assert (outbox.waiting, sent) == (0, sum(len(batch) for batch in exporter.batches))
    assert all(len({s.resource.attributes["service.name"] for s in batch}) == 1 for batch in exporter.batches)
    assert max(len(batch) for batch in exporter.batches) <= 512


def test_an_absent_server_is_mentioned_once_and_its_return_once() -> None:
    said, outbox, sent = deliver(Flaky(40))
    assert len(said) == 2
    assert "nobody listens there" in said[0]
    assert "back after 80 s" in said[1]
    assert outbox.waiting == 0
    assert sent > 500


def test_patience_ends() -> None:
    with pytest.raises(ServerUnreachable, match="pilothouse up"):
        deliver(Flaky(10_000), patience=15 * SECOND)


def test_a_stop_ends_the_waiting_and_keeps_count_of_the_rest() -> None:
    said, outbox, sent = deliver(Flaky(10_000), stopped=True)
    assert len(said) == 1
    assert sent == 0
    assert outbox.waiting > 500


def test_what_cannot_get_better_is_an_error_at_once() -> None:
    with pytest.raises(Unauthorized, match="TOKEN"):
        deliver(Flaky(9, ("Failed to export %s batch code: %s, reason: %s", "spans", 401, "Unauthorized")))
    with pytest.raises(InvalidInput, match="--protocol"):
        deliver(Flaky(9, ("Failed to export %s batch code: %s, reason: %s", "spans", 404, "Not Found")))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("('Connection aborted.', RemoteDisconnected('Remote end closed'))", "Remote end closed"),
        ("HTTPSConnectionPool(host='h', port=1): (SSLError(1, '[SSL] self-signed'))", "[SSL] self-signed"),
        ("last error: UNAVAILABLE: ipv4:h:1: Socket closed", "UNAVAILABLE: ipv4:h:1: Socket closed"),
        ("<urlopen error [Errno 111] Connection refused>", "nobody listens there"),
    ],
)
def test_the_reason_is_told_in_few_words(said: str, reason: str) -> None:
    (first, _), _, _ = deliver(Flaky(1, ("Transient error %s encountered", said)))
    assert f"takes no spans ({reason})" in first


def test_the_exporters_log_is_silent_and_restored(capfd: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("opentelemetry.exporter")
    before = (log.propagate, log.level, list(log.handlers))
    deliver(Flaky(3))
    assert (log.propagate, log.level, list(log.handlers)) == before
    assert capfd.readouterr().err == ""
