"""What happens to an order after the customer has paid: three services read it from a queue, each at its own pace.

The mailer and shipping continue the order's trace (the message is their parent) and link to it; the fraud check reads in
batches, so its spans belong to a trace of their own with a link to every order in the batch.
"""

from __future__ import annotations

import smtplib
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from opentelemetry.trace import Link, SpanContext, SpanKind
from opentelemetry.util.types import AnyValue

from pilothouse.learn.shop.cluster import Cluster, Work
from pilothouse.learn.shop.dealings import INVENTORY
from pilothouse.learn.shop.parts import kafka, postgres

_TOPIC: Final = "order.placed"
_BATCH: Final = 4
_DELIVERIES: Final = 3
_MILLISECOND: Final = 1_000_000


class Orders:
    """The topic ``order.placed``: its offset, and the orders the fraud check has not read."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._offset = 0
        self._unchecked: deque[tuple[SpanContext, int]] = deque()

    def place(self, checkout: Work, order_id: str) -> None:
        """Publishes an order and lets the mailer and shipping read it."""
        self._offset += 1
        rng = self._cluster.rng
        about = {
            **kafka("send", _TOPIC),
            "messaging.destination.partition.id": str(self._offset % 6),
            "messaging.message.body.size": rng.randint(400, 2200),
            "order.id": order_id,
        }
        with checkout.step(f"send {_TOPIC}", SpanKind.PRODUCER, about, scope="shop.kafka") as send:
            send.spend(1, 6)
        self._unchecked.append((send.span_context, send.now))
        message: dict[str, AnyValue] = {"messaging.kafka.offset": self._offset, "order.id": order_id}
        self._mail(send, send.now + rng.randint(5, 400) * _MILLISECOND, message)
        self._ship(send, send.now + rng.randint(5, 900) * _MILLISECOND, message)

    def check(self) -> bool:
        """Lets the fraud check read a batch, if one is full; tells whether it did, which makes a trace."""
        if len(self._unchecked) < _BATCH:
            return False
        rng = self._cluster.rng
        batch = [self._unchecked.popleft() for _ in range(_BATCH)]
        at = max(sent for _, sent in batch) + rng.randint(20, 300) * _MILLISECOND
        links = [Link(order, {"messaging.kafka.offset": self._offset - i}) for i, (order, _) in enumerate(batch)]
        about = {**kafka("receive", _TOPIC, "fraud-check"), "messaging.batch.message_count": _BATCH}
        with self._cluster.receive(
            "fraud-check", f"receive {_TOPIC}", SpanKind.CONSUMER, at, about, links=links, scope="shop.kafka"
        ) as receive:
            for _ in batch:
                score = rng.random() ** 3
                features = (rng.random(), rng.gauss(0, 1), -score)
                with receive.step("score order", about={"fraud.model": "v7", "fraud.features": features}) as step:
                    step.spend(8, 60)
                    step.tell({"fraud.score": score, "fraud.suspicious": score > 0.8, "fraud.rules": (3, 14, 15)})
                    if score > 0.8:
                        step.note("order held", {"fraud.reason": "velocity", "fraud.score": score})
        return True

    def _mail(self, sent: Work, at: int, message: Mapping[str, AnyValue]) -> None:
        """Mails a confirmation; when the mail server hangs up, the message is delivered again a little later."""
        for delivery in range(1, _DELIVERIES + 1):
            about = {**kafka("process", _TOPIC, "mailer"), **message, "messaging.delivery_attempt": delivery}
            link = Link(sent.span_context, {"messaging.delivery_attempt": delivery})
            with (
                suppress(smtplib.SMTPServerDisconnected),
                self._cluster.receive(
                    "mailer",
                    f"process {_TOPIC}",
                    SpanKind.CONSUMER,
                    at,
                    about,
                    headers=sent.headers,
                    links=[link],
                    scope="shop.kafka",
                ) as process,
            ):
                with process.step("render mail", about={"mail.template": "order-confirmation"}) as render:
                    render.spend(2, 8)
                server: dict[str, AnyValue] = {"server.address": "smtp.example", "server.port": 587}
                with process.step("SMTP send", SpanKind.CLIENT, server, scope="shop.smtp") as send:
                    send.spend(20, 120)
                    at = send.now + 250 * _MILLISECOND
                    if send.rng.random() < 0.04:
                        raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
                return

    def _ship(self, sent: Work, at: int, message: Mapping[str, AnyValue]) -> None:
        """Orders a parcel and takes the goods off the shelf."""
        with self._cluster.receive(
            "shipping",
            f"process {_TOPIC}",
            SpanKind.CONSUMER,
            at,
            {**kafka("process", _TOPIC, "shipping"), **message},
            headers=sent.headers,
            links=[Link(sent.span_context)],
            scope="shop.kafka",
        ) as process:
            postgres(process, "INSERT", "parcels", "INSERT INTO parcels (order_id) VALUES ($1)", (2, 10))
            with process.grpc("inventory", INVENTORY, "Commit", {"order.id": message["order.id"]}) as commit:
                commit.spend(2, 9)
