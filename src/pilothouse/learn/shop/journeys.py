"""What happens in the shop: a journey is one request or job and everything it sets off.

A journey starts at a given nanosecond and, queues included, lasts less than ``LONGEST_NS``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AnyValue

from pilothouse.learn.shop import dealings
from pilothouse.learn.shop.cluster import Cluster, Failure
from pilothouse.learn.shop.orders import Orders
from pilothouse.learn.shop.parts import postgres, redis, visit

#: No journey lasts longer, in nanoseconds; start them this long before now and no span ends in the future.
LONGEST_NS: Final = 8_000_000_000

_PRODUCTS: Final = ("lantern", "compass", "oilskin", "sextant", "hawser", "barometer", "logbook", "signal-flag")


class Shop:
    """The open shop. What happens next depends on the cluster's seed only."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._orders = Orders(cluster)
        journeys: tuple[tuple[int, Callable[[int], None]], ...] = (
            (36, self.browse),
            (26, self.look),
            (14, self.add_to_cart),
            (20, self.buy),
            (3, self.payment_webhook),
            (1, self.reconcile_stock),
        )
        self._weights, self._journeys = zip(*journeys, strict=True)

    def happen(self, at: int) -> int:
        """Lets one journey begin at nanosecond ``at``; returns how many traces came of it, 1 or 2."""
        journey: Callable[[int], None]
        (journey,) = self._cluster.rng.choices(self._journeys, self._weights)
        journey(at)
        return 2 if self._orders.check() else 1

    def browse(self, at: int) -> None:
        """The front page: products, recommendations and the cart, fetched at the same time."""
        with visit(self._cluster, "GET", "/", at) as (page, customer):
            with page.together() as branch:
                dealings.list_products(page, customer)
                branch()
                dealings.recommend(page, customer)
                branch()
                dealings.show_cart(page, customer)
            sections: dict[str, AnyValue] = {"page.template": "front", "page.sections": ("new", "for-you", "cart")}
            with page.step("render page", about=sections) as render:
                render.spend(2, 9)

    def look(self, at: int) -> None:
        """A product's page; one product in fifty is gone."""
        rng = self._cluster.rng
        product = rng.choice(_PRODUCTS)
        gone = rng.random() < 0.02
        with visit(self._cluster, "GET", "/products/{id}", at, {"product.id": product}) as (page, customer):
            with page.http("catalog", "GET", "/v1/products/{id}", {"product.id": product}) as catalog:
                sql = "SELECT * FROM products WHERE id = $1"
                postgres(catalog, "SELECT", "products", sql, (1, 5), rows=int(not gone))
                if gone:
                    raise Failure(404, f"there is no {product}")
            with page.together() as branch:
                dealings.check_stock(page, product)
                branch()
                dealings.recommend(page, customer)
            page.spend(1, 4)

    def add_to_cart(self, at: int) -> None:
        """Puts something into the cart; now and then the cart's Redis drops the connection."""
        rng = self._cluster.rng
        product = rng.choice(_PRODUCTS)
        item: dict[str, AnyValue] = {"product.id": product, "cart.quantity": rng.randint(1, 4)}
        with visit(self._cluster, "POST", "/cart/items", at, item) as (page, customer):
            with page.http("cart", "POST", "/v1/carts/{id}/items", {**customer.about, **item}) as cart:
                dealings.check_stock(cart, product)
                redis(cart, "HSET", reset=rng.random() < 0.02)
            page.spend(1, 3)

    def buy(self, at: int) -> None:
        """A checkout: reserve every item at once, charge with retries, and leave the rest to whoever reads the queue."""
        rng = self._cluster.rng
        items = rng.sample(_PRODUCTS, rng.randint(1, 5))
        prices = [round(rng.uniform(4, 220), 2) for _ in items]
        total, order_id = round(sum(prices), 2), f"o-{rng.getrandbits(32):08x}"
        order: dict[str, AnyValue] = {
            "order.id": order_id,
            "order.items": items,
            "order.prices": prices,
            "order.total": total,
            "order.gift": rng.random() < 0.1,
        }
        with visit(self._cluster, "POST", "/checkout", at) as (page, customer):
            with page.http("checkout", "POST", "/v1/orders", {**customer.about, **order}) as checkout:
                dealings.show_cart(checkout, customer)
                count: dict[str, AnyValue] = {"order.item_count": len(items)}
                with checkout.step("reserve items", about=count) as reserving, reserving.together() as branch:
                    for item in items:
                        branch()
                        dealings.reserve(reserving, item)
                with checkout.http("shipping", "POST", "/v1/quotes", {"shipping.country": customer.country}) as quote:
                    quote.spend(3, 25)
                    quote.tell({"shipping.price": round(rng.uniform(3, 19), 2), "shipping.express": rng.random() < 0.3})
                dealings.charge(checkout, total)
                postgres(checkout, "INSERT", "orders", "INSERT INTO orders (id, total) VALUES ($1, $2)", (2, 8))
                self._orders.place(checkout, order_id)
            page.spend(1, 4)

    def payment_webhook(self, at: int) -> None:
        """The payment provider calls back, in a trace of its own that we see only our part of."""
        rng = self._cluster.rng
        theirs = {
            "traceparent": f"00-{rng.getrandbits(128) or 1:032x}-{rng.getrandbits(64) or 1:016x}-01",
            "tracestate": f"psp=node:{rng.randint(1, 9)},gateway=t61rcWkgMzE",
        }
        route = "/webhooks/payment"
        about: dict[str, AnyValue] = {
            "http.request.method": "POST",
            "http.request.body.size": rng.randint(300, 900),
            "http.route": route,
            "url.path": route,
            "url.scheme": "https",
        }
        with self._cluster.receive("payment", f"POST {route}", SpanKind.SERVER, at, about, headers=theirs) as hook:
            signature = hashlib.sha256(theirs["traceparent"].encode()).digest()
            with hook.step("verify signature", about={"signature": signature, "signature.valid": True}) as step:
                step.spend(0.2, 0.6)
            postgres(hook, "UPDATE", "payments", "UPDATE payments SET state = $2 WHERE id = $1", (1, 5))
            hook.tell({"http.response.status_code": 204})

    def reconcile_stock(self, at: int) -> None:
        """A scheduled job that counts every shelf: a wide trace, with more events on one span than the SDK keeps."""
        rng = self._cluster.rng
        shelves = rng.randint(44, 90)
        about: dict[str, AnyValue] = {"job.name": "reconcile-stock", "job.shelves": shelves}
        work = self._cluster.receive("inventory", "reconcile-stock", SpanKind.INTERNAL, at, about, scope="shop.jobs")
        with work as job, job.together() as branch:
            for shelf in range(shelves):
                if shelf % 12 == 0:
                    branch()
                with job.step("count shelf", about={"shelf.id": shelf, "shelf.zone": "ABCD"[shelf % 4]}) as count:
                    postgres(count, "SELECT", "stock", "SELECT * FROM stock WHERE shelf_id = $1", (4, 30), rows=20)
                for _ in range(3):
                    job.note("item counted", {"shelf.id": shelf, "stock.difference": rng.randint(-1, 1)})
