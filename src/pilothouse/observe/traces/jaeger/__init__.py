"""Jaeger's query surface over the trace store, so that Jaeger UI, Grafana and scripts need not know what answers them.

``params*`` and ``messages`` read requests, ``reader`` asks the store, ``adjust`` (one room up) prepares traces, ``http_v1``,
``http_v3``, ``grpc_v2`` and ``grpc_v3`` are the four surfaces, ``ui`` serves an operator's Jaeger UI, ``service`` listens.
"""
