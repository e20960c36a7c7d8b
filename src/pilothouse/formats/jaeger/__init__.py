"""Jaeger's span model and what carries it: UI JSON and protobuf.

``model`` holds the values, ``translate`` turns OTLP spans into them and back, ``ui`` and ``proto`` are the encodings. The
second generation of Jaeger's APIs speaks OTLP itself; only its messages are here (``protos``).
"""
