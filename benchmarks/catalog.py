"""The world that the generated spans come from: services, their operations, and what each kind of span carries.

This is data. Attribute names follow the OpenTelemetry semantic conventions, old and new side by side, because a real store
sees both. ``spans.py`` turns it into bytes.

A value is fixed when the template is built (``Pick``) or patched anew for every span (``Digits``, ``Int``, ``Hex``,
``Number``), so that high-cardinality values are not repeated from template to template and a store cannot compress them away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Scalar = str | bool | int | float | bytes | list[object] | dict[str, object] | None


@dataclass(frozen=True)
class Pick:
    """One of ``values``, chosen once per template span; repeat a value to make it likelier."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Digits:
    """``prefix`` + a number below ``cardinality``, zero-padded to ``width``, + ``suffix``; new for every span."""

    prefix: str
    width: int
    cardinality: int
    suffix: str = ""


@dataclass(frozen=True)
class Int:
    """An integer in [low, high), new for every span. Both must need three varint bytes: 16,384 to 2,097,151."""

    low: int
    high: int


@dataclass(frozen=True)
class Hex:
    """``width`` random hex digits, new for every span: request ids and the like."""

    width: int


@dataclass(frozen=True)
class Number:
    """A double in [low, high), rounded to two decimals, new for every span."""

    low: float
    high: float


Spec = Pick | Digits | Int | Hex | Number
KeySet = tuple[tuple[str, Spec], ...]


def _pick(*values: Scalar) -> Pick:
    return Pick(values)


_USERS: Final = Digits("user-", 6, 50_000)
_PORT: Final = Int(32_768, 61_000)
_SIZE: Final = Int(16_384, 400_000)
_METHOD: Final = _pick("GET", "GET", "GET", "POST", "PUT", "DELETE")
_AGENT: Final = _pick(
    "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "okhttp/4.12.0",
    "python-requests/2.32.3",
)

#: What a span of each kind carries: 30 sets, about ten keys each.
KEY_SETS: Final[dict[str, KeySet]] = {
    "http_server": (
        ("http.request.method", _METHOD),
        ("url.scheme", _pick("https")),
        ("url.path", Digits("/api/v2/orders/", 7, 2_000_000)),
        ("http.route", _pick("/api/v2/orders/{id}", "/api/v2/carts/{id}", "/api/v2/products/{id}")),
        ("http.response.status_code", _pick(200, 200, 200, 200, 200, 201, 204, 304, 404)),
        ("server.address", _pick("shop.example.com")),
        ("client.address", Digits("10.24.7.", 3, 250)),
        ("network.protocol.version", _pick("1.1", "2")),
        ("user_agent.original", _AGENT),
        ("enduser.id", _USERS),
    ),
    "http_server_old": (
        ("http.method", _METHOD),
        ("http.scheme", _pick("http")),
        ("http.target", Digits("/cart?session=", 7, 900_000)),
        ("http.status_code", _pick(200, 200, 200, 200, 302, 404)),
        ("http.flavor", _pick("1.1")),
        ("http.user_agent", _AGENT),
        ("net.host.name", _pick("frontend", "frontend-canary")),
        ("net.host.port", _pick(8080)),
        ("net.peer.ip", _pick("10.1.4.17", "10.1.9.3", "10.2.0.44")),
        ("net.peer.port", _PORT),
    ),
    "http_client": (
        ("http.request.method", _METHOD),
        ("url.full", Digits("http://inventory.shop.svc.cluster.local:8080/stock/", 7, 300_000)),
        ("server.address", _pick("inventory.shop.svc.cluster.local", "pricing.shop.svc.cluster.local")),
        ("server.port", _pick(8080)),
        ("http.response.status_code", _pick(200, 200, 200, 200, 404)),
        ("network.protocol.name", _pick("http")),
        ("network.protocol.version", _pick("1.1")),
        ("network.peer.address", _pick("10.96.3.14", "10.96.77.2", "10.96.120.9")),
        ("network.peer.port", _pick(8080)),
        ("http.request.resend_count", _pick(0, 0, 0, 1)),
    ),
    "http_client_old": (
        ("http.method", _METHOD),
        ("http.url", Digits("https://api.partner.example/v1/quotes/", 7, 400_000)),
        ("http.status_code", _pick(200, 200, 200, 429)),
        ("http.response_content_length", _SIZE),
        ("net.peer.name", _pick("api.partner.example")),
        ("net.peer.port", _pick(443)),
        ("net.transport", _pick("ip_tcp")),
        ("thread.id", _pick(*range(20, 60))),
        ("thread.name", _pick(*(f"http-nio-8080-exec-{i}" for i in range(1, 33)))),
        ("peer.service", _pick("partner-api")),
    ),
    "grpc_server": (
        ("rpc.system", _pick("grpc")),
        ("rpc.service", _pick("shop.v1.CartService", "shop.v1.CatalogService", "shop.v1.CheckoutService")),
        ("rpc.method", _pick("GetCart", "AddItem", "ListProducts", "GetProduct", "PlaceOrder")),
        ("rpc.grpc.status_code", _pick(0, 0, 0, 0, 0, 5, 14)),
        ("network.peer.address", _pick("10.42.1.8", "10.42.2.31", "10.42.3.19")),
        ("network.peer.port", _PORT),
        ("network.transport", _pick("tcp")),
        ("app.user.id", _USERS),
        ("app.cart.items.count", _pick(*range(12))),
        ("app.synthetic_request", _pick(False, False, False, True)),
    ),
    "grpc_client": (
        ("rpc.system", _pick("grpc")),
        ("rpc.service", _pick("shop.v1.CartService", "shop.v1.CatalogService", "shop.v1.CheckoutService")),
        ("rpc.method", _pick("GetCart", "AddItem", "ListProducts", "GetProduct", "PlaceOrder")),
        ("rpc.grpc.status_code", _pick(0, 0, 0, 0, 0, 14)),
        ("server.address", _pick("cart", "catalog", "checkout")),
        ("server.port", _pick(9555, 9556, 9557)),
        ("network.transport", _pick("tcp")),
        ("rpc.request.metadata.x-tenant", _pick(["acme"], ["globex"], ["initech"])),
        ("retry.attempt", _pick(0, 0, 0, 0, 1)),
        ("deadline.left_ms", Number(1.0, 1000.0)),
    ),
    "db_postgres": (
        ("db.system", _pick("postgresql")),
        ("db.name", _pick("orders", "catalog")),
        ("db.user", _pick("app_rw", "app_ro")),
        (
            "db.statement",
            _pick(
                "SELECT id, status, total_cents FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT $2",
                "INSERT INTO orders (id, customer_id, status, total_cents) VALUES ($1, $2, $3, $4) RETURNING id",
                "UPDATE order_items SET quantity = $1 WHERE order_id = $2 AND sku = $3",
            ),
        ),
        ("db.operation", _pick("SELECT", "INSERT", "UPDATE")),
        ("db.sql.table", _pick("orders", "order_items", "customers")),
        ("server.address", _pick("pg-primary.data.svc", "pg-replica-0.data.svc", "pg-replica-1.data.svc")),
        ("server.port", _pick(5432)),
        ("db.rows_affected", _pick(*range(25))),
        ("db.connection.id", Int(16_384, 90_000)),
    ),
    "db_mysql": (
        ("db.system.name", _pick("mysql")),
        ("db.namespace", _pick("payments")),
        ("db.query.text", _pick("SELECT * FROM ledger WHERE account = ?", "INSERT INTO ledger VALUES (?, ?, ?)")),
        ("db.query.summary", _pick("SELECT ledger", "INSERT ledger")),
        ("db.collection.name", _pick("ledger", "refunds")),
        ("db.response.returned_rows", _pick(0, 1, 1, 1, 10)),
        ("server.address", _pick("mysql.data.svc")),
        ("server.port", _pick(3306)),
        ("pool.name", _pick("hikari-1", "hikari-2")),
        ("pool.wait_ms", Number(0.0, 9.0)),
    ),
    "redis": (
        ("db.system", _pick("redis")),
        ("db.statement", Digits("HGET cart:", 6, 50_000, " items")),
        ("db.operation", _pick("HGET", "HSET", "EXPIRE")),
        ("db.redis.database_index", _pick(0, 0, 1)),
        ("net.peer.name", _pick("valkey-cart")),
        ("net.peer.port", _pick(6379)),
        ("net.transport", _pick("ip_tcp")),
        ("cache.hit", _pick(True, True, False)),
        ("cache.ttl_s", _pick(60, 300, 3600)),
        ("net.sock.peer.addr", _pick("10.96.44.3")),
    ),
    "mongodb": (
        ("db.system", _pick("mongodb")),
        ("db.name", _pick("reviews")),
        ("db.operation", _pick("find", "insert", "aggregate")),
        ("db.mongodb.collection", _pick("reviews", "ratings")),
        ("db.statement", _pick('{"find":"reviews","filter":{"sku":"?"}}', '{"aggregate":"ratings","pipeline":"?"}')),
        ("net.peer.name", _pick("mongo-0", "mongo-1", "mongo-2")),
        ("net.peer.port", _pick(27017)),
        ("db.mongodb.returned", _pick(*range(40))),
        ("db.mongodb.request_id", Int(16_384, 2_000_000)),
        ("app.sku", Digits("SKU-", 5, 20_000)),
    ),
    "elasticsearch": (
        ("db.system", _pick("elasticsearch")),
        ("db.operation", _pick("search", "msearch")),
        ("url.full", _pick("http://search-es:9200/products/_search", "http://search-es:9200/_msearch")),
        ("db.elasticsearch.path_parts.index", _pick("products", "products-v2")),
        ("http.request.method", _pick("POST")),
        ("http.response.status_code", _pick(200)),
        (
            "search.query",
            _pick("red shoes", "lamp", "usb c cable", "tent", "coffee grinder", "rain jacket", "bike light"),
        ),
        ("search.hits", _pick(*range(120))),
        ("search.took_ms", Number(0.5, 80.0)),
        ("search.shards", _pick(5, 12)),
    ),
    "kafka_producer": (
        ("messaging.system", _pick("kafka")),
        ("messaging.operation", _pick("publish")),
        ("messaging.destination.name", _pick("orders", "shipments", "audit")),
        ("messaging.kafka.destination.partition", _pick(*range(12))),
        ("messaging.kafka.message.offset", Int(100_000, 2_000_000)),
        ("messaging.kafka.message.key", _USERS),
        ("messaging.message.body.size", _pick(412, 630, 988, 1204)),
        ("messaging.client_id", _pick("producer-1", "producer-2", "producer-3")),
        ("server.address", _pick("kafka-0.kafka", "kafka-1.kafka", "kafka-2.kafka")),
        ("server.port", _pick(9092)),
    ),
    "kafka_consumer": (
        ("messaging.system", _pick("kafka")),
        ("messaging.operation", _pick("process")),
        ("messaging.destination.name", _pick("orders", "shipments", "audit")),
        ("messaging.consumer.group.name", _pick("accounting", "fraud", "shipping")),
        ("messaging.kafka.source.partition", _pick(*range(12))),
        ("messaging.kafka.message.offset", Int(100_000, 2_000_000)),
        ("messaging.kafka.consumer.lag", _pick(*range(60))),
        ("messaging.batch.message_count", _pick(1, 1, 10, 50)),
        ("messaging.message.redelivered", _pick(False, False, False, True)),
        ("thread.name", _pick("consumer-0", "consumer-1", "consumer-2")),
    ),
    "rabbit_producer": (
        ("messaging.system", _pick("rabbitmq")),
        ("messaging.operation.type", _pick("send")),
        ("messaging.destination.name", _pick("mail.exchange")),
        ("messaging.rabbitmq.destination.routing_key", _pick("mail.order", "mail.refund", "mail.welcome")),
        ("messaging.message.id", Hex(32)),
        ("messaging.message.conversation_id", Digits("conv-", 8, 9_000_000)),
        ("network.protocol.name", _pick("amqp")),
        ("network.protocol.version", _pick("0.9.1")),
        ("server.address", _pick("rabbit-0", "rabbit-1")),
        (
            "messaging.rabbitmq.headers",
            _pick({"x-retry": 0, "x-source": "checkout"}, {"x-retry": 1, "x-source": "cron"}),
        ),
    ),
    "rabbit_consumer": (
        ("messaging.system", _pick("rabbitmq")),
        ("messaging.operation.type", _pick("process")),
        ("messaging.destination.name", _pick("mail.queue")),
        ("messaging.rabbitmq.message.delivery_tag", Int(16_384, 500_000)),
        ("mail.template", _pick("order_confirmation", "refund", "welcome")),
        ("mail.locale", _pick("en", "de", "fr", "ja", "pt-BR")),
        ("mail.provider", _pick("ses", "postmark")),
        ("mail.attachment", _pick(b"\x89PNG\r\n\x1a\n", b"%PDF-1.7")),
        ("mail.accepted", _pick(True, True, True, False)),
        ("retry", _pick(0, 0, 1)),
    ),
    "graphql": (
        ("graphql.operation.name", _pick("ProductPage", "CartSummary", "Checkout", "Me")),
        ("graphql.operation.type", _pick("query", "query", "mutation")),
        (
            "graphql.document",
            _pick("query ProductPage($id: ID!) { product(id: $id) { name price } }", "query Me { me { id } }"),
        ),
        ("graphql.fields", _pick(["product", "reviews"], ["me"], ["cart", "cart.items"])),
        ("graphql.depth", _pick(2, 3, 4, 7)),
        ("graphql.complexity", Number(1.0, 300.0)),
        ("app.user.id", _USERS),
        ("app.session.id", Hex(16)),
        ("app.experiment", _pick("control", "blue_button", "one_page")),
        ("app.logged_in", _pick(True, False)),
    ),
    "payment": (
        ("payment.provider", _pick("stripe", "adyen")),
        ("payment.method", _pick("card", "card", "paypal", "sepa")),
        ("payment.amount", Number(1.0, 900.0)),
        ("payment.currency", _pick("USD", "EUR", "JPY", "GBP")),
        ("payment.card.country", _pick("US", "DE", "JP", "BR", "IN")),
        ("payment.three_ds", _pick(True, False)),
        ("payment.transaction.id", Hex(24)),
        ("payment.attempt", _pick(1, 1, 1, 2)),
        ("payment.risk.score", Number(0.0, 1.0)),
        ("payment.risk.rules", _pick(["velocity", "geo"], ["velocity"], [])),
    ),
    "inference": (
        ("gen_ai.system", _pick("openai", "vllm")),
        ("gen_ai.request.model", _pick("small-chat", "large-chat", "embed")),
        ("gen_ai.request.temperature", _pick(0.0, 0.2, 0.7)),
        ("gen_ai.request.max_tokens", _pick(256, 1024)),
        ("gen_ai.usage.input_tokens", Int(16_384, 40_000)),
        ("gen_ai.usage.output_tokens", _pick(12, 80, 240, 512)),
        ("gen_ai.response.finish_reasons", _pick(["stop"], ["length"])),
        ("gen_ai.operation.name", _pick("chat", "embeddings")),
        ("gpu.index", _pick(0, 1, 2, 3)),
        ("queue.wait_ms", Number(0.0, 2_000.0)),
    ),
    "recommend": (
        ("app.recommendation.count", _pick(3, 5, 10)),
        ("app.recommendation.model", _pick("als-v3", "als-v4", "popular")),
        ("app.user.id", _USERS),
        ("app.products.ids", _pick(["OLJ", "66V", "1YM"], ["L9E", "2ZY"], ["0PU", "LS4", "9SI", "6E9"])),
        ("app.cache_hit", _pick(True, False)),
        ("app.filtered", _pick(0, 1, 4)),
        ("score.max", Number(0.0, 1.0)),
        ("score.min", Number(0.0, 1.0)),
        ("feature.vector.dim", _pick(64, 128)),
        ("candidate.pool", _pick(500, 1000)),
    ),
    "feature_flag": (
        ("feature_flag.key", _pick("newCheckout", "adsEnabled", "imageSlowLoad", "cartFailure")),
        ("feature_flag.provider.name", _pick("flagd")),
        ("feature_flag.result.variant", _pick("on", "off")),
        ("feature_flag.result.reason", _pick("static", "targeting_match", "default")),
        ("feature_flag.context.id", _USERS),
        ("rpc.system", _pick("grpc")),
        ("rpc.service", _pick("flagd.evaluation.v1.Service")),
        ("rpc.method", _pick("ResolveBoolean", "EventStream")),
        ("cached", _pick(True, True, False)),
        ("eval_us", Number(1.0, 400.0)),
    ),
    "s3": (
        ("rpc.system", _pick("aws-api")),
        ("rpc.service", _pick("S3")),
        ("rpc.method", _pick("GetObject", "PutObject")),
        ("aws.request_id", Hex(16)),
        ("aws.s3.bucket", _pick("product-images", "invoices")),
        ("aws.s3.key", Digits("2024/09/", 8, 5_000_000, ".webp")),
        ("cloud.region", _pick("eu-central-1", "us-east-1")),
        ("http.response.status_code", _pick(200, 200, 206, 404)),
        ("http.response.body.size", _SIZE),
        ("aws.retry", _pick(0, 0, 1)),
    ),
    "faas": (
        ("faas.trigger", _pick("pubsub", "timer", "http")),
        ("faas.invocation_id", Hex(32)),
        ("faas.coldstart", _pick(False, False, False, False, True)),
        ("faas.name", _pick("thumbnailer", "invoice-pdf")),
        ("faas.max_memory", _pick(134_217_728, 268_435_456)),
        ("cloud.resource_id", _pick("arn:aws:lambda:eu-central-1:123456789012:function:thumbnailer")),
        ("faas.duration_billed_ms", _pick(100, 200, 500)),
        ("faas.runtime", _pick("python3.12", "nodejs20.x")),
        ("memory.used_mb", Number(40.0, 128.0)),
    ),
    "batch": (
        ("job.name", _pick("settlement", "reindex", "nightly-report", "expire-carts")),
        ("job.run", Int(20_000, 90_000)),
        ("job.step", _pick(1, 2, 3, 4)),
        ("job.rows", Int(16_384, 1_500_000)),
        ("job.shard", _pick(*range(16))),
        ("job.parameters", _pick({"dry_run": False, "window": {"days": 1}}, {"dry_run": True, "window": {"days": 7}})),
        ("job.retry", _pick(False, True)),
        ("thread.id", _pick(1, 2, 3, 4)),
        ("code.function", _pick("run_step", "commit_chunk")),
        ("code.namespace", _pick("com.example.batch.Step", "com.example.batch.Commit")),
    ),
    "internal_java": (
        ("code.namespace", _pick("com.example.checkout.OrderService", "com.example.checkout.PriceCalculator")),
        ("code.function", _pick("prepareOrder", "applyVouchers", "validate", "reserve")),
        ("thread.id", _pick(*range(20, 60))),
        ("thread.name", _pick(*(f"http-nio-8080-exec-{i}" for i in range(1, 33)))),
        ("app.order.items", _pick(*range(1, 9))),
        ("app.order.amount", Number(3.0, 700.0)),
        ("app.voucher", _pick("", "SUMMER", "WELCOME10")),
        ("app.tenant", _pick("acme", "globex", "initech")),
        ("app.order.id", Digits("ORD-", 8, 10_000_000)),
    ),
    "internal_python": (
        ("code.function.name", _pick("rank", "load_features", "score_batch")),
        ("code.file.path", _pick("/app/recommend/rank.py", "/app/recommend/features.py")),
        ("code.line.number", _pick(31, 88, 142, 207)),
        ("batch.size", _pick(16, 64, 256)),
        ("asyncio.task", Digits("Task-", 6, 900_000)),
        ("gc.collections", _pick(0, 0, 1)),
        ("cpu.ms", Number(0.1, 40.0)),
        ("worker", _pick(*(f"w{i}" for i in range(8)))),
        ("model.version", _pick("2024-08-30", "2024-09-12")),
    ),
    "internal_node": (
        ("next.span_name", _pick("render route /", "resolve page components", "fetch GET")),
        ("next.span_type", _pick("BaseServer.handleRequest", "AppRender.getBodyResult")),
        ("next.route", _pick("/", "/cart", "/product/[id]")),
        ("next.rsc", _pick(True, False)),
        ("event_loop.lag_ms", Number(0.0, 30.0)),
        ("session.id", Hex(16)),
        ("app.currency", _pick("USD", "EUR", "JPY")),
        ("app.locale", _pick("en-US", "de-DE", "ja-JP")),
        ("app.bytes_rendered", _SIZE),
    ),
    "shipping": (
        ("shipping.carrier", _pick("dhl", "ups", "fedex")),
        ("shipping.zip", Digits("", 5, 99_999)),
        ("shipping.country", _pick("US", "DE", "JP", "BR")),
        ("shipping.cost", Number(0.0, 60.0)),
        ("shipping.parcels", _pick(1, 1, 2, 3)),
        ("shipping.tracking", Digits("TRK", 10, 9_000_000_000)),
        ("shipping.express", _pick(False, False, True)),
        ("shipping.address", _pick({"city": "Berlin", "street": "?"}, {"city": "Osaka", "street": "?"})),
        ("warehouse", _pick("ber-1", "osa-2", "nyc-4")),
    ),
    "fraud": (
        ("fraud.score", Number(0.0, 1.0)),
        ("fraud.decision", _pick("allow", "allow", "allow", "review", "deny")),
        ("fraud.rules.fired", _pick([], ["velocity"], ["geo_mismatch", "new_card"])),
        ("fraud.features", _pick(41, 57)),
        ("fraud.model", _pick("gbm-17", "gbm-18")),
        ("enduser.id", _USERS),
        ("enduser.role", _pick("customer", "guest")),
        ("client.geo.country", _pick("US", "DE", "JP", "BR", "IN")),
        ("device.fingerprint", Hex(16)),
        ("order.id", Digits("ORD-", 8, 10_000_000)),
    ),
    "gateway": (
        ("upstream_cluster", _pick("outbound|8080||frontend.shop", "outbound|8080||api.shop")),
        ("upstream_address", _pick("10.42.0.11:8080", "10.42.0.12:8080", "10.42.1.9:8080")),
        ("http.method", _METHOD),
        ("http.url", Digits("https://shop.example.com/api/v2/orders/", 7, 2_000_000)),
        ("http.status_code", _pick("200", "200", "200", "404", "503")),
        ("http.protocol", _pick("HTTP/2")),
        ("response_flags", _pick("-", "-", "-", "UF", "DC")),
        ("guid:x-request-id", Hex(32)),
        ("node_id", _pick("router~10.42.0.5~gateway-1", "router~10.42.0.6~gateway-2")),
        ("component", _pick("proxy")),
        ("response_size", _SIZE),
    ),
    "auth": (
        ("auth.method", _pick("jwt", "session")),
        ("auth.issuer", _pick("https://id.example.com/")),
        ("auth.subject", _USERS),
        ("auth.scopes", _pick(["read", "write"], ["read"])),
        ("auth.cached", _pick(True, True, False)),
        ("auth.key_id", _pick("k-2024-08", "k-2024-09")),
        ("auth.remaining_s", Int(16_384, 80_000)),
        ("auth.mfa", _pick(True, False)),
        ("auth.digest", _pick(b"\x01\xfe\x90\x33", b"\x7f\x00\x10\xaa")),
        ("auth.impersonator", _pick(None, "", "support")),
    ),
}

#: (service, language, pods). Pods of one service differ in instance attributes only.
SERVICES: Final[tuple[tuple[str, str, int], ...]] = (
    ("gateway", "cpp", 3),
    ("frontend", "nodejs", 6),
    ("api", "go", 6),
    ("auth", "go", 3),
    ("cart", "dotnet", 4),
    ("catalog", "go", 5),
    ("checkout", "java", 4),
    ("currency", "cpp", 2),
    ("payment", "java", 3),
    ("fraud", "java", 3),
    ("shipping", "rust", 3),
    ("quote", "php", 2),
    ("email", "ruby", 2),
    ("accounting", "dotnet", 3),
    ("recommendation", "python", 3),
    ("ads", "java", 3),
    ("search", "java", 4),
    ("reviews", "nodejs", 3),
    ("inventory", "go", 4),
    ("pricing", "python", 3),
    ("images", "python", 2),
    ("flags", "go", 2),
    ("assistant", "python", 2),
    ("batch", "java", 2),
)


@dataclass(frozen=True)
class Entry:
    """An operation of a service and what it does, in order.

    A step is ``how:target`` with an optional ``?probability``. ``http`` and ``grpc`` make a client span here and the entry
    ``target`` under it; ``kafka`` and ``rabbit`` a producer span and an entry that starts after it; every other word is a
    leaf span of this service that carries that key set and has ``target`` for its name.
    """

    service: str
    name: str
    keys: str
    steps: tuple[str, ...] = ()
    kind: int = 2


#: Every operation, by a name that steps refer to.
ENTRIES: Final[dict[str, Entry]] = {
    "home": Entry("gateway", "router frontend egress", "gateway", ("http:frontend",)),
    "frontend": Entry(
        "frontend",
        "GET /product/[id]",
        "http_server_old",
        ("internal_node:render route /", "http:product", "grpc:ads?0.5", "grpc:recommend?0.4"),
    ),
    "product": Entry(
        "api", "GET /api/v2/products/{id}", "http_server", ("grpc:auth?0.5", "grpc:catalog", "grpc:reviews?0.4")
    ),
    "catalog": Entry(
        "catalog",
        "shop.v1.CatalogService/GetProduct",
        "grpc_server",
        ("db_postgres:SELECT catalog.products", "grpc:flag?0.3"),
    ),
    "reviews": Entry("reviews", "shop.v1.ReviewService/List", "grpc_server", ("mongodb:find reviews.reviews",)),
    "auth": Entry("auth", "shop.v1.Auth/Verify", "auth", ("redis:GET?0.5",)),
    "ads": Entry("ads", "shop.v1.AdService/GetAds", "grpc_server", ("grpc:flag?0.4", "internal_java:selectAds?0.5")),
    "flag": Entry("flags", "flagd.evaluation.v1.Service/ResolveBoolean", "feature_flag"),
    "recommend": Entry(
        "recommendation",
        "shop.v1.RecommendationService/List",
        "recommend",
        ("internal_python:rank", "grpc:catalog?0.4"),
    ),
    "cart_page": Entry(
        "frontend", "GET /cart", "http_server_old", ("grpc:cart_get", "grpc:currency", "internal_node:render?0.6")
    ),
    "cart_get": Entry("cart", "shop.v1.CartService/GetCart", "grpc_server", ("redis:HGET", "redis:EXPIRE?0.3")),
    "cart_add": Entry(
        "cart", "shop.v1.CartService/AddItem", "grpc_server", ("redis:HGET", "redis:HSET", "grpc:stock?0.5")
    ),
    "add": Entry("api", "POST /api/v2/carts/{id}", "http_server", ("grpc:auth", "grpc:cart_add", "http:price?0.7")),
    "stock": Entry("inventory", "shop.v1.Inventory/Check", "grpc_server", ("db_postgres:SELECT inventory.stock",)),
    "price": Entry("pricing", "GET /prices/{sku}", "http_server", ("redis:GET", "internal_python:score_batch?0.3")),
    "currency": Entry("currency", "shop.v1.Currency/Convert", "grpc_server"),
    "checkout": Entry(
        "checkout",
        "POST /checkout",
        "http_server",
        (
            "internal_java:prepareOrder",
            "grpc:cart_get",
            "grpc:stock",
            "grpc:currency?0.7",
            "http:quote",
            "grpc:pay",
            "db_postgres:INSERT orders.orders",
            "kafka:account",
            "kafka:fraud?0.7",
            "rabbit:mail",
        ),
    ),
    "quote": Entry("quote", "POST /getquote", "http_server", ("shipping:calculate",)),
    "pay": Entry(
        "payment", "shop.v1.PaymentService/Charge", "payment", ("db_mysql:INSERT ledger", "http_client_old:POST")
    ),
    "account": Entry(
        "accounting", "orders process", "kafka_consumer", ("db_postgres:INSERT accounting.entries",), kind=5
    ),
    "fraud": Entry(
        "fraud", "orders process", "kafka_consumer", ("fraud:score", "db_postgres:SELECT fraud.history?0.5"), kind=5
    ),
    "mail": Entry("email", "mail.queue process", "rabbit_consumer", ("http_client_old:POST?0.8",), kind=5),
    "search": Entry("api", "GET /api/v2/search", "http_server", ("http:find", "grpc:auth?0.3", "grpc:ads?0.4")),
    "find": Entry(
        "search", "GET /search", "http_server", ("elasticsearch:search products", "http:price?0.6", "redis:GET?0.5")
    ),
    "graph": Entry(
        "api", "POST /graphql", "graphql", ("grpc:catalog", "grpc:cart_get?0.7", "grpc:reviews?0.6", "grpc:auth?0.8")
    ),
    "ship": Entry(
        "shipping",
        "shipments process",
        "kafka_consumer",
        ("shipping:label", "http:quote?0.5", "rabbit:mail?0.6"),
        kind=5,
    ),
    "fulfil": Entry(
        "inventory",
        "fulfil order",
        "batch",
        ("db_postgres:UPDATE inventory.stock", "kafka:ship", "s3:S3.PutObject?0.5"),
        1,
    ),
    "ask": Entry(
        "assistant", "POST /chat", "http_server", ("inference:chat", "grpc:recommend?0.6", "inference:embeddings?0.5")
    ),
    "image": Entry("images", "GET /images/{id}", "http_server", ("s3:S3.GetObject", "faas:thumbnailer?0.3")),
    "settle": Entry(
        "batch", "settlement", "batch", ("batch:step 1", "batch:step 2", "db_mysql:SELECT ledger", "grpc:pay?0.3"), 1
    ),
    "health": Entry("gateway", "GET /healthz", "gateway"),
}

#: What starts a trace, and how often out of the sum.
ROOTS: Final[tuple[tuple[str, int], ...]] = (
    ("home", 24),
    ("cart_page", 12),
    ("add", 16),
    ("checkout", 12),
    ("search", 14),
    ("graph", 12),
    ("fulfil", 5),
    ("ask", 4),
    ("image", 8),
    ("settle", 4),
    ("health", 8),
)

#: Span kind numbers of OTLP for the two sides of a call, and what the calling side carries and is called.
CALLS: Final[dict[str, tuple[int, str, str]]] = {
    "http": (3, "http_client", "GET"),
    "grpc": (3, "grpc_client", ""),
    "kafka": (4, "kafka_producer", "orders publish"),
    "rabbit": (4, "rabbit_producer", "mail.exchange publish"),
}
#: Leaves that are calls to something outside, so their kind is CLIENT; every other leaf is INTERNAL.
CLIENT_LEAVES: Final = frozenset(
    {"db_postgres", "db_mysql", "redis", "mongodb", "elasticsearch", "s3", "http_client_old", "faas", "inference"}
)

#: Instrumentation scopes by language: (name, version). The last one carries attributes.
SCOPES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "cpp": (("envoy", "1.31.0"), ("shop.native", "0.4.1")),
    "nodejs": (
        ("@opentelemetry/instrumentation-http", "0.57.1"),
        ("@opentelemetry/instrumentation-mongodb", "0.50.0"),
        ("next.js", "15.1.0"),
    ),
    "go": (
        ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.58.0"),
        ("go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", "0.58.0"),
        ("shop/internal", "1.12.0"),
    ),
    "dotnet": (
        ("OpenTelemetry.Instrumentation.AspNetCore", "1.10.1"),
        ("OpenTelemetry.Instrumentation.StackExchangeRedis", "1.0.0"),
    ),
    "java": (
        ("io.opentelemetry.tomcat-10.0", "2.11.0"),
        ("io.opentelemetry.jdbc", "2.11.0"),
        ("io.opentelemetry.kafka-clients-0.11", "2.11.0"),
    ),
    "rust": (("opentelemetry-otlp", "0.27.0"), ("shipping", "0.9.0")),
    "php": (("io.opentelemetry.contrib.php.slim", "1.0.7"), ("quote", "1.3.0")),
    "ruby": (("OpenTelemetry::Instrumentation::Sinatra", "0.25.0"), ("email", "2.2.0")),
    "python": (
        ("opentelemetry.instrumentation.fastapi", "0.50b0"),
        ("opentelemetry.instrumentation.redis", "0.50b0"),
        ("recommend", "3.4.0"),
    ),
}

#: (status message, exception type) of a failed span; the second half becomes the span's exception event.
FAILURES: Final[tuple[tuple[str, str], ...]] = (
    ("connection refused", "java.net.ConnectException"),
    ("context deadline exceeded", "*errors.DeadlineExceeded"),
    ("could not charge the card: insufficient funds", "PaymentDeclined"),
    ("500 Internal Server Error", "TypeError"),
    ("deadlock detected", "psycopg.errors.DeadlockDetected"),
    ("", "TimeoutError"),
)

#: (event name, attributes) of events that are no exceptions.
EVENTS: Final[tuple[tuple[str, tuple[tuple[str, Scalar], ...]], ...]] = (
    ("cache miss", (("cache.key", "product:OLJCESPC7Z"),)),
    ("retry", (("attempt", 2), ("backoff_ms", 50.0))),
    ("message", (("message.type", "SENT"), ("message.id", 1), ("message.uncompressed_size", 812))),
    ("gc pause", (("pause_ms", 11.5), ("generation", 2))),
    ("feature_flag", (("feature_flag.key", "newCheckout"), ("feature_flag.result.value", True))),
)
