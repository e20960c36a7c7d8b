"""Jaeger's messages and services as protobuf, and the modules that ``tools/protos.py`` generates from them.

The ``.proto`` files state facts (packages, names, numbers) of jaeger-idl; options for other languages are left out, since
they change nothing on the wire.
"""
