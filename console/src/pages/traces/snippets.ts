/** Commands that send first data to this very server; they work as they stand. */

import type { Listener } from "../../api/schema";

/** The base URL of a listener, with a host the reader's machine can reach. */
export function listenerUrl(listeners: Listener[], name: string, here = location.hostname): string | null {
  const listener = listeners.find((entry) => entry.name === name);
  if (!listener) return null;
  // A listener on every interface is reached by the name this page was reached by.
  const everywhere = /^(0\.0\.0\.0|\[::\]):/.test(listener.address);
  return everywhere ? listener.url.replace(/(?<=:\/\/)(\[[^\]]*\]|[^:/]*)/, here) : listener.url;
}

/** One span by curl over OTLP/HTTP JSON. `seed`: 24 random bytes for its ids. */
export function firstSpanCommand(listeners: Listener[], seed: Uint8Array, here?: string): string {
  const base = listenerUrl(listeners, "otlp_http", here);
  if (!base) return "# This server does not listen for OTLP over HTTP; see “pilothouse config show”.";
  const hex = Array.from(seed, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const span = {
    traceId: hex.slice(0, 32),
    spanId: hex.slice(32, 48),
    name: "my first span",
    kind: 2,
    startTimeUnixNano: "'\"$(date +%s)\"'000000000",
    endTimeUnixNano: "'\"$(date +%s)\"'250000000",
  };
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "hello" } }] };
  const body = { resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] };
  // The clock is the shell's: JSON's escapes inside those two values are undone for it.
  const json = JSON.stringify(body).replaceAll("'\\\"$(date +%s)\\\"'", "'\"$(date +%s)\"'");
  return `curl -sS ${base}/v1/traces -H 'content-type: application/json' \\\n  -d '${json}'`;
}

/** The standard environment of OpenTelemetry SDKs. */
export function sdkEnvironment(listeners: Listener[], here?: string): string {
  const grpc = listenerUrl(listeners, "otlp_grpc", here);
  const http = listenerUrl(listeners, "otlp_http", here);
  const [protocol, url] = http ? ["http/protobuf", http] : ["grpc", grpc];
  if (!url) return "# This server does not listen for OTLP; see “pilothouse config show”.";
  return [
    "export OTEL_SERVICE_NAME=hello",
    `export OTEL_EXPORTER_OTLP_PROTOCOL=${protocol}`,
    `export OTEL_EXPORTER_OTLP_ENDPOINT=${url}`,
  ].join("\n");
}
