"""What the shop's services do for each other within one request.

Somewhere in here is the guilty one. Recommendations are slow, but only for some: when ``customer.tier`` is ``gold`` *and*
``cache.hit`` is ``false``, catalog's ``SELECT product_recommendations`` reads the whole purchase history and takes a second
instead of ten milliseconds. Neither attribute alone explains it, and no other span is to blame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AnyValue

from pilothouse.learn.shop.cluster import Failure, Work
from pilothouse.learn.shop.parts import Customer, postgres, redis

#: The operation that is slow, and the condition under which it is; for documentation and tests.
GUILTY_OPERATION: Final = "SELECT product_recommendations"
GUILTY_WHEN: Final = {"customer.tier": "gold", "cache.hit": False}

INVENTORY: Final = "shop.inventory.v1.Inventory"
_PAYMENT: Final = "shop.payment.v1.Payment"
_ATTEMPTS: Final = 3


def list_products(page: Work, customer: Customer) -> None:
    """Catalog's front-page products, usually from the cache."""
    with page.http("catalog", "GET", "/v1/products", {**customer.about, "catalog.page_size": 24}) as catalog:
        hit = catalog.rng.random() < 0.8
        redis(catalog, "GET", hit=hit)
        if not hit:
            sql = "SELECT * FROM products ORDER BY sold DESC LIMIT 24"
            postgres(catalog, "SELECT", "products", sql, (4, 18), rows=24)
        catalog.spend(1, 3)


def recommend(page: Work, customer: Customer) -> None:
    """Catalog's recommendations for one customer. Holds the guilty query."""
    with page.http("catalog", "GET", "/v1/recommendations", customer.about) as catalog:
        about: dict[str, AnyValue] = {**customer.about, "cache.hit": catalog.rng.random() < 0.6}
        redis(catalog, "GET", hit=about["cache.hit"] is True)
        catalog.tell(about)
        if not about["cache.hit"]:
            guilty = all(about[key] == value for key, value in GUILTY_WHEN.items())
            sql = "SELECT p.* FROM product_recommendations p JOIN purchases USING (product_id) WHERE customer_id = $1"
            time, rows = ((700, 1900), 18_000) if guilty else ((6, 20), 40)
            postgres(catalog, "SELECT", "product_recommendations", sql, time, rows=rows, about=about)
        catalog.spend(1, 3)


def show_cart(caller: Work, customer: Customer) -> None:
    """The customer's cart, its value as a key-value list."""
    with caller.http("cart", "GET", "/v1/carts/{id}", customer.about) as cart:
        redis(cart, "HGETALL", hit=True)
        total, count = round(cart.rng.uniform(0, 400), 2), cart.rng.randint(0, 6)
        cart.tell({"cart.value": {"currency": "EUR", "amount": total, "items": count}})


def check_stock(caller: Work, product: str) -> None:
    """How many of a product are left."""
    with caller.grpc("inventory", INVENTORY, "GetStock", {"product.id": product}) as stock:
        redis(stock, "GET", hit=True)
        stock.tell({"stock.available": stock.rng.randint(0, 250)})


def reserve(caller: Work, product: str) -> None:
    """Reserves one product; rarely there is a deadlock first, or nothing left.

    Raises:
        Failure: 409 when the product is out of stock.
    """
    with caller.grpc("inventory", INVENTORY, "Reserve", {"product.id": product}) as stock:
        if stock.rng.random() < 0.01:
            stock.note("deadlock detected", {"db.response.status_code": "40P01", "retry.attempt": 1})
            stock.spend(80, 160)
        sql = "UPDATE stock SET reserved = reserved + 1 WHERE product_id = $1"
        postgres(stock, "UPDATE", "stock", sql, (2, 12))
        if stock.rng.random() < 0.015:
            raise Failure(409, f"{product} is out of stock")


def charge(caller: Work, total: float) -> None:
    """Charges a card at a provider that is often busy: up to three attempts, with an event for each retry.

    Raises:
        Failure: 400 when the card is declined, 503 when every attempt failed.
    """
    about: Mapping[str, AnyValue] = {"payment.amount": total, "payment.currency": "EUR"}
    with caller.grpc("payment", _PAYMENT, "Charge", about) as payment:
        network = payment.rng.choice(("visa", "mastercard", "sepa"))
        with payment.step("charge card", about={"payment.network": network}) as work:
            backoff = 60.0
            for attempt in range(1, _ATTEMPTS + 1):
                if _attempt(work, attempt):
                    return
                if attempt < _ATTEMPTS:
                    retry: dict[str, AnyValue] = {
                        "retry.attempt": attempt,
                        "retry.backoff_ms": backoff,
                        "retry.reason": "gateway busy",
                    }
                    work.note("retry", retry)
                    work.spend(backoff * 0.8, backoff * 1.2)
                    backoff *= 2
            raise Failure(503, f"payment gateway busy, gave up after {_ATTEMPTS} attempts")


def _attempt(work: Work, attempt: int) -> bool:
    """One request to the payment provider, whose own spans we never see; false when it is worth another try."""
    about: dict[str, AnyValue] = {
        "http.request.method": "POST",
        "url.full": "https://api.psp.example/v2/charges",
        "server.address": "api.psp.example",
        "server.port": 443,
    }
    if attempt > 1:
        about["http.request.resend_count"] = attempt - 1
    luck = work.rng.random()
    with work.step("POST", SpanKind.CLIENT, about, scope="shop.http") as call:
        if luck < 0.12:
            call.spend(300, 800)
            call.tell({"http.response.status_code": 503})
            call.refuse("503", "gateway answered 503")
            return False
        call.spend(60, 240)
        declined = luck > 0.97
        call.tell({"http.response.status_code": 402 if declined else 201})
        if declined:
            call.refuse("402", "card declined")
    if declined:
        raise Failure(400, "card declined: insufficient funds")
    return True
