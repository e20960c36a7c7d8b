"""OpenTelemetry traces: the data model, and its protobuf and JSON codecs."""
