"""Process furniture every room uses: errors, configuration, clock, lifecycles, health, telemetry, HTTP, gRPC, terminal.

``kit`` imports nothing else of Pilothouse. Its heavy modules (``kit.http``, ``kit.grpc``) are imported where they are used,
never from here, so that a command that only prints help pays for none of them.
"""
