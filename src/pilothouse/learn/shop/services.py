"""Who works in the shop: its services, how they are deployed, and the resource each of their pods reports.

A table of facts. Nine services in one Kubernetes namespace, each with its own release, replicas and instrumentation scopes,
so that what the SDK sends looks like what a cluster sends. Names follow the OpenTelemetry semantic conventions 1.37.
"""

from __future__ import annotations

import random
import uuid
from typing import Final

from msgspec import Struct
from opentelemetry.util.types import AttributeValue

#: Schema URL of the conventions that the attribute names come from.
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"

_NODES: Final = ("shop-node-a", "shop-node-b", "shop-node-c")


class Deployment(Struct, frozen=True):
    """One service: ``replicas`` pods of image ``shop/<name>:<version>``, listening on ``port``.

    ``canary`` marks the last replica as running the next release.
    """

    name: str
    version: str
    port: int
    replicas: int = 2
    canary: bool = False


DEPLOYMENTS: Final = (
    Deployment("storefront", "4.2.0", 8080, replicas=3),
    Deployment("cart", "2.7.1", 8081),
    Deployment("catalog", "5.0.3", 8082, replicas=3, canary=True),
    Deployment("checkout", "3.1.4", 8083),
    Deployment("payment", "1.9.0", 8084),
    Deployment("inventory", "2.2.2", 8085),
    Deployment("shipping", "1.4.0", 8086, replicas=1),
    Deployment("mailer", "0.9.8", 8087, replicas=1),
    Deployment("fraud-check", "1.1.0", 8088, replicas=1),
)

PORTS: Final = {deployment.name: deployment.port for deployment in DEPLOYMENTS}


def pod_resource(deployment: Deployment, replica: int, rng: random.Random) -> dict[str, AttributeValue]:
    """The resource attributes of one pod; ``rng`` makes up its name and uid."""
    version = deployment.version
    canary = deployment.canary and replica == deployment.replicas - 1
    if canary:
        major, minor, _ = version.split(".")
        version = f"{major}.{int(minor) + 1}.0"
    pod = f"{deployment.name}-{rng.getrandbits(36):09x}-{rng.getrandbits(20):05x}"
    return {
        "service.name": deployment.name,
        "service.namespace": "shop",
        "service.version": version,
        "service.instance.id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "deployment.environment.name": "demo",
        "shop.canary": canary,
        "k8s.cluster.name": "shop-eu-1",
        "k8s.namespace.name": "shop",
        "k8s.deployment.name": deployment.name,
        "k8s.pod.name": pod,
        "k8s.pod.uid": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "k8s.node.name": _NODES[replica % len(_NODES)],
        "k8s.container.name": deployment.name,
        "k8s.container.restart_count": 1 if rng.random() < 0.1 else 0,
        "container.image.name": f"registry.example/shop/{deployment.name}",
        "container.image.tags": (version, "stable" if not canary else "canary"),
        "cloud.availability_zone": f"eu-1{'abc'[replica % 3]}",
        "host.arch": "arm64" if replica % 2 else "amd64",
    }
